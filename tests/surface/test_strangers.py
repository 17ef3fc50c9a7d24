"""Nobody gets in without a credential that is valid now, whatever the door, and all reasons read alike (AN1, AN9)."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from app.database import Database
from app.ids import new_id
from app.secrets import new_api_key
from tests.people import add_person
from tests.surface.contract import expect_none, faults
from tests.surface.prepared import Prepared
from tests.surface.surface import Operation, Surface

OPEN = {
    "/healthz",
    "/readyz",
    "/docs",
    "/openapi.json",
    "/problems",
    "/problems/{code}",
    "/hooks/{token}",
    "/v1/enrolments/redeem",
    "/v1/enrolments/sign-in",
    "/v1/config",
}
"""All that answers without a credential."""
BEHIND_A_KEY = {"/graphql"}
"""What the document does not list and a credential opens."""
SAME_ID = {"X-Request-Id": "same-request-id"}
Together = Callable[[Any], Awaitable[list[Any]]]


def test_only_the_allow_list_is_open(api: FastAPI, surface: Surface) -> None:
    documented = {operation.path for operation in surface.operations}
    opened = {operation.path for operation in surface.operations if operation.is_public}
    assert opened <= OPEN
    hidden = {getattr(route, "path_format", "?") for route in api.router.routes} - documented
    assert hidden <= OPEN | BEHIND_A_KEY


def test_every_closed_operation_names_its_rows_of_the_permission_table(surface: Surface) -> None:
    from domain.permissions import OPERATIONS

    for operation in surface.operations:
        assert operation.rows or operation.is_public, f"{operation} names no row"
        assert set(operation.rows) <= OPERATIONS.keys(), str(operation)


def test_every_parameter_of_a_path_can_be_filled(ours: Prepared) -> None:
    assert ours.unfilled == [], "teach tests/surface/prepared.py what these are"


@pytest.fixture(scope="module")
async def credentials(database: Database, ours: Prepared) -> dict[str, tuple[dict[str, str], str]]:
    """Header and query of each kind of stranger."""
    tenant_id, right = ours.tenant_id, ours.boss.key
    ended: dict[str, str] = {}
    async with database.transaction(tenant_id) as db:
        for name, column in (("revoked", "revoked_at"), ("expired", "expires_at")):
            key = new_api_key(tenant_id)
            await db.execute(
                f"insert into api_keys (tenant_id, id, person_id, name, prefix, secret_hash, {column})"
                " values ($1, $2, $3, 'Key', $4, $5, $6)",
                tenant_id, new_id(), ours.boss.id, key.prefix, key.hash, datetime.now(UTC) - timedelta(seconds=1),
            )  # fmt: skip
            ended[name] = key.text
    left = await add_person(database, tenant_id, "risk_owner")
    async with database.transaction(tenant_id) as db:
        await db.execute("update people set active = false where id = $1", left.id)
    basic = base64.b64encode(f"{right}:".encode()).decode()
    flipped = right[:-1] + ("A" if right[-1] != "A" else "B")
    told = {
        "none": "",
        "empty": "Bearer",
        "garbage": "Bearer \xff%00'; drop table people",
        "no scheme": right,
        "basic": f"Basic {basic}",
        "digest": f"Digest {right}",
        "token": f"Token {right}",
        "unsigned token": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.",
        "another secret": f"Bearer {new_api_key(tenant_id).text}",
        "no tenant": f"Bearer {new_api_key(uuid4()).text}",
        "one letter": f"Bearer {flipped}",
        "the key twice": f"Bearer {right} {right}",
        "gone": f"Bearer {left.key}",
        **{name: f"Bearer {key}" for name, key in ended.items()},
    }
    found = {name: ({"Authorization": text} if text else {}, "") for name, text in told.items()}
    for name in ("key", "access_token"):
        found[f"query {name}"] = ({}, f"{name}={right}")
    found["cookie"] = ({"Cookie": f"key={right}; session={right}"}, "")
    found["other header"] = ({"X-API-Key": right, "Proxy-Authorization": f"Bearer {right}"}, "")
    return found


async def test_a_stranger_gets_nothing_anywhere(
    surface: Surface,
    ours: Prepared,
    anybody: httpx.AsyncClient,
    credentials: dict[str, tuple[dict[str, str], str]],
    together: Together,
    stored: Callable[[Prepared], Awaitable[dict[str, str]]],
) -> None:
    closed = [operation for operation in surface.operations if not operation.is_public]
    before = await stored(ours)

    async def call(operation: Operation, name: str) -> tuple[Operation, str, httpx.Response]:
        headers, query = credentials[name]
        request = ours.body(operation)
        url = ours.url(operation)
        url += (("&" if "?" in url else "?") + query) if query else ""
        sent = {
            key: value.encode("latin-1") for key, value in {**request.pop("headers", {}), **headers, **SAME_ID}.items()
        }
        return operation, name, await anybody.request(operation.method, url, headers=sent, **request)

    answers = await together(call(operation, name) for operation in closed for name in credentials)
    wrong = [
        f"{operation} with {name}: {answer.status_code}"
        for operation, name, answer in answers
        if answer.status_code != 401
    ]
    assert wrong == []
    assert len({answer.content for _, _, answer in answers}) == 1
    assert {answer.headers["www-authenticate"] for _, _, answer in answers} == {'Bearer realm="holdfast"'}
    expect_none(faults(operation, answer) for operation, _, answer in answers)
    assert await stored(ours) == before


@pytest.mark.parametrize("body", [b"", b"{", b'{"a":1,"a":2}', b'"\xff"', b"[" * 65 + b"]" * 65], ids=repr)
async def test_a_stranger_learns_nothing_of_its_bodies(
    surface: Surface, ours: Prepared, anybody: httpx.AsyncClient, together: Together, body: bytes
) -> None:
    wanted = [operation for operation in surface.operations if operation.takes_json and not operation.is_public]
    headers = {
        "Authorization": f"Bearer {new_api_key(ours.tenant_id).text}",
        "Content-Type": "application/json",
        **SAME_ID,
    }

    async def call(operation: Operation) -> httpx.Response:
        return await anybody.request(
            operation.method, ours.url(operation) + "?unknown=1", headers=headers, content=body
        )

    answers = await together(call(operation) for operation in wanted)
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1


async def test_the_right_key_opens(ours: Prepared, anybody: httpx.AsyncClient) -> None:
    assert (await anybody.get("/v1/me", headers=ours.boss.headers)).status_code == 200


async def test_what_is_hidden_or_unknown_stays_closed_too(anybody: httpx.AsyncClient) -> None:
    for path in ("/graphql", "/metrics", "/debug", "/admin", "/redoc", "/v1", "/v1/", "/.git/config", "/v1/keys/"):
        for method in ("GET", "POST"):
            answer = await anybody.request(method, path)
            assert answer.status_code in {401, 404, 405}, f"{method} {path}: {answer.status_code}"
