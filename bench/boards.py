"""The board through the graph, beside an endpoint written by hand for the same data; and the dearest documents."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import httpx
import orjson
from graphql import GraphQLObjectType, OperationDefinitionNode, get_named_type, parse

from api.graphql.cost import COST_MAX, cost_of
from api.graphql.documents import Refused, document_of
from api.graphql.schema import schema
from app.tenants import create_tenant
from bench import services
from bench.figures import Comparison, Figure
from bench.load import repeated, request
from bench.machine import cpu_seconds
from bench.measures import Requests, _logged
from bench.rig import DATABASE, REPORT, Rig
from bench.seeding import copy_incident

SHOWN = 50
COPIES = 120  # more than a page of the largest size
DOCUMENTS = 40
SELECTED = """number title status severity slaState nextDueAt evidenceCount clients { name }
steps { key status sla { state dueAt } actions { key status requirement dueAt } }"""
HEALTH_EVERY = 0.02  # seconds between the calls that ask whether the loop still answers


def board(first: int, *, exact: bool = True) -> bytes:
    """The body of the board's query; a directive leaves it to the ordinary executor."""
    nodes = "nodes" if exact else "nodes @include(if: true)"
    return orjson.dumps({"query": f"{{ incidents(first: {first}) {{ {nodes} {{ {SELECTED} }} }} }}"})


class Boards:
    """A tenant with a full board."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.key = ""
        self.floor: Requests

    async def prepare(self) -> None:
        """A tenant of its own, whose incidents have clients, steps, actions and a piece of evidence."""
        rig = self.rig
        tenant = await create_tenant(rig.database, "Board")
        self.key = tenant.key
        client = await rig.ask("POST", "/v1/clients", {"name": "North Dental"}, key=self.key)
        made = await rig.ask("POST", "/v1/incidents", {**REPORT, "client_ids": [client["id"]]}, key=self.key)
        address = f"http://127.0.0.1:{rig.own.port}/v1/incidents/{made['id']}/evidence"
        async with httpx.AsyncClient(headers=rig.headers(self.key), trust_env=False) as http:
            given = {"filename": "prompt.txt", "kind": "screenshot"}
            headers = {"content-type": "application/octet-stream"}
            (await http.post(address, params=given, content=b"A prompt.", headers=headers)).raise_for_status()
        await copy_incident(rig.postgres.superuser_dsn(DATABASE), tenant.tenant_id, made["id"], COPIES)
        self.floor = repeated(request("GET", f"/board/{tenant.tenant_id}"))
        await self._check(f"/board/{tenant.tenant_id}")

    async def _check(self, path: str) -> None:
        """Both endpoints have to show the same. Raises AssertionError."""
        async with httpx.AsyncClient(trust_env=False) as http:
            theirs = (await http.get(f"http://127.0.0.1:{self.rig.floor.port}{path}")).json()["nodes"]
        for exact in (True, False):
            told = await self.rig.ask("POST", "/graphql", orjson.loads(board(SHOWN, exact=exact)), key=self.key)
            ours = told["data"]["incidents"]["nodes"]
            assert [_same(one) for one in ours] == [_same(one) for one in theirs], "the board differs"

    def asking(self, first: int, *, exact: bool = True) -> Requests:
        """The board's query for ever."""
        return repeated(request("POST", "/graphql", self.rig.headers(self.key), board(first, exact=exact)))

    def comparisons(self) -> list[tuple[Comparison, Requests, Requests]]:
        """By one statement, and by the ordinary executor."""
        return [
            (Comparison("Board of 50 through the graph", "by hand", 0.8), self.floor, self.asking(SHOWN)),
            (
                Comparison("Board of 50 by the ordinary executor", "by hand", 0.2),
                self.floor,
                self.asking(SHOWN, exact=False),
            ),
        ]

    async def statements(self) -> AsyncIterator[Figure]:
        """Round trips to the database at several page sizes."""
        async with _logged(self.rig) as (process, log):
            for exact in (True, False):
                counts = []
                for first in (1, SHOWN, 100):
                    requests = self.asking(first, exact=exact)
                    await self.rig.sample(process, requests, 5, connections=1, limit=10)
                    position = log.stat().st_size
                    outcome = (await self.rig.sample(process, requests, 5, connections=1, limit=10)).outcome
                    counts.append(services.statements(log, position) / max(outcome.answered, 1))
                name = "exactly" if exact else "ordinarily"
                yield Figure(f"Board of 1, 50 and 100 {name}: statements", "per request", [max(counts)], 6.0)

    async def dearest(self) -> AsyncIterator[Figure]:
        """Random documents that just pass the limits: what one costs the server, and how long its loop is busy."""
        costs, waits = [], []
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.rig.own.port}",
            headers=self.rig.headers(self.key),
            trust_env=False,
            timeout=30,
        ) as http:
            idle = max([await _health(http, asyncio.create_task(asyncio.sleep(0.1))) for _ in range(DOCUMENTS)])
            for seed in range(DOCUMENTS):
                query = maximal(seed)
                before = cpu_seconds(self.rig.own.pid)
                asking = asyncio.create_task(http.post("/graphql", json={"query": query}))
                waits.append(await _health(http, asking))
                (await asking).raise_for_status()
                costs.append((cpu_seconds(self.rig.own.pid) - before) * 1e3)
        yield Figure(f"Dearest of {DOCUMENTS} random maximal documents", "ms of processor", [max(costs)], 250.0)
        note = f"while nothing else is asked: {idle * 1e3:.0f} ms"
        yield Figure("Health call meanwhile, slowest", "ms", [max(waits) * 1e3], 100.0, note=note)


async def _health(http: httpx.AsyncClient, asking: "asyncio.Task[Any]") -> float:
    """The slowest health call until the other is answered."""
    slowest = 0.0
    while True:
        began = time.perf_counter()
        (await http.get("/healthz")).raise_for_status()
        slowest = max(slowest, time.perf_counter() - began)
        if asking.done():
            return slowest
        await asyncio.sleep(HEALTH_EVERY)


def maximal(seed: int) -> str:
    """A random document over incidents, as large as the limits let it be."""
    dice = random.Random(seed)  # noqa: S311 (chance, not secrecy)
    connection = schema()._schema.query_type.fields["incidents"].type  # type: ignore[union-attr]
    kind = get_named_type(get_named_type(connection).fields["nodes"].type)  # type: ignore[union-attr]
    while True:
        inner = _wide(kind, dice.randint(1, 4), dice)
        for first in (100, 50, 20, 10, 5, 2, 1):
            query = f"{{ incidents(first: {first}) {{ nodes {{ {inner} }} }} }}"
            operation = parse(query).definitions[0]
            assert isinstance(operation, OperationDefinitionNode)
            if COST_MAX / 4 < cost_of(operation, {}, {}) <= COST_MAX and _is_accepted(query):
                return query


def _is_accepted(query: str) -> bool:
    try:
        document_of(query, schema()._schema)
    except Refused:
        return False
    return True


def _wide(kind: Any, depth: int, dice: random.Random) -> str:
    """Every value of a type, and some of the objects that it leads to."""
    parts = []
    for name, one in kind.fields.items():
        inner = get_named_type(one.type)
        if not isinstance(inner, GraphQLObjectType):
            parts.append(name)
        elif depth > 0 and dice.random() < 0.4:
            parts.append(f"{name} {{ {_wide(inner, depth - 1, dice)} }}")
    return " ".join(parts) or "__typename"


def _same(value: Any) -> Any:
    """Instants compared as instants, whatever digits they are written with."""
    if isinstance(value, dict):
        return {name: _same(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_same(one) for one in value]
    if isinstance(value, str) and value.endswith("Z") and "T" in value:
        return datetime.fromisoformat(value)
    return value
