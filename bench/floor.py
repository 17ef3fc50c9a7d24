"""The floor: what this machine gives with bare FastAPI and asyncpg, without rules, rights or shape of our own.

POST inserts one row and commits; GET reads 50 rows of a similar table and answers them as JSON. Neither authenticates.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

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


@asynccontextmanager
async def _lifespan(api: FastAPI) -> AsyncIterator[None]:
    api.state.pool = await asyncpg.create_pool(os.environ["BENCH_FLOOR_DSN"], min_size=2, max_size=16)
    yield
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


@api.get("/reports")
async def page(request: Request) -> Response:
    """Fifty rows."""
    async with request.app.state.pool.acquire() as connection:
        rows = await connection.fetch(PAGE)
    items = [dict(row) for row in rows]
    return Response(orjson.dumps({"items": items}, default=str), media_type="application/json")
