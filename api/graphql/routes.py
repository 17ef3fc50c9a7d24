"""POST /graphql: one operation per request, as JSON."""

from typing import Annotated, Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from api.fields import In, JsonObject, Out
from api.graphql.answering import answer
from api.routing import declares, router

routes = router("Graph", prefix="")


class GraphRequest(In):
    """A document and its variables. A document has one operation, so `operationName` only repeats its name."""

    query: Annotated[str, Field(max_length=15_000)]
    variables: Annotated[dict[str, Any], Field(max_length=100)] | None = None
    operationName: Annotated[str, Field(max_length=200)] | None = None
    extensions: Annotated[dict[str, Any], Field(max_length=20)] | None = None


class GraphError(Out):
    """What went wrong, at which place of the answer; `extensions.code` is the stable word for it."""

    message: str
    extensions: JsonObject
    path: list[str | int] | None = None
    locations: list[JsonObject] | None = None


class GraphAnswer(Out):
    """`data` as selected; `errors` where a part could not be answered."""

    data: JsonObject | None
    errors: list[GraphError] | None = None


@routes.post("/graphql", **declares("me.read", answer=GraphAnswer))
async def graphql(request: Request, body: GraphRequest) -> Response:
    """Run a query or a mutation of openapi/schema.graphql."""
    text = await answer(request, body.query, body.variables or {})
    return Response(text, 200, None, "application/json; charset=utf-8")
