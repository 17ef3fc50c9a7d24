"""The shorter way of the ordinary executor says what the library says: values, nulls and errors with their places."""

from __future__ import annotations

import random
from typing import Any

import pytest
import strawberry
from graphql import ExecutionResult, GraphQLSchema, execute, parse

from api.graphql.plain_data import PlainExecutor
from api.graphql.scalars import CONFIG, JSON, BigInt, DateTime, enum_of

Colour: Any = enum_of("Colour", ("red", "green"), "A colour.")


@strawberry.interface
class Named:
    """What has a name."""

    name: str


@strawberry.type
class Part(Named):
    """Something small."""

    count: int | None
    size: BigInt | None
    share: float | None
    colour: Colour | None
    ready: bool
    made_at: DateTime | None
    told: JSON | None

    @classmethod
    def is_type_of(cls, source: Any, info: Any) -> bool:
        """Any object may be one."""
        return isinstance(source, dict)


@strawberry.type
class Thing:
    """Something with parts."""

    id: strawberry.ID
    colours: list[Colour]
    parts: list[Part]
    spare: Part | None
    named: Named | None
    maybe: list[Part | None] | None

    @strawberry.field
    def twice(self) -> int:
        """Resolved, not read."""
        given: Any = self
        return int(given["parts"][0]["count"]) * 2


@strawberry.type
class Query:
    """The root."""

    thing: Thing | None
    things: list[Thing | None]


PLAIN = "id key: id __typename colours"
PART = "name count size share colour ready madeAt told __typename"
SELECTIONS = (
    f"{PLAIN} parts {{ {PART} }} spare {{ {PART} }} maybe {{ {PART} }}",
    f"{PLAIN} parts {{ ...P count }} ... on Thing {{ parts {{ ready }} }}",
    f"{PLAIN} parts {{ name @skip(if: true) count @include(if: $yes) }}",
    f"{PLAIN} twice parts {{ {PART} }}",
    f"{PLAIN} named {{ name __typename ... on Part {{ count }} }} parts {{ {PART} }}",
    "maybe { ready }",
)
WRONG = (None, "text", 7, 2**31, 0.5, float("nan"), True, [], {}, ["red", None], [None], "blue", "red")


def part() -> dict[str, Any]:
    told: dict[str, Any] = {"name": "a", "count": 3, "size": 2**40, "share": 0.25, "colour": "red", "ready": True}
    return told | {"made_at": "2026-01-01T00:00:00Z", "told": {"any_thing": [1, None]}}


def thing() -> dict[str, Any]:
    parts = {"parts": [part(), part()], "spare": part(), "named": part(), "maybe": [part(), None]}
    return {"id": "Thing:1", "colours": ["red", "green"], **parts}


def spoilt(dice: random.Random) -> dict[str, Any]:
    """A thing with a few members that are wrong, or gone."""
    made = thing()
    for _ in range(dice.randint(0, 3)):
        where = dice.choice([made, *[one for one in made["parts"] if isinstance(one, dict)]])
        if not isinstance(made["parts"], list) or not where:
            break
        name = dice.choice(list(where))
        if dice.random() < 0.2:
            del where[name]
            break
        where[name] = dice.choice(WRONG)
        if name == "parts":
            break
    return made


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return strawberry.Schema(query=Query, types=[Part], config=CONFIG)._schema


def said(schema: GraphQLSchema, query: str, data: dict[str, Any], executor: Any) -> Any:
    """Data and errors, each with its message and its path."""
    document = parse(f"query Q($yes: Boolean = true) {{ thing {{ {query} }} things {{ {query} }} }} {FRAGMENT}")
    result = execute(schema, document, root_value=data, executor_class=executor)
    assert isinstance(result, ExecutionResult)
    errors = [(one.message, tuple(one.path or ())) for one in result.errors or ()]
    return repr(result.data), sorted(errors, key=str)


FRAGMENT = "fragment P on Part { name colour again: colour }"


@pytest.mark.parametrize("query", SELECTIONS)
def test_both_say_the_same_of_data_that_may_be_wrong(schema: GraphQLSchema, query: str) -> None:
    from graphql import Executor

    right = wrong = 0
    for seed in range(150):
        dice = random.Random(seed)
        data = {"thing": spoilt(dice), "things": [thing(), spoilt(dice), None]}
        ours, theirs = said(schema, query, data, PlainExecutor), said(schema, query, data, Executor)
        assert ours == theirs, data
        right += not ours[1]
        wrong += bool(ours[1])
    assert right > 15
    assert wrong > 10


def test_plain_data_is_not_asked_field_by_field(schema: GraphQLSchema, monkeypatch: pytest.MonkeyPatch) -> None:
    from graphql import Executor

    asked: list[str] = []
    resolve = Executor.execute_field

    def noted(self: Any, parent: Any, source: Any, details: Any, *more: Any, **options: Any) -> Any:
        asked.append(details[0].node.name.value)
        return resolve(self, parent, source, details, *more, **options)

    monkeypatch.setattr(Executor, "execute_field", noted)
    said(schema, SELECTIONS[0], {"thing": thing(), "things": [thing()] * 3}, PlainExecutor)
    assert asked == ["thing", "things"]
