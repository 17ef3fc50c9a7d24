"""A GraphQL request on its way: one read-only transaction for a query, one transaction per mutation."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.calls import CallOfRequest, Query, UseCase, check_operation
from app.answers import Answer, Page
from app.authentication import Principal, wall
from app.database import Db
from app.idempotency import IdempotencyKey, idempotency_key
from app.reading import Slice, page_of
from app.statements import Reader, Shape
from domain.refusals import NotFound

T = TypeVar("T")


class GraphCall(CallOfRequest):
    """The call behind one query: one read-only transaction that its root fields share."""

    __slots__ = ("_open", "_turn", "now")

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self._open: tuple[Db, Principal] | None = None
        self._turn = asyncio.Lock()
        self.now = datetime.now(UTC)

    async def within(self, work: Callable[[Db, Principal], Awaitable[T]]) -> T:
        """Do `work` in one read-only transaction; `take` inside it uses the same one."""

        async def begun(db: Db) -> T:
            principal, _ = await self._keeper.authenticate(db, self.request)
            await wall(db, principal)
            self._open = db, principal
            try:
                return await work(db, principal)
            finally:
                self._open = None

        return await self.database.run(self.tenant_id, begun, read_only=True)

    @property
    def principal(self) -> Principal:
        """Who asks."""
        assert self._open is not None, "a root field is read within a query"
        return self._open[1]

    async def take(self, ask: Callable[[Db, Principal], Awaitable[T]]) -> T:
        """Ask in the open transaction: root fields run side by side, a connection serves one at a time."""
        assert self._open is not None, "a root field is read within a query"
        async with self._turn:
            return await ask(*self._open)


class RootCall(CallOfRequest):
    """The call behind one root field: an endpoint of REST reads through it, in the shape that was selected."""

    __slots__ = ("_graph", "_shape", "found")

    def __init__(self, graph: GraphCall, shape: Shape | None = None) -> None:
        super().__init__(graph.request)
        self._graph, self._shape = graph, shape
        self.found: Slice | None = None

    @property
    def shape(self) -> Shape | None:
        """The selection."""
        return self._shape

    @property
    def wants_csv(self) -> bool:
        """Never."""
        return False

    def show(self, found: Slice, noun: str, reader: Reader) -> Page:
        """Keep the rows: the root field makes a connection of them. A list that is read whole is as REST shows it."""
        if self._shape is None:
            return page_of(found, noun, reader)
        self.found = found
        return Page("")

    async def read(self, operation: str | None, query: Query) -> Response:
        """Ask in the transaction of the query. Raises NotFound for None, as REST does."""

        async def ask(db: Db, principal: Principal) -> Any:
            check_operation(operation, principal)
            return await query(db, principal)

        found = await self._graph.take(ask)
        if found is None:
            raise NotFound
        if isinstance(found, Response):
            return found
        return Response(found.body if isinstance(found, Page | Answer) else found)


class MutationCall(CallOfRequest):
    """The call behind one mutation: the endpoint of REST writes, and what was selected is read before the commit."""

    __slots__ = ("_given", "_if_match", "_key", "_name", "_select", "selected")

    def __init__(
        self,
        request: Request,
        name: str,
        given: Mapping[str, Any],
        select: Callable[[Db, Principal, Answer], Awaitable[dict[str, Any]]],
        *,
        key: str | None,
        if_match: str | None,
    ) -> None:
        super().__init__(request)
        self._name, self._given, self._select, self._key, self._if_match = name, given, select, key, if_match
        self.selected: dict[str, Any] | None = None

    @property
    def if_match(self) -> str | None:
        """The version that the caller means to change."""
        return self._if_match

    @property
    def wants_csv(self) -> bool:
        """Never."""
        return False

    async def write(self, operation: str | None, use_case: UseCase, *, body_digest: bytes | None = None) -> Response:
        """As REST writes; the stored answer of a repeated key is read anew, as far as it is selected."""

        async def and_select(db: Db, principal: Principal) -> Answer:
            given = await use_case(db, principal)
            self.selected = await self._select(db, principal, given)
            return given

        response = await super().write(operation, and_select, body_digest=body_digest)
        if self.selected is None:
            stored = Answer(bytes(response.body).decode() or None)

            async def again(db: Db) -> dict[str, Any]:
                principal, _ = await self._keeper.authenticate(db, self.request)
                await wall(db, principal)
                return await self._select(db, principal, stored)

            self.selected = await self.database.run(self.tenant_id, again, read_only=True)
        return response

    async def _idempotency_key(self, body_digest: bytes | None) -> IdempotencyKey | None:
        if self._key is None:
            return None
        text = orjson.dumps(self._given, option=orjson.OPT_SORT_KEYS)
        return idempotency_key(self._key, route=f"MUTATION {self._name}", path=self._name, query=b"", body=text)
