"""Answering one GraphQL request: exactly, one statement per root field whose text is spliced into the answer; or by the
ordinary executor where a selection says more than that."""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

import orjson
import structlog
from graphql import ExecutionResult, FieldNode, GraphQLError, OperationType, execute
from graphql.execution.values import get_argument_values, get_variable_values
from starlette.requests import Request

from api.errors import Unavailable
from api.global_ids import AN_INCIDENT, GLOBAL, own_id
from api.graphql.calls import GraphCall
from api.graphql.cost import COST_MAX, ERRORS_MAX, TooMuch, cost_of
from api.graphql.documents import Document, Refused, document_of
from api.graphql.objects import object_of
from api.graphql.plain_data import PlainExecutor
from api.graphql.resolving import plain_value
from api.graphql.roots import (
    BY_ROW,
    PAGES,
    WHOLES,
    connection_text,
    nodes_of,
    picked,
    slice_of,
    telling_of,
    thing_of,
    whole_of,
)
from api.graphql.schema import schema
from api.graphql.selection import NotExact, Wanted, fields_of, shape_of, wanted
from api.graphql.types import TYPES
from app.authentication import Principal
from app.database import DatabaseAway, Db
from app.offers import Telling
from app.reading import server_time
from app.statements import Shape
from domain.permissions import may_ever
from domain.refusals import Refusal

log = structlog.get_logger("holdfast.graphql")
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Planned:
    """One root field, worked out as far as it does not depend on the caller: a page, a whole object or a thing."""

    key: str
    node: FieldNode
    name: str
    asked: Wanted | None = None
    shape: Shape | None = None
    telling: Telling | None = None


def plan_of(document: Document) -> list[Planned] | None:
    """How to answer the query exactly; None when it cannot be. Kept with the document."""
    if "exact" not in document.plans:
        try:
            document.plans["exact"] = [
                _planned(node, document)
                for node in fields_of(document.operation.selection_set, "Query", document.fragments, exact=True)
            ]
        except NotExact:
            document.plans["exact"] = None
    found: list[Planned] | None = document.plans["exact"]
    return found


def _planned(node: FieldNode, document: Document) -> Planned:
    key, name = (node.alias or node.name).value, node.name.value
    if name in PAGES:
        page = PAGES[name]
        asked = nodes_of(node.selection_set, page, document.fragments, exact=True)
        return Planned(key, node, name, asked, shape_of(asked, page.of), telling_of(asked))
    if name in WHOLES:
        made = object_of(WHOLES[name].model).__name__
        asked = wanted(made, [node.selection_set], document.fragments, exact=True)
        return Planned(key, node, name, asked)
    if name == "incident":
        asked = wanted("Incident", [node.selection_set], document.fragments, exact=True)
        return Planned(key, node, name, asked, shape_of(asked, "Incident"), telling_of(asked))
    if name in ("node", "serverTime", "__typename"):
        return Planned(key, node, name)
    raise NotExact


async def answer(request: Request, text: Callable[[], str], variables: Json) -> bytes:
    """The answer of one request as JSON text.

    The document is looked for and read once the caller is known: a stranger's is not even parsed. Raises
    Unauthenticated and what else concerns the whole request; refusals of single fields are in the answer.
    """
    graph = GraphCall(request)

    async def work(db: Db, principal: Principal) -> bytes | Document:
        try:
            document = document_of(text(), schema()._schema)
            given = coerced(document, variables, principal)
        except Refused as refused:
            return told(None, refused.errors, request)
        if document.kind is OperationType.QUERY:
            return await _answer_query(graph, document, variables, given)
        return document

    found = await graph.within(work)
    if isinstance(found, bytes):
        return found
    if found.kind is OperationType.MUTATION:  # each of its fields is a transaction of its own, in their order
        return await _run(found, variables, {"request": request})
    return told(None, [GraphQLError("Subscriptions are answered over a WebSocket at /graphql.")], request)


async def _answer_query(graph: GraphCall, document: Document, variables: Json, given: Any) -> bytes:
    exact = None if document.introspects else plan_of(document)
    keys = [one.key for one in exact or ()]
    if exact is not None and len(set(keys)) == len(keys):
        try:
            parts = [f'"{one.key}":{await _exactly(graph, one, document, given)}' for one in exact]
            return f'{{"data":{{{",".join(parts)}}}}}'.encode()
        except (Refusal, NotExact, GraphQLError):
            pass  # the ordinary executor says where it happened, and answers the rest
    return await _ordinarily(graph, document, variables)


def coerced(document: Document, variables: Json, principal: Principal) -> Any:
    """The variables of a document. Raises Refused for wrong ones, for its cost, and for asking without a grant."""
    if document.introspects and not may_ever("graph.introspect", principal.roles, principal.kind):
        message = "Introspection needs a grant; the schema is published with the service's source."
        raise Refused([GraphQLError(message, extensions={"code": "forbidden"})])
    definitions = document.operation.variable_definitions or ()
    found = get_variable_values(schema()._schema, definitions, variables, max_errors=ERRORS_MAX)
    if isinstance(found, list):
        raise Refused(found)
    cost = cost_of(document.operation, document.fragments, found_values(found))
    if cost > COST_MAX:
        raise Refused([TooMuch("objects", COST_MAX)])
    return found


def found_values(found: Any) -> Json:
    """The coerced values by name."""
    values: Json = found.coerced if hasattr(found, "coerced") else dict(found)
    return values


async def _exactly(graph: GraphCall, one: Planned, document: Document, variables: Any) -> str:
    if one.name == "__typename":
        return '"Query"'
    query = schema()._schema.query_type
    assert query is not None
    definition = query.fields[one.name]
    arguments = {
        name: plain_value(value) for name, value in get_argument_values(definition, one.node, variables).items()
    }
    if one.name in PAGES:
        assert one.asked is not None
        assert one.shape is not None
        assert one.telling is not None
        page = PAGES[one.name]
        found = await slice_of(graph, page, arguments, one.shape, one.asked)
        return connection_text(one.node, page, found, one.telling, graph.principal, document.fragments)
    if one.name in WHOLES:
        assert one.asked is not None
        root = WHOLES[one.name]
        whole = await whole_of(graph, root, arguments)
        return orjson.dumps(picked(one.asked, object_of(root.model).__name__, whole)).decode()
    if one.name == "serverTime":
        return f'"{server_time(graph.now)}"'
    return await _thing(graph, one, document, arguments)


async def _thing(graph: GraphCall, one: Planned, document: Document, arguments: Json) -> str:
    label, key = "Incident", ""
    asked, shape, telling = one.asked, one.shape, one.telling
    if one.name == "node":
        found = GLOBAL.fullmatch(arguments["id"])
        if found is None or found[1] not in TYPES or found[1] in BY_ROW:
            return "null"
        label, key = found[1], found[2]
        asked = wanted(label, [one.node.selection_set], document.fragments, exact=True)
        shape, telling = shape_of(asked, label), telling_of(asked)
    else:
        key = own_id(arguments["id"], AN_INCIDENT)
    assert asked is not None
    assert shape is not None
    assert telling is not None
    return await thing_of(graph, TYPES[label], key, shape, asked, telling) or "null"


async def _ordinarily(graph: GraphCall, document: Document, variables: Json) -> bytes:
    """By the executor of the library. A fault of ours ends the transaction, as it does when the answer is exact: it is
    tried again where that helps, and is told by the one who tells all faults."""
    result = await _executed(document, variables, {"graph": graph, "request": graph.request, "now": graph.now})
    for error in result.errors or ():
        if error.original_error is not None and not isinstance(error.original_error, GraphQLError | Refusal):
            raise error.original_error
    return told(result.data, list(result.errors or ()), graph.request)


async def _run(document: Document, variables: Json, context: Json) -> bytes:
    """Mutations, each in a transaction of its own: what one of them met takes back nothing of the others."""
    result = await _executed(document, variables, context)
    return told(result.data, list(result.errors or ()), context["request"])


async def _executed(document: Document, variables: Json, context: Json) -> ExecutionResult:
    """The executor of the library is given the document as it was read and validated once."""
    running = execute(schema()._schema, document.tree, None, context, variables, executor_class=PlainExecutor)
    return await running if isawaitable(running) else running


def told(data: Any, errors: list[GraphQLError], request: Request) -> bytes:
    """Data and errors as JSON text. Raises Unavailable when the database was away."""
    if any(isinstance(one.original_error, DatabaseAway) for one in errors):
        raise Unavailable
    answer: Json = {"data": data}
    if errors:
        answer["errors"] = [error_of(one, request) for one in errors[:ERRORS_MAX]]
    return orjson.dumps(answer, default=str)


def error_of(error: GraphQLError, request: Request) -> Json:
    """An error as callers see it: refusals and faults of the document in words, anything else as a reference alone."""
    original, extensions = error.original_error, dict(error.extensions or {})
    if isinstance(original, Refusal):
        message = original.detail
        extensions |= {"code": original.code, "gate": original.gate, "errors": _plain(original.errors)}
    elif (original is None or isinstance(original, GraphQLError)) and not _is_ours(error):
        message = error.message
        extensions.setdefault("code", "invalid-document")
    else:
        reference = str(request.scope.get("holdfast.request_id", "-"))
        log.error("graph field failed", error=type(original or error).__name__, request_id=reference)
        message = "Something went wrong here; the reference helps us to find it."
        extensions = {"code": "internal", "reference": reference}
    told_of: Json = {"message": message, "extensions": {k: v for k, v in extensions.items() if v not in (None, [])}}
    if error.path:
        told_of["path"] = list(error.path)
    if error.locations:
        told_of["locations"] = [{"line": one.line, "column": one.column} for one in error.locations]
    return told_of


def _is_ours(error: GraphQLError) -> bool:
    """Whether a value that we found cannot be told: the library quotes it. An argument that cannot be meant is not."""
    return (
        error.path is not None and "code" not in (error.extensions or {}) and not error.message.startswith("Argument ")
    )


def _plain(faults: Any) -> list[Json]:
    return [{"pointer": one.pointer, "reason": one.reason} for one in faults]


__all__ = ["answer", "error_of", "told"]
