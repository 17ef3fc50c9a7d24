"""A call: one request on its way to a use case and back, with everything around it in one transaction.

A route takes `call: Call` and hands over a function that does the work with an open, walled transaction. Committing,
idempotency, permissions, repeating after a lost race, and recording a gate's refusal happen here and nowhere else.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated
from urllib.parse import parse_qsl, urlencode

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response

from api.doorkeeper import Doorkeeper
from api.errors import Unavailable, log
from app.answers import Answer, Page
from app.authentication import Principal, wall
from app.database import Db
from app.idempotency import AnsweredElsewhere, IdempotencyKey, InFlight, find_answer, idempotency_key, store_answer
from app.reading import Slice, page_of
from app.refused import record_refusal
from app.secrets import Claim
from app.sign_in import SignIn
from app.statements import Reader, Shape
from domain.permissions import may_ever
from domain.refusals import Forbidden, GateRefused, NotFound

JSON = "application/json; charset=utf-8"

UseCase = Callable[[Db, Principal], Awaitable[Answer]]
Query = Callable[[Db, Principal], Awaitable[str | bytes | Page | Answer | Response | None]]


class CallOfRequest:
    """One request. `tenant_id` is what the credential claims: true only inside `read` and `write`."""

    __slots__ = ("_keeper", "claim", "database", "request", "settings", "tenant_id", "vault")

    def __init__(self, request: Request) -> None:
        keeper: Doorkeeper = request.app.state.keeper
        claim: Claim | SignIn = request.scope["holdfast.claim"]
        self._keeper = keeper
        self.request = request
        self.database = keeper.database
        self.settings = keeper.settings
        self.vault = keeper.vault
        self.claim = claim
        self.tenant_id = claim.tenant_id

    @property
    def if_match(self) -> str | None:
        """The entity tag of `If-Match` without its quotes; None when the caller does not ask or says `*`.

        A weak tag keeps its `W/` and so never equals one of ours, as RFC 9110 wants it.
        """
        given = self.request.headers.get("if-match", "").strip()
        return given.strip('"') if given not in {"", "*"} else None

    @property
    def wants_csv(self) -> bool:
        """Whether the caller asks for CSV."""
        return "text/csv" in self.request.headers.get("accept", "")

    @property
    def shape(self) -> Shape | None:
        """What a list is to show instead of its summaries; None for the usual."""
        return None

    def show(self, found: Slice, noun: str, reader: Reader) -> Page:
        """The rows of a list as this door answers them."""
        return page_of(found, noun, reader)

    async def write(self, operation: str | None, use_case: UseCase, *, body_digest: bytes | None = None) -> Response:
        """Do `use_case` in one transaction and answer what it returned.

        `operation` is a row of the permission table: who may never do it is refused with 403 before any work (None: the
        use case decides alone). `body_digest` stands for a body that was streamed.
        """
        key = await self._idempotency_key(body_digest)
        principal: Principal | None = None

        async def work(db: Db) -> Answer:
            nonlocal principal
            principal, locked = await self._keeper.authenticate(db, self.request, key.lock if key else None)
            if key:
                if not locked:
                    raise InFlight
                stored = await find_answer(db, principal, key, self.vault)
                if stored is not None:
                    return stored
            check_operation(operation, principal)
            await wall(db, principal)
            given = await use_case(db, principal)
            if key:
                await store_answer(db, principal, key, given, self.vault)
            return given

        try:
            given = await self.database.run(self.tenant_id, work)
        except AnsweredElsewhere:
            given = await self.database.run(self.tenant_id, work)  # now the lookup finds what the other one stored
        except GateRefused as refusal:
            assert principal is not None
            try:
                await record_refusal(self.database, principal, refusal)
            except Exception as error:
                log.error("gate refusal not recorded", error=type(error).__name__)
                raise Unavailable from error
            raise
        return respond(given)

    async def read(self, operation: str | None, query: Query) -> Response:
        """Ask `query` in one read-only transaction and answer its text; None reads as not found."""

        async def work(db: Db) -> str | bytes | Page | Answer | Response | None:
            principal, _ = await self._keeper.authenticate(db, self.request)
            check_operation(operation, principal)
            await wall(db, principal)
            return await query(db, principal)

        found = await self.database.run(self.tenant_id, work, read_only=True)
        if found is None:
            raise NotFound
        if isinstance(found, Response):
            return found
        if isinstance(found, Answer):
            return respond(found)
        if isinstance(found, Page):
            headers = {"Link": self.next_link(found.next_cursor)} if found.next_cursor else None
            return Response(found.body, 200, headers, JSON)
        return Response(found, 200, None, JSON)

    async def authorise(self, operation: str | None) -> Principal:
        """Who calls, asked in a short transaction of its own: before a long upload, during which none is open."""

        async def work(db: Db) -> Principal:
            principal, _ = await self._keeper.authenticate(db, self.request)
            check_operation(operation, principal)
            return principal

        return await self.database.run(self.tenant_id, work, read_only=True)

    async def _idempotency_key(self, body_digest: bytes | None) -> IdempotencyKey | None:
        text = self.request.headers.get("idempotency-key")
        if text is None or self.request.method != "POST":
            return None
        scope = self.request.scope
        return idempotency_key(
            text,
            route=f"{scope['method']} {scope['route'].path}",
            path=scope["path"],
            query=scope["query_string"],
            body=await self.request.body() if body_digest is None else body_digest,
        )

    def next_link(self, cursor: str) -> str:
        """The `Link` header that leads to the following page."""
        pairs = [pair for pair in parse_qsl(self.request.scope["query_string"].decode()) if pair[0] != "cursor"]
        return f'<{self.request.scope["path"]}?{urlencode([*pairs, ("cursor", cursor)])}>; rel="next"'


def _call(request: Request) -> CallOfRequest:
    return CallOfRequest(request)


Call = Annotated[CallOfRequest, Depends(_call)]


def respond(given: Answer) -> Response:
    """The HTTP answer for what a use case returned."""
    return Response(given.body, given.status, given.headers, None if given.body is None else JSON)


def check_operation(operation: str | None, principal: Principal) -> None:
    """Raise Forbidden when none of the caller's roles could ever allow this row of the permission table."""
    if operation is not None and not may_ever(operation, principal.roles, principal.kind):
        raise Forbidden(f"None of your roles allows `{operation}`. The permission table says which do.")
