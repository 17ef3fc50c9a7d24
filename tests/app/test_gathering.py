"""Gathering: what comes while others are under way is done with them, and one that fails keeps no other from it."""

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from app.database import DatabaseAway
from app.gathering import Gathering


class Calls:
    """Work that notes with what it was called and doubles each item; 13 cannot be doubled, 0 finds no database."""

    def __init__(self) -> None:
        self.calls: list[tuple[UUID, list[int]]] = []
        self.let = asyncio.Event()
        self.let.set()

    async def __call__(self, tenant_id: UUID, items: Sequence[int]) -> Sequence[int]:
        self.calls.append((tenant_id, list(items)))
        await self.let.wait()
        if 13 in items:
            raise ValueError
        if 0 in items:
            raise DatabaseAway
        return [2 * item for item in items]


def gathering(work: Calls, *, at_once: int = 1, most: int = 10) -> Gathering[int, int]:
    return Gathering(work, at_once=at_once, most=most, linger_seconds=0)


async def test_what_comes_meanwhile_is_done_together_and_each_caller_gets_its_own() -> None:
    work, tenant = Calls(), uuid4()
    work.let.clear()
    gathered = gathering(work)
    waiting = [asyncio.create_task(gathered.do(tenant, number)) for number in range(1, 2)]
    while not work.calls:
        await asyncio.sleep(0)
    waiting += [asyncio.create_task(gathered.do(tenant, number)) for number in range(2, 16) if number != 13]
    await asyncio.sleep(0)
    work.let.set()
    assert await asyncio.gather(*waiting) == [2 * number for number in range(1, 16) if number != 13]
    assert [len(items) for _, items in work.calls] == [1, 10, 3]


async def test_tenants_take_turns_and_are_never_mixed() -> None:
    work, many, few = Calls(), uuid4(), uuid4()
    gathered = gathering(work, most=2)
    await asyncio.gather(*(gathered.do(many, number) for number in range(1, 7)), gathered.do(few, 7))
    assert work.calls == [(many, [1, 2]), (few, [7]), (many, [3, 4]), (many, [5, 6])]


async def test_one_that_fails_keeps_no_other_from_it() -> None:
    work, tenant = Calls(), uuid4()
    gathered = gathering(work)
    found = await asyncio.gather(*(gathered.do(tenant, number) for number in (1, 13, 2)), return_exceptions=True)
    assert found[0] == 2 and found[2] == 4 and isinstance(found[1], ValueError)


async def test_a_database_that_is_away_is_not_asked_for_each() -> None:
    work, tenant = Calls(), uuid4()
    gathered = gathering(work)
    found = await asyncio.gather(*(gathered.do(tenant, number) for number in (1, 0, 2)), return_exceptions=True)
    assert all(isinstance(one, DatabaseAway) for one in found)
    assert len(work.calls) == 1


async def test_a_caller_that_is_gone_is_left_out() -> None:
    work, tenant = Calls(), uuid4()
    work.let.clear()
    gathered = gathering(work)
    gone, stays = (asyncio.create_task(gathered.do(tenant, number)) for number in (1, 2))
    while not work.calls:
        await asyncio.sleep(0)
    gone.cancel()
    work.let.set()
    assert await stays == 4
    with pytest.raises(asyncio.CancelledError):
        await gone
