"""Work that costs little more for many than for one: what is asked for while some is under way is done together."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar
from uuid import UUID

from app.database import DatabaseAway

Item = TypeVar("Item")
Found = TypeVar("Found")


class Gathering(Generic[Item, Found]):
    """Hands items to `work`, those of one tenant together, and each caller what became of its own."""

    def __init__(
        self,
        work: Callable[[UUID, Sequence[Item]], Awaitable[Sequence[Found]]],
        *,
        at_once: int,
        most: int,
        linger_seconds: float,
    ) -> None:
        """`work` answers one result per item, in their order; it is called with at most `most` items, `at_once` times
        at a time, and after `linger_seconds` in which others may come."""
        self._work = work
        self._at_once = at_once
        self._most = most
        self._linger_seconds = linger_seconds
        self._waiting: dict[UUID, deque[tuple[Item, asyncio.Future[Found]]]] = {}
        self._runs: set[asyncio.Task[None]] = set()

    async def do(self, tenant_id: UUID, item: Item) -> Found:
        """What became of the item. Raises what `work` raises for it."""
        found: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant_id, deque()).append((item, found))
        if len(self._runs) < self._at_once:
            run = asyncio.create_task(self._run())
            self._runs.add(run)
            run.add_done_callback(self._runs.discard)
        return await found

    async def _run(self) -> None:
        await asyncio.sleep(self._linger_seconds)
        while self._waiting:
            tenant_id = next(iter(self._waiting))  # in turns: one with very much to do goes to the end of the row
            waiting = self._waiting.pop(tenant_id)
            some = [waiting.popleft() for _ in range(min(self._most, len(waiting)))]
            if waiting:
                self._waiting[tenant_id] = waiting
            await self._do(tenant_id, some)

    async def _do(self, tenant_id: UUID, some: Sequence[tuple[Item, "asyncio.Future[Found]"]]) -> None:
        try:
            results = await self._work(tenant_id, [item for item, _ in some])
        except Exception as error:
            if len(some) > 1 and not isinstance(error, DatabaseAway):
                for one in some:  # one that cannot be done must not keep the others from it
                    await self._do(tenant_id, [one])
                return
            for _, found in some:
                if not found.done():
                    found.set_exception(error)
            return
        for (_, found), result in zip(some, results, strict=True):
            if not found.done():  # its caller may be gone
                found.set_result(result)
