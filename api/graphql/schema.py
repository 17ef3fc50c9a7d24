"""The schema: types, root fields and mutations put together for Strawberry, and the resolvers of the ordinary executor.

What one statement can answer never comes here (`api/graphql/answering.py`). A root field resolved here asks for
everything that its selection may need, then the executor picks.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import orjson
import strawberry
from strawberry.schema import Schema
from strawberry.types import Info

from api.global_ids import AN_INCIDENT, GLOBAL, own_id
from api.graphql.cost import FIRST_DEFAULT, FIRST_MAX
from api.graphql.mutations import mutation_type
from api.graphql.objects import CLASSES, Node, camel, described, object_of, value_type
from api.graphql.resolving import NEEDED, input_of, is_nullable, made_input, resolver_of
from api.graphql.roots import (
    BY_ROW,
    PAGES,
    WHOLES,
    Page,
    Whole,
    nodes_of,
    page_info,
    slice_of,
    snake,
    thing_of,
    whole_of,
)
from api.graphql.scalars import CONFIG, DateTime, enum_of
from api.graphql.selection import shape_of, wanted
from api.graphql.subscriptions import subscription_type
from api.graphql.types import TYPES
from app.offers import IN_FULL, show_offers
from app.reading import server_time

Resolver = Callable[..., Any]


@strawberry.type(description="Where a page ends, and whether the list goes on.")
class PageInfo:
    """Relay's page information. Pages go forward only."""

    has_next_page: bool = strawberry.field(name="hasNextPage", description="Whether the list goes on.")
    has_previous_page: bool = strawberry.field(name="hasPreviousPage", description="Never told: pages go forward.")
    start_cursor: str | None = strawberry.field(name="startCursor", description="Of the first row.")
    end_cursor: str | None = strawberry.field(name="endCursor", description="Give it as `after` for the next page.")


def _fragments(info: Info[Any, Any]) -> Any:
    return info._raw_info.fragments


def _nodes(info: Info[Any, Any]) -> Any:
    return info._raw_info.field_nodes


async def _resolve_page(page: Page, info: Info[Any, Any], arguments: dict[str, Any]) -> dict[str, Any]:
    sets = [node.selection_set for node in _nodes(info)]
    asked = nodes_of(sets[0], page, _fragments(info), exact=False)
    for more in sets[1:]:
        asked.parts |= nodes_of(more, page, _fragments(info), exact=False).parts
    graph = info.context["graph"]
    found = await slice_of(graph, page, arguments, shape_of(asked, page.of), asked)
    by = graph.principal
    rows = [orjson.loads(show_offers(row, by.roles, by.person_id, IN_FULL)) for row in found.items]
    return {
        "nodes": rows,
        "edges": [{"node": row, "cursor": found.cursor(n)} for n, row in enumerate(rows)],
        "page_info": {snake(name): value for name, value in page_info(found).items()},
        "server_time": server_time(found.now),
    }


async def resolve_thing(info: Info[Any, Any], label: str, key: str) -> Any:
    """A thing by its type and key, with what is selected of it; None where there is none."""
    kind = TYPES[label]
    asked = wanted(label, [node.selection_set for node in _nodes(info)], _fragments(info), exact=False)
    asked.parts["__typename"] = ("__typename", None)
    graph = info.context["graph"]
    text = await thing_of(graph, kind, key, shape_of(asked, label), asked, IN_FULL)
    return None if text is None else orjson.loads(text)


def _connection(page: Page) -> type:
    of = CLASSES[page.of]
    edge = type(f"{page.of}Edge", (), {"__annotations__": {"node": of, "cursor": str}})
    edge = described(node="The thing.", cursor="Where it stands in the list.")(edge)
    edge = strawberry.type(edge, description=f"A {page.of} in a page.")
    fields = {"nodes": list[of], "edges": list[edge], "page_info": PageInfo, "server_time": DateTime}  # type: ignore[valid-type]
    made = type(f"{page.of}Connection", (), {"__annotations__": fields})
    made = described(
        nodes="The things of this page.",
        edges="The same with the place of each.",
        page_info="Where the page ends.",
        server_time="The clock that deadlines were compared with.",
    )(made)
    return strawberry.type(made, description=f"A page of the list: {page.doc}")


@cache
def _filter_of(name: str) -> Any:
    """The input that filters a page, the same wherever it is taken."""
    page = PAGES[name]
    fields = {
        name: (value_type(one.annotation, f"{page.of}Filter", name), True)
        for name, one in page.filter.model_fields.items()
    }
    return made_input(f"{page.of}Filter", f"Which of the list: {page.doc}", fields)


def _page_field(page: Page) -> Any:
    arguments: dict[str, Any] = {camel(name): (strawberry.ID, strawberry.UNSET) for name in page.ids}
    for name in page.ids:
        arguments[camel(name)] = (strawberry.ID, NEEDED)
    arguments["first"] = (int, FIRST_DEFAULT)
    arguments["after"] = (str | None, None)
    if page.filter.model_fields:
        arguments["filter"] = (_filter_of(page.name) | None, None)
    sorts = page.sorts
    if len(sorts) > 1:
        values = tuple(name for one in sorts for name in (one, f"{one}_desc"))
        arguments["sort"] = (enum_of(f"{page.of}Sort", values, "What comes first.") | None, None)

    async def resolve(info: Info[Any, Any], given: dict[str, Any]) -> Any:
        return await _resolve_page(page, info, given)

    doc = f"{page.doc} At most {FIRST_MAX} at once."
    return strawberry.field(
        resolver=resolver_of(arguments, _connection(page), resolve), name=page.name, description=doc
    )


def _whole_field(root: Whole) -> Any:
    made: Any = object_of(root.model)
    title = root.name[:1].upper() + root.name[1:]
    arguments: dict[str, Any] = {}
    for shown, (name, taken) in root.arguments.items():
        if taken.body:
            arguments[shown] = (input_of(f"{title}Input", taken.annotation), NEEDED)
            continue
        kind = value_type(taken.annotation, f"{title}Filter", name)
        if name.endswith("_id") and kind in (str, str | None):
            kind = strawberry.ID
        arguments[shown] = (kind, NEEDED) if taken.needed else (kind if is_nullable(kind) else kind | None, None)

    async def resolve(info: Info[Any, Any], given: dict[str, Any]) -> Any:
        return await whole_of(info.context["graph"], root, given)

    answers = list[made] if root.many else made
    return strawberry.field(resolver=resolver_of(arguments, answers, resolve), name=root.name, description=root.doc)


class Graph(Schema):
    """Errors are told by `api/graphql/answering.py`, which knows what may leave; the library would log each of them."""

    def process_errors(self, *args: Any, **kwargs: Any) -> None:
        """Nothing."""


@cache
def schema() -> Graph:
    """The schema, made once."""
    fields: dict[str, Any] = {}
    for page in PAGES.values():
        fields[page.name] = _page_field(page)
    for root in WHOLES.values():
        fields[root.name] = _whole_field(root)

    async def find_node(info: Info[Any, Any], given: dict[str, Any]) -> Any:
        found = GLOBAL.fullmatch(given["id"])
        return (
            await resolve_thing(info, found[1], found[2])
            if found and found[1] in TYPES and found[1] not in BY_ROW
            else None
        )

    async def find_incident(info: Info[Any, Any], given: dict[str, Any]) -> Any:
        return await resolve_thing(info, "Incident", own_id(given["id"], AN_INCIDENT))

    async def tell_time(info: Info[Any, Any], given: dict[str, Any]) -> Any:
        return server_time(info.context["now"])

    needs_id = {"id": (strawberry.ID, NEEDED)}
    fields["node"] = strawberry.field(
        resolver=resolver_of(needs_id, Node | None, find_node),
        description="Anything with a global id; null if there is none.",
    )
    fields["incident"] = strawberry.field(
        resolver=resolver_of(needs_id, CLASSES["Incident"] | None, find_incident),
        description="An incident by global id, id or number.",
    )
    fields["server_time"] = strawberry.field(
        resolver=resolver_of({}, DateTime, tell_time), description="The clock of the service."
    )
    query = strawberry.type(type("Query", (), fields), description="What can be read.")
    live = subscription_type(_filter_of("incidents"))
    types = [CLASSES[name] for name in TYPES]
    return Graph(query=query, mutation=mutation_type(), subscription=live, config=CONFIG, types=types)


def text() -> str:
    """The schema as it is published: SDL."""
    return f"{schema().as_str()}\n"
