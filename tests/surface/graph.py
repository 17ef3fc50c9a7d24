"""Selections over the schema: everything of a type, or a random part of it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_required_argument,
)

from tests.surface.surface import Operation, Surface

MOVING = {"serverTime", "lastUsedAt"}
"""What may differ between two askings of the same thing."""


def schema() -> GraphQLSchema:
    from api.graphql.schema import schema

    return schema()._schema


def leaves(kind: GraphQLObjectType) -> list[str]:
    """The fields of a type that need no selection."""
    return [name for name, one in kind.fields.items() if not is_object(one)]


def is_object(one: GraphQLField) -> bool:
    return isinstance(get_named_type(one.type), GraphQLObjectType | GraphQLInterfaceType)


def whole(kind: GraphQLObjectType, depth: int, seen: tuple[str, ...] = ()) -> str:
    """Every field of a type, objects down to `depth`, each type once on a path."""
    parts = []
    for name, one in kind.fields.items():
        inner = get_named_type(one.type)
        if not is_object(one):
            parts.append(name)
        elif depth > 1 and isinstance(inner, GraphQLObjectType) and inner.name not in seen:
            parts.append(f"{name} {{ {whole(inner, depth - 1, (*seen, kind.name))} }}")
    return " ".join(parts)


class Dice:
    """Random selections: aliases, fragments, repeated fields; never what moves with the clock."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.aliases = 0

    def selection(self, kind: GraphQLObjectType, depth: int) -> str:
        names = [name for name in kind.fields if name not in MOVING]
        chosen = self.random.sample(names, min(len(names), self.random.randint(1, 6)))
        parts = [part for name in chosen if (part := self._field(kind, name, depth))]
        text = " ".join(parts or ["__typename"])
        return f"... on {kind.name} {{ {text} }}" if self.random.random() < 0.2 else text

    def _field(self, kind: GraphQLObjectType, name: str, depth: int) -> str:
        one = kind.fields[name]
        alias = ""
        if self.random.random() < 0.15 and self.aliases < 10:
            self.aliases += 1
            alias = f"a{self.aliases}: "
        if not is_object(one):
            return f"{alias}{name}"
        inner = get_named_type(one.type)
        if depth <= 1 or not isinstance(inner, GraphQLObjectType):
            return ""
        return f"{alias}{name} {{ {self.selection(inner, depth - 1)} }}"


def arguments(one: GraphQLField, value_of: Any) -> str:
    """The arguments that a root field needs: `value_of(name)` gives each."""
    needed = [name for name, argument in one.args.items() if is_required_argument(argument)]
    return f"({', '.join(f'{name}: {value_of(name)}' for name in needed)})" if needed else ""


def operations(surface: Surface) -> dict[Any, Operation]:
    """Each operation of REST by the endpoint that answers it."""
    from api.rest import ROUTERS

    named = {str(one): one for one in surface.operations}
    return {
        route.endpoint: named[f"{next(iter(route.methods))} {route.path.replace(':path', '')}"]  # type: ignore[attr-defined]
        for router in ROUTERS
        for route in router.routes
        if not route.path.startswith("/hooks")  # type: ignore[attr-defined]
    }


def probe(mutation: Any, operation: Operation, value_of: Callable[[str], str], body: Any) -> tuple[str, dict[str, Any]]:
    """A mutation of what `value_of` a place gives, with the variables that it needs."""
    values = {place.rpartition("{")[2].rstrip("}"): value_of(place) for place in operation.places}
    parts = [f"{_camel(one)}: {json.dumps(values[one])}" for one in mutation.path if one in values]
    variables: dict[str, Any] = {}
    head = ""
    if mutation.model is not None:
        variables["input"] = {_camel(name): value for name, value in body.items()}
        kind = schema().mutation_type.fields[mutation.name].args["input"].type  # type: ignore[union-attr]
        head, parts = f"($input: {kind})", [*parts, "input: $input"]
    given = f"({', '.join(parts)})" if parts else ""
    return (
        f"mutation Probe{head} {{ {mutation.name}{given} {{ __typename ... on Problem {{ code message }} }} }}",
        variables,
    )


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
