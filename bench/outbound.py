"""How fast events reach their receivers: many at once, one alone, and beside receivers that never answer."""

import asyncio
import time
from collections.abc import AsyncIterator
from statistics import median
from uuid import UUID

import asyncpg

from app.events import append
from app.ids import new_id
from app.tenants import NewTenant, create_tenant
from bench import services
from bench.figures import Figure, number
from bench.machine import memory_bytes
from bench.receivers import Receivers
from bench.rig import DATABASE, Rig
from domain.actors import SYSTEM

RECEIVERS = 50
SILENT = 10
MESSAGES = 60  # events of a run, each told to every receiver
RUNS = 3
ALONE = 40  # events of which each finds everything idle
PER_SECOND = 3.0  # events beside silent receivers
STEADY_SECONDS = 10.0
SLOW_SECONDS = 0.5  # that a receiver takes to answer
WAIT_SECONDS = 120.0
KIND = "client.changed"
QUEUED = 100_000
SENT_FOR_MEMORY = 10_000
WRITTEN_FOR = (0, 1, 10, 100)
_QUEUE = (
    """
    INSERT INTO events (tenant_id, stream, stream_id, seq, kind, occurred_at, recorded_at, actor_kind, actor_id,
                        data_digest, prev_hash, hash)
    SELECT $1, 'client', gen_random_uuid(), 1, $2, now(), now(), 'system', '00000000-0000-0000-0000-000000000000',
           repeat('0', 64), repeat('0', 64), encode(sha256(n::text::bytea), 'hex')
    FROM generate_series(1, $3) AS n
    """,
    """
    INSERT INTO webhook_deliveries (tenant_id, id, endpoint_id, stream, stream_id, seq, event_id, event_type,
                                    next_attempt_at)
    SELECT $1, gen_random_uuid(), w.id, e.stream, e.stream_id, e.seq, 'evt_' || left(e.hash, 32), e.kind, now()
    FROM events e JOIN webhook_endpoints w ON w.tenant_id = e.tenant_id
    WHERE e.tenant_id = $1 AND e.kind = $2 AND $3 > 0
    """,
    """
    INSERT INTO webhook_lanes (tenant_id, endpoint_id, stream, stream_id, next_at)
    SELECT tenant_id, endpoint_id, stream, stream_id, now() FROM webhook_deliveries
    WHERE tenant_id = $1 AND event_type = $2 AND $3 > 0
    """,
)
_AGAIN = """
WITH again AS (
    UPDATE webhook_deliveries SET status = 'pending', attempts = 0, next_attempt_at = now()
    WHERE tenant_id = $1 AND event_type = $2 RETURNING tenant_id, endpoint_id, stream, stream_id)
INSERT INTO webhook_lanes (tenant_id, endpoint_id, stream, stream_id, next_at)
SELECT DISTINCT tenant_id, endpoint_id, stream, stream_id, now() FROM again
"""


async def figures(rig: Rig) -> AsyncIterator[Figure]:
    """All of them, each with a tenant and receivers of its own."""
    async for figure in _rates(rig):
        yield figure
    yield await _alone(rig)
    async for figure in _beside_silent(rig):
        yield figure
    async for figure in _beside_many(rig):
        yield figure
    async for figure in _writes(rig):
        yield figure


async def _rates(rig: Rig) -> AsyncIterator[Figure]:
    """Deliveries per second of the serving process alone, then with a worker on the other core beside it.

    There the second one, the database and the receivers share what one core gives. Receivers that take their time let
    each worker fill its places, which is what a second one is for.
    """
    farm, tenant = await _farm(rig, RECEIVERS)
    for _ in range(MESSAGES):
        await tell(rig, tenant)
    total = MESSAGES * RECEIVERS
    await farm.until(lambda: len(farm.got) >= total, WAIT_SECONDS)
    rates: dict[tuple[int, float], list[float]] = {}
    for workers in (1, 2):
        if workers == 2:
            second = rig.work()
            await services.logged(second, '"working"')
            await _drain(rig, farm, tenant, total)  # the second one prepares its statements
        for farm.answer_seconds in (0.0, SLOW_SECONDS):
            rates[workers, farm.answer_seconds] = [await _drain(rig, farm, tenant, total) for _ in range(RUNS)]
    rig.end(second)
    farm.close()
    await _forget(rig, tenant)
    one, two = rates[1, 0.0], rates[2, 0.0]
    note = f"{number(median(two))} with a second worker, which shares its core with the database and the receivers"
    yield Figure(f"Deliveries to {RECEIVERS} fast receivers, one worker", "per second", one, 300.0, "higher", note=note)
    one, two = rates[1, SLOW_SECONDS], rates[2, SLOW_SECONDS]
    grown = [after / before for before, after in zip(one, two, strict=True)]
    name = f"Deliveries by two workers to one, answered after {SLOW_SECONDS * 1e3:.0f} ms"
    note = f"{number(median(one))} and {number(median(two))} per second"
    yield Figure(name, "x", grown, 1.3, "higher", note=note)


async def _drain(rig: Rig, farm: Receivers, tenant: NewTenant, total: int) -> float:
    """Queue everything again at one instant; deliveries per second until the last one came."""
    await rig.settle()
    farm.got.clear()
    connection = await asyncpg.connect(rig.postgres.superuser_dsn(DATABASE))
    try:
        await connection.execute(_AGAIN, tenant.tenant_id, KIND)
        began = time.monotonic()
    finally:
        await connection.close()
    await farm.until(lambda: len(farm.got) >= total, WAIT_SECONDS)
    return total / (farm.got[-1][2] - began)


async def _alone(rig: Rig) -> Figure:
    """From a commit to the receiver when nothing else happens."""
    farm, tenant = await _farm(rig, 1)
    delays = []
    for turn in range(ALONE + 3):
        await asyncio.sleep(0.1)
        farm.got.clear()
        began = await tell(rig, tenant)
        await farm.until(lambda: bool(farm.got), WAIT_SECONDS)
        if turn >= 3:  # the first ones find no statement prepared
            delays.append((farm.got[0][2] - began) * 1e3)
    farm.close()
    delays.sort()
    note = f"p95 {delays[int(len(delays) * 0.95)]:.0f} ms"
    return Figure("Commit to receiver, nothing else under way: p50", "ms", [delays[len(delays) // 2]], 50.0, note=note)


async def _beside_silent(rig: Rig) -> AsyncIterator[Figure]:
    """How long healthy receivers wait while others take connections and never answer."""
    without, beside = [], []
    for _ in range(RUNS):  # in turns, so that both of a pair see the same minute
        without.append(await _steady(rig, silent=0))
        beside.append(await _steady(rig, silent=SILENT))
    name = f"Healthy receivers while {SILENT} of {RECEIVERS} are silent: p95"
    yield Figure(name, "ms", beside, 2_000.0, note=f"{median(without):.0f} ms while all answer")
    ratios = [after / before for before, after in zip(without, beside, strict=True)]
    yield Figure("The same to while all answer", "x time", ratios, 2.0)


async def _steady(rig: Rig, *, silent: int) -> float:
    """95th percentile in milliseconds from a commit to each healthy receiver, under steady events."""
    farm, tenant = await _farm(rig, RECEIVERS, silent=silent)
    told: dict[str, float] = {}
    ends_at = time.monotonic() + STEADY_SECONDS
    while (now := time.monotonic()) < ends_at:
        event_id: list[str] = []
        began = await tell(rig, tenant, event_id)
        told[event_id[0]] = began
        await asyncio.sleep(max(0.0, now + 1 / PER_SECOND - time.monotonic()))
    healthy = RECEIVERS - silent

    def arrived() -> dict[tuple[int, str], float]:
        first: dict[tuple[int, str], float] = {}
        for place, event_id, at in farm.got:
            if place < healthy:
                first.setdefault((place, event_id), at)
        return first

    await farm.until(lambda: len(arrived()) >= healthy * len(told), WAIT_SECONDS)
    delays = sorted((at - told[event_id]) * 1e3 for (_, event_id), at in arrived().items())
    farm.close()
    await _forget(rig, tenant)
    return delays[int(len(delays) * 0.95)]


async def _beside_many(rig: Rig) -> AsyncIterator[Figure]:
    """How long a tenant waits while very much waits for an endpoint of another, and what that costs in memory."""
    neighbour, tenant = await _farm(rig, 1)
    before = await _delays(rig, neighbour, tenant)
    crowded, other = await _farm(rig, 1)
    memory = memory_bytes(rig.own.pid)
    await _queue(rig, other)
    await rig.settle()
    beside = await _delays(rig, neighbour, tenant)
    await crowded.until(lambda: len(crowded.got) >= SENT_FOR_MEMORY, WAIT_SECONDS)
    grown = (memory_bytes(rig.own.pid) - memory) / 1e6
    await _forget(rig, other)
    name = f"A tenant's event while {QUEUED:,} wait for another's endpoint: p95"
    yield Figure(name, "ms", [beside], 2_000.0, note=f"{before:.0f} ms while nothing waits")
    name = f"Memory of the server for {QUEUED:,} queued, {SENT_FOR_MEMORY:,} of them sent"
    yield Figure(name, "MB more", [grown], 50.0)
    neighbour.close()
    crowded.close()


async def _delays(rig: Rig, farm: Receivers, tenant: NewTenant) -> float:
    """95th percentile in milliseconds from a commit to the one receiver, one event after another."""
    delays = []
    for _ in range(ALONE):
        farm.got.clear()
        began = await tell(rig, tenant)
        await farm.until(lambda: bool(farm.got), WAIT_SECONDS)
        delays.append((farm.got[0][2] - began) * 1e3)
        await asyncio.sleep(0.05)
    return sorted(delays)[int(len(delays) * 0.95)]


async def _queue(rig: Rig, tenant: NewTenant) -> None:
    """Many events, each on a stream of its own, and a delivery of each to every endpoint of the tenant."""
    connection = await asyncpg.connect(rig.postgres.superuser_dsn(DATABASE))
    try:
        async with connection.transaction():
            await connection.execute("SET LOCAL session_replication_role = replica")  # no trigger: not the log, no wake
            for statement in _QUEUE:
                await connection.execute(statement, tenant.tenant_id, KIND, QUEUED)
    finally:
        await connection.close()


async def _writes(rig: Rig) -> AsyncIterator[Figure]:
    """What writing an event takes of the database when it is told to so many endpoints, without its commit."""
    alone = 0.0
    for count in WRITTEN_FOR:
        farm, tenant = await _farm(rig, count)
        times = []
        for _ in range(ALONE):
            try:
                async with rig.database.transaction(tenant.tenant_id) as db:
                    began = time.perf_counter()
                    await append(db, "client", new_id(), KIND, {"fields": ["name"]}, actor=SYSTEM)
                    times.append((time.perf_counter() - began) * 1e3)
                    raise _Undone
            except _Undone:
                pass
        farm.close()
        taken = median(times)
        alone = alone or taken
        note = "" if not count else f"{taken / alone:.1f} x that of none"
        yield Figure(f"Write of an event that {count} endpoints want", "ms", [taken], note=note)


class _Undone(Exception):
    """Rolls a transaction back."""


async def _farm(rig: Rig, count: int, *, silent: int = 0) -> tuple[Receivers, NewTenant]:
    """Receivers with a tenant that tells them; the last `silent` fall silent once they have taken their test."""
    farm = Receivers(count)
    await farm.open()
    tenant = await create_tenant(rig.database, "Receivers")
    for place, url in enumerate(farm.urls):
        body = {"name": f"Receiver {place}", "url": url, "event_types": [KIND]}
        await rig.ask("POST", "/v1/webhook-endpoints", body, key=tenant.key)
    ends_at = time.monotonic() + WAIT_SECONDS
    while await _unconfirmed(rig, tenant):
        if time.monotonic() > ends_at:
            raise TimeoutError("the endpoints were not confirmed")
        await asyncio.sleep(0.1)
    farm.living -= silent
    farm.got.clear()
    return farm, tenant


async def _unconfirmed(rig: Rig, tenant: NewTenant) -> bool:
    page = await rig.ask("GET", "/v1/webhook-endpoints?limit=200", key=tenant.key)
    return any(one["confirmed_at"] is None for one in page["items"])


async def tell(rig: Rig, tenant: NewTenant, ids: list[str] | None = None) -> float:
    """One event on a stream of its own; when its commit was sent. Its id goes into `ids`."""
    async with rig.database.transaction(tenant.tenant_id) as db:
        client: UUID = new_id()
        row = await append(db, "client", client, KIND, {"fields": ["name"]}, actor=SYSTEM)
        if ids is not None:
            ids.append(f"evt_{row['hash'][:32]}")
        return time.monotonic()


async def _forget(rig: Rig, tenant: NewTenant) -> None:
    """Send nothing more for a tenant: what its silent receivers did not take would go on for days."""
    connection = await asyncpg.connect(rig.postgres.superuser_dsn(DATABASE))
    try:
        await connection.execute("DELETE FROM webhook_lanes WHERE tenant_id = $1", tenant.tenant_id)
    finally:
        await connection.close()
