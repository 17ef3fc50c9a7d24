"""Answering the root fields of a query: pages and single things from the read path, and what REST answers whole."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, get_type_hints
from uuid import UUID

import orjson
from fastapi.routing import APIRoute
from graphql import FieldNode, SelectionSetNode
from pydantic import TypeAdapter, ValidationError

from api.calls import check_operation
from api.global_ids import labels_of, own_id
from api.graphql.calls import GraphCall, RootCall
from api.graphql.cost import FIRST_DEFAULT, FIRST_MAX
from api.graphql.objects import TARGETS, camel
from api.graphql.resolving import by_members
from api.graphql.root_fields import PAGES, WHOLES, Endpoint, Page, Taken, Whole, called_with
from api.graphql.selection import Fragments, NotExact, Wanted, fields_of, wanted
from api.graphql.types import TYPES, GraphType
from api.rest import ROUTERS
from app.authentication import Principal
from app.database import Db
from app.nouns.incidents import NUMBER
from app.offers import Telling, show_offers
from app.reading import Slice, read_matching, read_one, server_time
from app.rights import require_inside
from app.statements import NOUNS, Shape
from domain.refusals import InputError, Invalid, NotFound


@cache
def _addresses() -> Mapping[Endpoint, dict[str, frozenset[str]]]:
    """Which types the parameters of each endpoint's address are of."""
    return {
        route.endpoint: labels_of(route.path) for one in ROUTERS for route in one.routes if isinstance(route, APIRoute)
    }


def own_ids(endpoint: Endpoint, given: Mapping[str, str]) -> dict[str, str]:
    """The parameters of an endpoint's address, as that takes them. Raises what `own_id` does."""
    labels, found = _addresses()[endpoint], dict[str, str]()
    for name, text in given.items():
        found[name] = own_id(text, labels.get(name, frozenset()), found.get("incident_id"))
    return found


INSIDE = frozenset({"client.read", "person.read", "risk.read"})
"""What is none of the business of outside persons, whatever roles they hold for the incidents they were named for."""
BY_ROW = frozenset({"Key", "Identity"})
"""Types of which REST decides row by row who may read; their lists do, `node` does not find them."""


def check_types(asked: Wanted, principal: Principal) -> None:
    """Raise Forbidden when the selection reads a type that the caller may never read."""
    for name in asked.types:
        check_operation(TYPES[name].reads, principal)
        if TYPES[name].reads in INSIDE:
            require_inside(principal)


def told(error: ValidationError, *within: str) -> Invalid:
    """Faults of arguments as pointers into them."""
    faults = [
        InputError("/" + "/".join(camel(str(part)) for part in (*within, *one["loc"])), str(one["msg"])[:300])
        for one in error.errors()
    ]
    return Invalid(f"{faults[0].pointer} {faults[0].reason}.", errors=faults[:20])


def snake(name: str) -> str:
    """dueAt is `due_at`."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda m: f"_{m[1].lower()}", name)


# -- pages -------------------------------------------------------------------------------------------------------------


async def slice_of(graph: GraphCall, page: Page, arguments: Mapping[str, Any], shape: Shape, asked: Wanted) -> Slice:
    """The rows of a page. `arguments` are named as in the graph. Raises Invalid, Forbidden, NotFound."""
    check_types(asked, graph.principal)
    first = arguments.get("first", FIRST_DEFAULT)
    if first is None or not 1 <= first <= FIRST_MAX:
        text = f"is 1 to {FIRST_MAX}"
        raise Invalid(f"`first` {text}.", errors=[InputError("/first", text)])
    given = {snake(name): value for name, value in (arguments.get("filter") or {}).items() if value is not None}
    try:
        read = page.filter.model_validate(given, strict=False)
    except ValidationError as error:
        raise told(error) from None
    values = {name: given for name in page.filter.model_fields if (given := getattr(read, name)) is not None}
    for name, text in own_ids(page.endpoint, {name: arguments[camel(name)] for name in page.ids}).items():
        values[name] = typed(page.endpoint, name, text)
    if page.sorts:
        values["sort"] = re.sub(r"(.+)_desc", r"-\1", arguments.get("sort") or "") or None
    values |= {"call": RootCall(graph, shape), "cursor": arguments.get("after"), "limit": first}
    await _ask(page.endpoint, values)
    call: RootCall = values["call"]
    assert call.found is not None, f"{page.name} is answered by answer_page"
    return call.found


def typed(endpoint: Endpoint, name: str, text: str) -> Any:
    """A parameter of an address as its endpoint takes it. Raises NotFound for what cannot be one."""
    try:
        return TypeAdapter(get_type_hints(endpoint)[name]).validate_python(text)
    except ValidationError:
        raise NotFound from None


def nodes_of(given: SelectionSetNode | None, page: Page, fragments: Fragments, *, exact: bool) -> Wanted:
    """What a connection's selection asks of its nodes, by `nodes` or by `edges`."""
    sets: list[SelectionSetNode | None] = []
    for one in fields_of(given, f"{page.of}Connection", fragments, exact=exact):
        if one.name.value == "nodes":
            sets.append(one.selection_set)
        elif one.name.value == "edges":
            edges = fields_of(one.selection_set, f"{page.of}Edge", fragments, exact=exact)
            sets += [edge.selection_set for edge in edges if edge.name.value == "node"]
    if exact and len(sets) > 1:
        raise NotExact
    return wanted(page.of, sets, fragments, exact=exact)


def telling_of(asked: Wanted) -> Telling:
    """How offers are told in an exact answer. Raises NotExact when two places choose differently."""
    if len(asked.offers) > 1:
        raise NotExact
    return Telling("viewerCan", next(iter(asked.offers), None))


def connection_text(
    given: FieldNode, page: Page, found: Slice, telling: Telling, by: Principal, fragments: Fragments
) -> str:
    """The connection as JSON text, its nodes as the database wrote them."""
    rows = [show_offers(row, by.roles, by.person_id, telling) for row in found.items]
    parts = []
    for one in fields_of(given.selection_set, f"{page.of}Connection", fragments, exact=True):
        key, name = (one.alias or one.name).value, one.name.value
        if name == "nodes":
            text = f"[{','.join(rows)}]"
        elif name == "edges":
            text = f"[{','.join(_edge(one, page, row, found.cursor(n), fragments) for n, row in enumerate(rows))}]"
        elif name == "pageInfo":
            text = orjson.dumps(_picked(one, page_info(found), "PageInfo", fragments)).decode()
        elif name == "serverTime":
            text = f'"{server_time(found.now)}"'
        else:
            text = f'"{page.of}Connection"'
        parts.append(f'"{key}":{text}')
    return "{" + ",".join(parts) + "}"


def _edge(given: FieldNode, page: Page, row: str, cursor: str, fragments: Fragments) -> str:
    values = {"node": row, "cursor": f'"{cursor}"', "__typename": f'"{page.of}Edge"'}
    chosen = fields_of(given.selection_set, f"{page.of}Edge", fragments, exact=True)
    return "{" + ",".join(f'"{(one.alias or one.name).value}":{values[one.name.value]}' for one in chosen) + "}"


def page_info(found: Slice) -> dict[str, Any]:
    """Where the page ends and whether the list goes on."""
    return {
        "hasNextPage": found.continues,
        "endCursor": found.cursor(-1) if found.items else None,
        "startCursor": found.cursor(0) if found.items else None,
        "hasPreviousPage": False,
    }


def _picked(given: FieldNode, values: Mapping[str, Any], type_name: str, fragments: Fragments) -> dict[str, Any]:
    known = {**values, "__typename": type_name}
    chosen = fields_of(given.selection_set, type_name, fragments, exact=True)
    return {(one.alias or one.name).value: known[one.name.value] for one in chosen}


# -- single things -----------------------------------------------------------------------------------------------------

WITHIN = {"step": "id", "action": "id", "document": "id", "participant": "person", "timeline_event": "seq"}
"""Nouns whose key is unique within an incident only: the filter that names the key."""


def _key(text: str, kind: str) -> UUID | str | int | None:
    """The key of a row as the database takes it; None for what cannot be one."""
    try:
        if kind == "integer":
            return number if 0 < (number := int(text)) < 2**31 else None
        return UUID(text) if kind == "uuid" else text
    except ValueError:
        return None


async def thing_of(
    graph: GraphCall, kind: GraphType, key: str, shape: Shape, asked: Wanted, telling: Telling
) -> str | None:
    """The thing that a key names, as JSON text; None where there is none. Raises Forbidden."""
    return await graph.take(lambda db, by: read_thing(db, by, kind, key, shape, asked, telling))


async def read_thing(
    db: Db, by: Principal, kind: GraphType, key: str, shape: Shape, asked: Wanted, telling: Telling
) -> str | None:
    """As `thing_of`, in a transaction at hand."""
    noun = NOUNS[kind.noun]
    check_types(asked, by)
    if kind.name == "Incident" and NUMBER.fullmatch(key):
        return await read_one(db, "incident", shape, key, by, by="number", telling=telling)
    if kind.noun not in WITHIN:
        id = _key(key, noun.key_type)
        return None if id is None else await read_one(db, kind.noun, shape, id, by, telling=telling)
    first, _, rest = key.partition(":")
    incident, inner = _key(first, "uuid"), _key(rest, noun.key_type)
    if incident is None or inner is None:
        return None
    values = {"incident": incident, WITHIN[kind.noun]: inner}
    return await read_matching(db, kind.noun, shape, values, by, telling=telling)


async def whole_of(graph: GraphCall, root: Whole, arguments: Mapping[str, Any]) -> Any:
    """What the endpoint of REST answers, as an object or a list. Raises what it raises."""
    values: dict[str, Any] = {"call": RootCall(graph), **root.fixed}
    labels = _addresses()[root.endpoint]
    for shown, (name, taken) in root.arguments.items():
        given = arguments.get(shown)
        if isinstance(given, str):
            given = own_id(given, labels.get(name) or _labels_named(name), str(values.get("incident_id")))
        if given is not None:
            values[name] = _value(taken, given, shown)
    answered = orjson.loads((await _ask(root.endpoint, values)).body)
    for name, one in root.model.model_fields.items():
        if one.alias and not root.many:  # the graph says `start` where an address says `from`
            answered[name] = answered.pop(one.alias)
    return answered["items"] if root.many else answered


def _labels_named(name: str) -> frozenset[str]:
    """The type that a parameter of a query names: `incident_id` is of Incident."""
    noun = NOUNS.get(name.removesuffix("_id")) if name.endswith("_id") else None
    return frozenset({noun.label}) if noun else frozenset()


def _value(taken: Taken, given: Any, shown: str) -> Any:
    """An argument as the endpoint takes it. Raises NotFound for a name of nothing, Invalid for what cannot be meant."""
    if taken.body:
        given = by_members(taken.annotation, given)
    try:
        return TypeAdapter(taken.annotation).validate_python(given)
    except ValidationError as error:
        if taken.needed and not taken.body:
            raise NotFound from None
        raise told(error, shown) from None


async def _ask(endpoint: Endpoint, values: Mapping[str, Any]) -> Any:
    try:
        parameters = called_with(endpoint, values)
    except ValidationError as error:
        raise told(error) from None
    return await endpoint(**parameters)


def picked(asked: Wanted, type_name: str, value: Any) -> Any:
    """What is wanted of an object that REST answered, keyed as the answer is to be."""
    if isinstance(value, list):
        return [picked(asked, type_name, one) for one in value]
    if value is None:
        return None
    chosen: dict[str, Any] = {}
    for key, (member, nested) in asked.parts.items():
        inner = type_name if member == "__typename" else value[member]
        chosen[key] = inner if nested is None else picked(nested, TARGETS[type_name, member], inner)
    return chosen


__all__ = ["PAGES", "WHOLES", "Page", "Whole"]
