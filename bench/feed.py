"""The feed of events: how soon one is told, how fast places are given, and what a page costs beside a long history."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import asyncpg
import httpx

from app.events import append
from app.ids import new_id
from app.tenants import NewTenant, create_tenant
from bench.figures import Figure
from bench.measures import RUNS, WARM_SECONDS
from bench.rig import DATABASE, Rig
from domain.actors import SYSTEM

FEW, MANY = 1_000, 100_000  # events of the two logs that are compared
PAGE = 100
ALONE = 40  # events of which each finds everything idle
WAIT_SECONDS = 240.0
LOOK_SECONDS = 0.02
_WRITE = (
    """
    INSERT INTO events (tenant_id, stream, stream_id, seq, kind, occurred_at, recorded_at, actor_kind, actor_id,
                        data_digest, prev_hash, hash)
    SELECT $1, 'client', gen_random_uuid(), 1, 'client.changed', now(), now(), 'system', $1,
           repeat('0', 64), repeat('0', 64), encode(sha256(n::text::bytea), 'hex')
    FROM generate_series(1, $2::integer) n
    """,
    """
    INSERT INTO event_data (tenant_id, stream, stream_id, seq, salt, data)
    SELECT tenant_id, stream, stream_id, seq, '\\x00', '{"fields": ["name"]}' FROM events
    WHERE tenant_id = $1 AND kind = 'client.changed' AND $2 > 0
    """,
)
_ENTRIES = "SELECT coalesce(max(log_index), 0) FROM log_entries WHERE tenant_id = $1"


async def figures(rig: Rig, seconds: float) -> AsyncIterator[Figure]:
    """All of them, each with a tenant of its own."""
    yield await _told(rig)
    few, many = [await create_tenant(rig.database, f"{count} events") for count in (FEW, MANY)]
    await _fill(rig, few, FEW)
    rate = await _fill(rig, many, MANY)
    yield Figure("Places given in the log, one worker", "per second", [rate], 2_000.0, "higher")
    await rig.settle()
    path = f"/v1/events?limit={PAGE}&after={{}}"
    small, large = (rig.get(path.format(n - PAGE), key=one.key) for n, one in ((FEW, few), (MANY, many)))
    await rig.sample(rig.own, small, WARM_SECONDS / 2)
    await rig.sample(rig.own, large, WARM_SECONDS / 2)
    ratios, times = [], []
    for _ in range(RUNS):
        short, long = await rig.sample(rig.own, small, seconds), await rig.sample(rig.own, large, seconds)
        ratios.append(long.server_us / short.server_us if short.server_us else float("inf"))
        times.append((long.server_us + long.database_us) / 1e3)
    note = f"{times[len(times) // 2]:.1f} ms of processor time each"
    yield Figure(f"The last page of {PAGE} events: {MANY:,} in the log to {FEW:,}", "x time", ratios, 1.2, note=note)


async def _told(rig: Rig) -> Figure:
    """From a commit to the reader of a stream when nothing else happens."""
    tenant = await create_tenant(rig.database, "Read")
    headers = {"Authorization": f"Bearer {tenant.key}", "Accept": "text/event-stream"}
    address = f"http://127.0.0.1:{rig.own.port}"
    came = asyncio.Queue[tuple[str, float]]()
    delays = []
    async with httpx.AsyncClient(base_url=address, headers=headers, timeout=30, trust_env=False) as http:
        reading = asyncio.create_task(_read(http, came))
        for number in range(ALONE + 3):
            await asyncio.sleep(0.1)
            stream, told, at = new_id(), "", 0.0
            async with rig.database.transaction(tenant.tenant_id) as db:
                await append(db, "client", stream, "client.changed", {"fields": ["name"]}, actor=SYSTEM)
            began = time.monotonic()
            async with asyncio.timeout(WAIT_SECONDS):
                while told != str(stream):
                    told, at = await came.get()
            if number >= 3:  # the first ones find no statement prepared
                delays.append((at - began) * 1e3)
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
    delays.sort()
    note = f"p95 {delays[int(len(delays) * 0.95)]:.0f} ms"
    return Figure("Commit to the reader of a stream: p50", "ms", [delays[len(delays) // 2]], 100.0, note=note)


async def _read(http: httpx.AsyncClient, came: asyncio.Queue[tuple[str, float]]) -> None:
    async with http.stream("GET", "/v1/events", params={"stream": "client"}) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                came.put_nowait((line.partition('"stream_id":"')[2][:36], time.monotonic()))


async def _fill(rig: Rig, tenant: NewTenant, count: int) -> float:
    """Give a tenant a log of so many events and a few more; how many a second got their places."""
    connection = await asyncpg.connect(rig.postgres.superuser_dsn(DATABASE))
    try:
        async with connection.transaction():
            for statement in _WRITE:
                await connection.execute(statement, tenant.tenant_id, count, timeout=WAIT_SECONDS)
        before, began = await connection.fetchval(_ENTRIES, tenant.tenant_id), time.monotonic()
        for _ in range(int(WAIT_SECONDS / LOOK_SECONDS)):
            now = await connection.fetchval(_ENTRIES, tenant.tenant_id)
            if now >= count:
                return float(now - before) / (time.monotonic() - began)
            await asyncio.sleep(LOOK_SECONDS)
        raise TimeoutError
    finally:
        await connection.close()
