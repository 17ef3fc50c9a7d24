"""The log of a tenant: dense, each event once, each stream in its order, whoever writes and however many move."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from time import monotonic
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from app.database import Database
from app.events import append
from app.ids import new_id
from app.migrating import downgrade, upgrade
from app.sequencer import MOVED_AT_ONCE, Sequencer
from app.settings import Settings
from app.worker import Worker
from domain.actors import SYSTEM
from tests.cluster import Cluster
from tests.people import report


class Undone(Exception):
    """Rolls a transaction back."""


async def entries(database: Database, tenant: UUID) -> list[tuple[int, UUID, int]]:
    """Index, stream and sequence of what is in the log."""
    async with database.transaction(tenant, read_only=True) as db:
        rows = await db.fetch("SELECT log_index, stream_id, seq FROM log_entries ORDER BY log_index")
    return [tuple(row) for row in rows]


async def events(database: Database, tenant: UUID) -> int:
    async with database.transaction(tenant, read_only=True) as db:
        return int(await db.value("SELECT count(*) FROM events"))


def in_order(found: list[tuple[int, UUID, int]]) -> bool:
    """Whether the numbers are 1..n, and those of each stream count up from 1 too."""
    seqs: dict[UUID, list[int]] = {}
    for _, stream, seq in found:
        seqs.setdefault(stream, []).append(seq)
    dense = [index for index, _, _ in found] == list(range(1, len(found) + 1))
    return dense and all(some == list(range(1, len(some) + 1)) for some in seqs.values())


async def test_every_event_gets_one_place_in_the_order_of_its_stream(
    database: Database, tenant: Any, http: httpx.AsyncClient
) -> None:
    for _ in range(3):
        await report(http, playbook="data-leakage")
    assert await entries(database, tenant.tenant_id) == []
    moved = await Sequencer(database).work_for(tenant.tenant_id)
    found = await entries(database, tenant.tenant_id)
    assert len(found) == moved == await events(database, tenant.tenant_id)
    assert in_order(found)
    assert await Sequencer(database).work_for(tenant.tenant_id) == 0


async def test_many_sequencers_beside_many_writers_leave_no_gap_and_no_double(
    database: Database, tenant: Any, settings: Settings
) -> None:
    streams = [new_id() for _ in range(5)]
    draw = random.Random(7)
    plan = [[(draw.choice(streams), draw.random() < 0.2) for _ in range(20)] for _ in range(6)]
    written = 0

    async def write(some: list[tuple[UUID, bool]]) -> None:
        nonlocal written
        for stream, is_undone in some:
            with suppress(Undone):
                async with database.transaction(tenant.tenant_id) as db:
                    for _ in range(2):
                        await append(db, "client", stream, "client.changed", {}, actor=SYSTEM)
                    if is_undone:
                        raise Undone
                written += 2

    before = await events(database, tenant.tenant_id)
    sequencers = [Sequencer(database) for _ in range(3)]
    running = [asyncio.create_task(one.run()) for one in sequencers]
    poking = asyncio.create_task(poke(sequencers))
    await asyncio.gather(*(write(some) for some in plan))
    async with asyncio.timeout(20):
        while len(await entries(database, tenant.tenant_id)) < before + written:
            await asyncio.sleep(0.01)
    poking.cancel()
    for one in sequencers:
        one.stop()
    await asyncio.gather(*running)
    assert await Sequencer(database).work_for(tenant.tenant_id) == 0
    found = await entries(database, tenant.tenant_id)
    assert len(found) == before + written == await events(database, tenant.tenant_id)
    assert in_order(found)


async def poke(sequencers: list[Sequencer]) -> None:
    while True:
        for one in sequencers:
            one.wake.set()
        await asyncio.sleep(0.002)


async def test_what_commits_late_gets_a_later_place(database: Database, tenant: Any) -> None:
    await Sequencer(database).work_for(tenant.tenant_id)
    head = len(await entries(database, tenant.tenant_id))
    slow, quick = new_id(), new_id()
    async with database.transaction(tenant.tenant_id) as late:
        await append(late, "client", slow, "client.changed", {}, actor=SYSTEM)
        async with database.transaction(tenant.tenant_id) as db:
            await append(db, "client", quick, "client.changed", {}, actor=SYSTEM)
        assert await Sequencer(database).work_for(tenant.tenant_id) == 1
    assert await Sequencer(database).work_for(tenant.tenant_id) == 1
    found = await entries(database, tenant.tenant_id)
    assert found[head:] == [(head + 1, quick, 1), (head + 2, slow, 1)]


async def test_a_crowd_of_one_tenant_is_moved_in_parts(
    database: Database, tenant: Any, superuser: asyncpg.Connection
) -> None:
    stream = new_id()
    await superuser.execute(
        "INSERT INTO events (tenant_id, stream, stream_id, seq, kind, occurred_at, recorded_at, actor_kind, actor_id,"
        " data_digest, prev_hash, hash) SELECT $1, 'client', $2, n, 'client.changed', now(), now(), 'system', $2,"
        " '', '', n::text FROM generate_series(1, $3::integer) n",
        tenant.tenant_id,
        stream,
        MOVED_AT_ONCE + 10,
    )
    assert await Sequencer(database).work_for(tenant.tenant_id) > MOVED_AT_ONCE
    assert in_order(await entries(database, tenant.tenant_id))


async def test_a_worker_gives_a_place_at_once(database: Database, tenant: Any, settings: Settings) -> None:
    worker = Worker(database, settings)
    running = asyncio.create_task(worker.run())
    try:
        async with asyncio.timeout(5):
            while not worker.sequencer.is_heard:
                await asyncio.sleep(0.01)
        took = []
        for _ in range(9):
            async with database.transaction(tenant.tenant_id) as db:
                await append(db, "client", stream := new_id(), "client.changed", {}, actor=SYSTEM)
            began = monotonic()
            async with asyncio.timeout(3):  # less than it looks by itself
                while stream not in {one for _, one, _ in await entries(database, tenant.tenant_id)}:
                    await asyncio.sleep(0.002)
            took.append(monotonic() - began)
        assert sorted(took)[4] < 0.5, took
    finally:
        worker.stop()
        await asyncio.wait_for(running, 5)


async def test_what_happened_before_the_log_is_numbered_as_it_was_recorded(
    cluster: Cluster, new_database: Callable[..., Any]
) -> None:
    name = await new_database()
    dsn = cluster.superuser_dsn(name)
    await downgrade(dsn, "0029")
    connection = await asyncpg.connect(dsn)
    try:
        tenant, first, second = new_id(), new_id(), new_id()
        # The clock of `first` stepped back between its events.
        for stream, seq, minute in ((first, 1, 2), (second, 1, 1), (first, 2, 0), (second, 2, 3)):
            await connection.execute(
                "INSERT INTO events (tenant_id, stream, stream_id, seq, kind, occurred_at, recorded_at, actor_kind,"
                " actor_id, data_digest, prev_hash, hash) VALUES ($1, 'client', $2, $3, 'client.changed', now(),"
                " 'epoch'::timestamptz + $4::interval, 'system', $2, '', '', '')",
                tenant,
                stream,
                seq,
                timedelta(minutes=minute),
            )
        await upgrade(dsn)
        rows = await connection.fetch(
            "SELECT log_index, stream_id, seq FROM log_entries WHERE tenant_id = $1 ORDER BY 1", tenant
        )
        assert [tuple(row) for row in rows] == [(1, second, 1), (2, first, 1), (3, first, 2), (4, second, 2)]
        assert await connection.fetchval("SELECT count(*) FROM log_pending") == 0
    finally:
        await connection.close()


@pytest.mark.parametrize("statement", ["UPDATE log_entries SET log_index = 9", "DELETE FROM log_entries"])
async def test_nobody_changes_a_place(database: Database, tenant: Any, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with database.transaction(tenant.tenant_id) as db:
            await db.execute(statement)
