"""What a subscription's document selects, read for its caller and told as JSON text.

As with queries there are two ways: exactly, the texts of the database spliced together; or by the ordinary executor
where the document says more than that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from graphql import ExecutionResult, FieldNode, execute
from graphql.execution.values import get_argument_values
from starlette.requests import Request

from api.graphql.answering import told
from api.graphql.documents import Document
from api.graphql.objects import camel
from api.graphql.plain_data import PlainExecutor
from api.graphql.resolving import plain_value
from api.graphql.roots import read_thing, telling_of
from api.graphql.schema import schema
from api.graphql.selection import NotExact, Wanted, fields_of, shape_of, wanted
from api.graphql.subscriptions import LEADS_TO
from api.graphql.types import TYPES
from app.authentication import Principal
from app.database import Db
from app.offers import IN_FULL, Telling
from app.statements import Shape

PAYLOADS = {"incidentChanged": "IncidentChange", "boardChanged": "BoardChange"}


@dataclass(frozen=True, slots=True)
class Part:
    """What is selected of a thing that is told."""

    label: str
    asked: Wanted
    shape: Shape
    telling: Telling

    async def read(self, db: Db, by: Principal, key: str) -> str | None:
        """The thing as JSON text; None where the caller sees none. Raises Forbidden."""
        return await read_thing(db, by, TYPES[self.label], key, self.shape, self.asked, self.telling)


@dataclass(frozen=True, slots=True)
class Followed:
    """The root field of a subscription. `order` is what an exact message holds, as (key, member); None otherwise."""

    document: Document
    node: FieldNode
    name: str
    parts: Mapping[str, Part]
    order: tuple[tuple[str, str], ...] | None

    def arguments(self, variables: Any) -> dict[str, Any]:
        """The arguments of the field, named as in the graph."""
        kind = schema()._schema.subscription_type
        assert kind is not None
        given = get_argument_values(kind.fields[self.name], self.node, variables)
        return {name: plain_value(value) for name, value in given.items()}

    def tell(self, message: Mapping[str, Any], variables: Mapping[str, Any], request: Request) -> bytes:
        """A message as the JSON text of a result. What is a thing comes as JSON text, under the names of the graph."""
        if self.order is None:
            return self._ordinarily(message, variables, request)
        parts = []
        for key, member in self.order:
            value = PAYLOADS[self.name] if member == "__typename" else message[member]
            text = value if member in LEADS_TO and value is not None else orjson.dumps(value).decode()
            parts.append(f'"{key}":{text}')
        key = (self.node.alias or self.node.name).value
        return f'{{"data":{{"{key}":{{{",".join(parts)}}}}}}}'.encode()

    def _ordinarily(self, message: Mapping[str, Any], variables: Mapping[str, Any], request: Request) -> bytes:
        source = {
            MEMBER_OF.get(name, name): orjson.loads(value) if name in LEADS_TO and value is not None else value
            for name, value in message.items()
        }
        result = execute(
            schema()._schema,
            self.document.tree,
            root_value=source,
            variable_values=dict(variables),
            context_value={"request": request},
            executor_class=PlainExecutor,
        )
        assert isinstance(result, ExecutionResult), "nothing that is told waits"
        return told(result.data, list(result.errors or ()), request)


MEMBER_OF = {camel(member): member for member in ("incident_id",)}
"""Name in the graph -> member, where they differ."""


def followed(document: Document) -> Followed:
    """What a subscription's document follows. Kept with the document."""
    found: Followed | None = document.plans.get("followed")
    if found is None:
        try:
            found = _exactly(document)
        except NotExact:
            found = _loosely(document)
        document.plans["followed"] = found
    return found


def _exactly(document: Document) -> Followed:
    roots = list(fields_of(document.operation.selection_set, "Subscription", document.fragments, exact=True))
    if len(roots) > 1:
        raise NotExact
    node, parts, order = roots[0], dict[str, Part](), list[tuple[str, str]]()
    for one in fields_of(node.selection_set, PAYLOADS[node.name.value], document.fragments, exact=True):
        key, member = (one.alias or one.name).value, one.name.value
        if any(key == other for other, _ in order) or member in parts:
            raise NotExact
        order.append((key, member))
        if label := LEADS_TO.get(member):
            asked = wanted(label, [one.selection_set], document.fragments, exact=True)
            parts[member] = Part(label, asked, shape_of(asked, label), telling_of(asked))
    return Followed(document, node, node.name.value, parts, tuple(order))


def _loosely(document: Document) -> Followed:
    roots = list(fields_of(document.operation.selection_set, "Subscription", document.fragments, exact=False))
    node, sets = roots[0], dict[str, list[Any]]()
    for root in roots:
        for one in fields_of(root.selection_set, PAYLOADS[node.name.value], document.fragments, exact=False):
            if one.name.value in LEADS_TO:
                sets.setdefault(one.name.value, []).append(one.selection_set)
    parts = {}
    for member, selected in sets.items():
        label = LEADS_TO[member]
        asked = wanted(label, selected, document.fragments, exact=False)
        asked.parts["__typename"] = ("__typename", None)
        parts[member] = Part(label, asked, shape_of(asked, label), IN_FULL)
    return Followed(document, node, node.name.value, parts, None)
