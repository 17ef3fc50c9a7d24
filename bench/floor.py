"""The floor: what this machine gives with bare FastAPI and asyncpg, without rules, rights or shape of our own.

POST inserts one row and commits; GET reads 50 rows of a similar table and answers them as JSON. The board is what
somebody would write by hand for our own tables: a statement for each, put together as dictionaries. None authenticates.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import orjson
from fastapi import FastAPI, Request, Response

ROWS_SHOWN = 50
SCHEMA = """
CREATE TABLE reports (
    id uuid PRIMARY KEY,
    title text NOT NULL,
    status text NOT NULL,
    severity text NOT NULL,
    playbook text,
    discovered_at timestamptz NOT NULL,
    reported_at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz,
    labels text[] NOT NULL DEFAULT '{}',
    body jsonb NOT NULL
);
CREATE INDEX reports_newest ON reports (reported_at DESC, id DESC);
INSERT INTO reports (id, title, status, severity, playbook, discovered_at, reported_at, body)
SELECT gen_random_uuid(), 'Client list pasted into a chatbot', 'in_progress', 'SEV3', 'data-leakage', now(),
       now() - n * interval '1 minute', '{"slug": "data-leakage"}'
FROM generate_series(1, 1000) n;
"""
INSERT = """
INSERT INTO reports (id, title, status, severity, playbook, discovered_at, body)
VALUES ($1, $2, 'in_progress', 'SEV3', $3, now(), $4)
"""
PAGE = """
SELECT id::text, title, status, severity, playbook, discovered_at, reported_at, closed_at, labels, body
FROM reports ORDER BY reported_at DESC, id DESC LIMIT 50
"""
BOARD = """
SELECT id, number, title, status, severity, generation, client_ids, next_due_at, next_at_risk_at, next_breach_at,
       (SELECT count(*) FROM evidence e WHERE e.tenant_id = i.tenant_id AND e.incident_id = i.id) AS evidence_count
FROM incidents i WHERE tenant_id = $1 ORDER BY number_order DESC, id DESC LIMIT 50
"""
CLIENTS = "SELECT id, name FROM clients WHERE tenant_id = $1 AND id = any($2::uuid[]) ORDER BY name, id"
STEPS = """
SELECT s.incident_id, s.id, s.status, s.at_risk_at, s.due_at, s.breach_at, s.completed_occurred_at
FROM step_runs s JOIN incidents i ON i.tenant_id = s.tenant_id AND i.id = s.incident_id AND i.generation = s.generation
WHERE s.tenant_id = $1 AND s.incident_id = any($2::uuid[]) ORDER BY s.position
"""
ACTIONS = """
SELECT a.incident_id, a.step_id, a.id, a.status, a.requirement, a.due_at
FROM action_runs a JOIN incidents i
  ON i.tenant_id = a.tenant_id AND i.id = a.incident_id AND i.generation = a.generation
WHERE a.tenant_id = $1 AND a.incident_id = any($2::uuid[]) ORDER BY a.position, a.id
"""


@asynccontextmanager
async def _lifespan(api: FastAPI) -> AsyncIterator[None]:
    api.state.pool = await asyncpg.create_pool(os.environ["BENCH_FLOOR_DSN"], min_size=2, max_size=16)
    api.state.boards = await asyncpg.create_pool(os.environ["BENCH_BOARD_DSN"], min_size=2, max_size=16)
    yield
    await api.state.boards.close()
    await api.state.pool.close()


api = FastAPI(lifespan=_lifespan, openapi_url=None)


@api.get("/healthz")
async def alive() -> Response:
    """Whether the floor answers."""
    return Response(b"{}", media_type="application/json")


@api.post("/reports")
async def report(request: Request) -> Response:
    """One insert, one commit."""
    body = await request.body()
    given = orjson.loads(body)
    row_id = uuid4()
    async with request.app.state.pool.acquire() as connection, connection.transaction():
        await connection.execute(INSERT, row_id, given["title"], given.get("playbook"), body.decode())
    return Response(orjson.dumps({"id": str(row_id)}), 201, media_type="application/json")


@api.post("/nothing")
async def nothing(request: Request) -> Response:
    """A body is read, and that is all."""
    await request.body()
    return Response(b"{}", media_type="application/json")


@api.get("/reports")
async def page(request: Request) -> Response:
    """Fifty rows."""
    async with request.app.state.pool.acquire() as connection:
        rows = await connection.fetch(PAGE)
    items = [dict(row) for row in rows]
    return Response(orjson.dumps({"items": items}, default=str), media_type="application/json")


@api.get("/board/{tenant_id}")
async def board(request: Request, tenant_id: UUID) -> Response:
    """Fifty incidents with their steps, actions, clients and counts of evidence."""
    async with request.app.state.boards.acquire() as connection:
        incidents = await connection.fetch(BOARD, tenant_id)
        ids = [row["id"] for row in incidents]
        clients = await connection.fetch(CLIENTS, tenant_id, list({c for row in incidents for c in row["client_ids"]}))
        steps = await connection.fetch(STEPS, tenant_id, ids)
        actions = await connection.fetch(ACTIONS, tenant_id, ids)
    now = datetime.now(UTC)
    acts: dict[Any, list[Any]] = {}
    for row in actions:
        one = {"key": row["id"], "status": row["status"], "requirement": row["requirement"], "dueAt": row["due_at"]}
        acts.setdefault((row["incident_id"], row["step_id"]), []).append(one)
    rows: dict[Any, list[Any]] = {}
    for row in steps:
        sla = {"state": _state(row, now), "dueAt": row["due_at"]}
        one = {"key": row["id"], "status": row["status"], "sla": sla}
        one["actions"] = acts.get((row["incident_id"], row["id"]), [])
        rows.setdefault(row["incident_id"], []).append(one)
    nodes = [_incident(row, clients, rows.get(row["id"], []), now) for row in incidents]
    return Response(orjson.dumps({"nodes": nodes}, option=orjson.OPT_UTC_Z), media_type="application/json")


def _incident(row: Any, clients: list[Any], steps: list[Any], now: datetime) -> dict[str, Any]:
    worst = None if row["next_breach_at"] is None else "on_track"
    if row["next_at_risk_at"] is not None and now > row["next_at_risk_at"]:
        worst = "at_risk"
    if row["next_breach_at"] is not None and now > row["next_breach_at"]:
        worst = "breached"
    names = ("number", "title", "status", "severity")
    return {name: row[name] for name in names} | {
        "slaState": worst,
        "nextDueAt": row["next_due_at"],
        "evidenceCount": row["evidence_count"],
        "clients": [{"name": one["name"]} for one in clients if one["id"] in row["client_ids"]],
        "steps": steps,
    }


def _state(row: Any, now: datetime) -> str:
    if row["status"] == "skipped":
        return "skipped"
    if (done := row["completed_occurred_at"]) is not None:
        return "met" if done <= row["breach_at"] else "met_late"
    return "breached" if now > row["breach_at"] else "at_risk" if now > row["at_risk_at"] else "on_track"
