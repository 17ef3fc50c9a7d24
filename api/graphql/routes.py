"""POST /graphql: one operation per request, as JSON."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from starlette.requests import Request
from starlette.responses import Response

from api.fields import In, JsonObject, Out
from api.graphql.answering import answer
from api.graphql.trusted import text_to_run
from api.routing import declares, router
from app.settings import Settings

routes = router("Graph", prefix="")
DocumentId = Annotated[str, StringConstraints(pattern=r"^(sha256:)?[0-9a-fA-F]{64}$")]


class PersistedQuery(In):
    """A trusted document, in the words of clients that send ids of their own accord."""

    sha256Hash: DocumentId
    version: Literal[1] = 1


class Extensions(BaseModel):
    """What clients send along. Only `persistedQuery` means something here."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    persistedQuery: PersistedQuery | None = None


class GraphRequest(In):
    """A document and its variables. A document has one operation, so `operationName` only repeats its name.

    A trusted document may be named instead: `documentId`, or `sha256Hash` of `persistedQuery`, is the SHA-256 of its
    text.
    """

    query: Annotated[str, Field(max_length=15_000)] | None = None
    documentId: DocumentId | None = None
    variables: Annotated[dict[str, Any], Field(max_length=100)] | None = None
    operationName: Annotated[str, Field(max_length=200)] | None = None
    extensions: Extensions | None = None

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        if self.query is None and self.id is None:
            raise ValueError("send a document as `query`, or the id of a trusted one as `documentId`")
        return self

    @property
    def id(self) -> str | None:
        """The id of a trusted document, if one is named."""
        hashed = self.extensions.persistedQuery if self.extensions else None
        return self.documentId or (hashed.sha256Hash if hashed else None)

    def text(self, settings: Settings) -> str:
        """The document to run. Raises Refused for an unknown id, and for what has to be trusted and is not."""
        folder, only = settings.graphql_operations, settings.graphql_trusted_only
        return text_to_run(self.query, self.id, folder, trusted_only=only)


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
    text = await answer(request, lambda: body.text(request.app.state.settings), body.variables or {})
    return Response(text, 200, None, "application/json; charset=utf-8")
