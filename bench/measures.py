"""How each figure is taken."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from uuid import uuid4

import asyncpg
import orjson

from app.tenants import create_tenant
from bench import deliveries, services
from bench.figures import Comparison, Figure
from bench.load import one_after_another, repeated, request
from bench.machine import memory_bytes
from bench.rig import DATABASE, REPORT, Rig
from bench.seeding import copy_incident

RUNS = 3
WARM_SECONDS = 4.0  # each connection plans each statement once
COPIES = 2_500  # incidents prepared for the completion of actions
AT_WORK = 128  # incidents that people work on side by side: one action of each in turns
CROWD = 64  # connections of the fairness figures
FEW, MANY = 1_000, 100_000  # incidents of the two lists that are compared
IDLE_TENANTS = 1_000
IDLE_SECONDS = 20.0
COUNTED = 40  # requests over which statements are counted
Requests = Callable[[], bytes | None]


async def starts() -> AsyncIterator[Figure]:
    """From an empty data folder to ready, and from a stop to ready again, as somebody would start it."""
    first: list[float] = []
    again: list[float] = []
    for _ in range(RUNS):
        folder = Path(tempfile.mkdtemp(prefix="holdfast-start-"))
        try:
            for times in (first, again):
                began = time.perf_counter()
                process = services.holdfast(folder / "data", folder / "log")
                try:
                    await process.ready()
                    times.append(time.perf_counter() - began)
                finally:
                    process.stop()
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    yield Figure("Empty data folder to ready", "s", first, 10.0)
    yield Figure("Restart to ready", "s", again, 3.0)


class Loads:
    """The requests of the measured operations, for one rig."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.report = orjson.dumps(REPORT)
        self.floor_post = repeated(request("POST", "/reports", None, self.report))
        self.floor_get = repeated(request("GET", "/reports"))
        self.page = rig.get("/v1/incidents?limit=50")
        self.read: Requests
        self.complete: Requests
        self.connectwise: Requests
        self.generic: Requests
        self.updates: Requests
        self.duplicates: Requests
        self.forged: Requests

    async def prepare(self) -> None:
        """Sources, and incidents whose actions can be completed."""
        rig = self.rig
        incident = await rig.open_incident()
        self.read = rig.get(f"/v1/incidents/{incident}")
        ids = await copy_incident(rig.postgres.superuser_dsn(DATABASE), rig.tenant.tenant_id, incident, COPIES)
        actions = await rig.plain_actions()
        body, headers = b'{"transition":"complete"}', rig.headers()
        self.complete = one_after_another(
            [
                request("POST", f"/v1/incidents/{one}/actions/{action}/transitions", headers, body)
                for start in range(0, len(ids), AT_WORK)
                for action in actions
                for one in ids[start : start + AT_WORK]
            ]
        )
        self.connectwise = deliveries.connectwise(await self._source("connectwise"))
        self.generic = deliveries.generic(await self._source("generic"))
        hook = await self._source("generic")
        self.updates, self.duplicates = deliveries.updates(hook), deliveries.duplicates(hook)
        self.forged = deliveries.forged(hook)

    async def _source(self, system: str) -> str:
        given = {"name": f"Benchmark {system}", "system": system, "secret": deliveries.SECRET}
        source = await self.rig.ask("POST", "/v1/sources", given)
        return "/hooks/" + str(source["hook_url"]).rsplit("/", 1)[1]

    def open(self) -> bytes:
        """A report that is declared at once, with a key of its own."""
        headers = self.rig.headers() | {"Idempotency-Key": uuid4().hex}
        return request("POST", "/v1/incidents", headers, self.report)


def comparisons(loads: Loads, named: Sequence[str] = ()) -> Sequence[tuple[Comparison, Requests, Requests]]:
    """(what it becomes, the floor's requests, ours), of those whose name has one of the words `named` if any."""
    post, get = loads.floor_post, loads.floor_get
    every = (
        (Comparison("Open by REST with Idempotency-Key", "floor POST", 0.15), post, loads.open),
        (Comparison("Open by webhook, ConnectWise, signed", "floor POST", 0.15), post, loads.connectwise),
        (Comparison("Open by webhook, generic, signed", "floor POST", 0.15), post, loads.generic),
        (Comparison("Update by webhook, generic, signed", "floor POST", 0.15), post, loads.updates),
        (Comparison("Duplicate by webhook, generic, signed", "floor POST", 0.15), post, loads.duplicates),
        (
            Comparison("Refuse a webhook that is forged", "floor POST of nothing", 0.5, wanted=range(401, 402)),
            repeated(request("POST", "/nothing", None, loads.report)),
            loads.forged,
        ),
        (Comparison("Complete an action", "floor POST", 0.2), post, loads.complete),
        (Comparison("List 50 summaries", "floor GET", 0.5), get, loads.page),
        (Comparison("Read one incident whole", "floor GET", 0.5), get, loads.read),
    )
    return [one for one in every if not named or any(word.lower() in one[0].name.lower() for word in named)]


async def compare(rig: Rig, found: Comparison, floor: Requests, own: Requests, seconds: float) -> None:
    """Run the floor and ours in turns, so that both of a pair see the same minute."""
    await rig.settle()
    await rig.sample(rig.own, own, WARM_SECONDS)
    await rig.sample(rig.floor, floor, WARM_SECONDS / 4)
    for _ in range(RUNS):
        pair = await rig.sample(rig.floor, floor, seconds / 2), await rig.sample(rig.own, own, seconds)
        pair[1].outcome.wanted = found.wanted
        found.pairs.append(pair)


async def crowd(rig: Rig, name: str, requests: Requests, seconds: float) -> Figure:
    """How far the slowest hundredth is from the middle when many ask at once. A fault makes it infinite."""
    values, rates, faults = [], [], ""
    for _ in range(RUNS):
        outcome = (await rig.sample(rig.own, requests, seconds, connections=CROWD)).outcome
        middle = outcome.quantile(0.5)
        values.append(float("inf") if outcome.faults or not middle else outcome.quantile(0.99) / middle)
        rates.append(f"{middle * 1e3:.0f}/{outcome.quantile(0.99) * 1e3:.0f} ms")
        faults = faults or (outcome.first_fault[:120] if outcome.faults else "")
    return Figure(f"{name}: p99 to p50, {CROWD} connections", "x", values, 20.0, note=faults or ", ".join(rates))


async def statements(rig: Rig, loads: Loads) -> list[Figure]:
    """Round trips to the database per request, told by its own log."""
    figures = []
    async with _logged(rig) as (process, log):
        for name, requests in (
            ("Open by REST with Idempotency-Key", loads.open),
            ("Open by webhook, generic", loads.generic),
            ("Complete an action", loads.complete),
            ("List 50 summaries", loads.page),
            ("Read one incident whole", loads.read),
        ):
            await rig.sample(process, requests, 10, connections=1, limit=COUNTED)
            before, position = time.monotonic(), log.stat().st_size
            outcome = (await rig.sample(process, requests, 10, connections=1, limit=COUNTED)).outcome
            assert time.monotonic() > before
            count = services.statements(log, position) / max(sum(outcome.statuses.values()), 1)
            figures.append(Figure(f"{name}: statements", "per request", [count]))
    return figures


class _logged:
    """A server whose every statement the database logs; gone at the end."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.process: services.Process

    async def __aenter__(self) -> tuple[services.Process, Path]:
        await self._say("SET log_min_duration_statement = 0")
        self.process = self.rig.serve(HOLDFAST_POOL_MAX="2")
        await self.process.ready()
        return self.process, self.rig.postgres.server.log_path

    async def __aexit__(self, *_: object) -> None:
        self.process.stop()
        self.rig.processes.remove(self.process)
        await self._say("RESET log_min_duration_statement")

    async def _say(self, what: str) -> None:
        connection = await asyncpg.connect(self.rig.postgres.superuser_dsn(DATABASE))
        try:
            await connection.execute(f"ALTER ROLE holdfast {what}")
        finally:
            await connection.close()


LISTS = (
    ("newest", "/v1/incidents?limit=50"),
    ("by status", "/v1/incidents?limit=50&status=in_progress"),
    ("by label", "/v1/incidents?limit=50&label=label-7"),
    ("by client", "/v1/incidents?limit=50&client_id=00000000-0000-0000-0000-000000000007"),
    ("by a word of all titles", "/v1/incidents?limit=50&q=chatbot"),
    ("by next deadline", "/v1/incidents?limit=50&sort=next_due_at"),
)


async def long_lists(rig: Rig, seconds: float, *, many: int = MANY) -> AsyncIterator[Figure]:
    """How much longer a page takes among many incidents than among few."""
    dsn, keys = rig.postgres.superuser_dsn(DATABASE), []
    for count in (FEW, many):
        tenant = await create_tenant(rig.database, f"{count} incidents")
        incident = await rig.open_incident(tenant.key)
        await copy_incident(dsn, tenant.tenant_id, incident, count - 1, whole=False, varied=True)
        keys.append(tenant.key)
    await rig.settle()
    for name, path in LISTS:
        few, lots = (rig.get(path, key=key) for key in keys)
        await rig.sample(rig.own, few, WARM_SECONDS / 2)
        await rig.sample(rig.own, lots, WARM_SECONDS / 2)
        values = []
        for _ in range(RUNS):
            small, large = await rig.sample(rig.own, few, seconds), await rig.sample(rig.own, lots, seconds)
            values.append(_middle_of(large.outcome.latencies) / _middle_of(small.outcome.latencies))
        yield Figure(f"List of 50, {name}: {many:,} incidents to {FEW:,}", "x time", values, 1.2)


def _middle_of(latencies: Sequence[float]) -> float:
    return sum(latencies) / len(latencies) if latencies else float("inf")


async def idle(rig: Rig, *, tenants: int = IDLE_TENANTS, seconds: float = IDLE_SECONDS) -> Figure:
    """What a server with many tenants asks the database while nobody asks it anything."""
    names: Iterator[int] = iter(range(tenants))

    async def make() -> None:
        for number in names:
            await create_tenant(rig.database, f"Idle {number}")

    await asyncio.gather(*(make() for _ in range(4)))
    rig.own.stop()
    rig.processes.remove(rig.own)
    async with _logged(rig) as (_, log):
        await asyncio.sleep(5)  # what a start does is over
        values = []
        for _ in range(RUNS):
            position = log.stat().st_size
            await asyncio.sleep(seconds / RUNS)
            values.append(services.statements(log, position) / (seconds / RUNS))
    return Figure(f"Statements while {tenants:,} tenants are idle", "per second", values, 5.0)


def memory(rig: Rig) -> Figure:
    """Resident memory of the server after everything it has done in this run."""
    return Figure("Memory of the server after the run", "MB", [memory_bytes(rig.own.pid) / 1e6], 200.0)
