"""Deliveries that are done go after their time, in pieces; what waits and what is young stays."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from app.database import Database
from app.settings import Settings
from app.worker import Worker
from tests.people import report

ENDPOINTS = "/v1/webhook-endpoints"


def later(**time: float) -> Callable[[], datetime]:
    """A clock that is ahead."""
    return lambda: datetime.now(UTC) + timedelta(**time)


async def add(http: httpx.AsyncClient) -> str:
    body = {"name": "Board", "url": "https://receiver.example/events", "event_types": ["incident.*"]}
    return str((await http.post(ENDPOINTS, json=body)).json()["id"])


async def settle(database: Database, tenant: Any, status: str, at: datetime) -> None:
    """What waits now was done at `at`."""
    async with database.transaction(tenant.tenant_id) as db:
        await db.execute(
            "update webhook_deliveries set status = $2, created_at = $3::timestamptz, attempted_at = $3::timestamptz,"
            " delivered_at = case when $2 = 'delivered' then $3::timestamptz end"
            " where tenant_id = $1 and status = 'pending'",
            tenant.tenant_id,
            status,
            at,
        )


async def counted(http: httpx.AsyncClient, endpoint: str) -> int:
    found = await http.get(f"{ENDPOINTS}/{endpoint}/deliveries", params={"limit": 200})
    return len(found.json()["items"])


async def test_what_is_done_is_forgotten_after_its_time_and_what_waits_is_not(
    http: httpx.AsyncClient, database: Database, settings: Settings, tenant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.delivery_retention.AT_ONCE", 2)
    endpoint = await add(http)
    now = datetime.now(UTC)
    for status, age in (("delivered", 40), ("failed", 40), ("withheld", 31), ("delivered", 29)):
        await report(http)
        await settle(database, tenant, status, now - timedelta(days=age))
    young = await counted(http, endpoint)
    await report(http)
    waiting = await counted(http, endpoint) - young
    assert await Worker(database, settings, clock=later(hours=7)).work_for(tenant.tenant_id) > 0
    left = (await http.get(f"{ENDPOINTS}/{endpoint}/deliveries", params={"limit": 200})).json()["items"]
    assert {one["status"] for one in left} == {"pending", "delivered"}
    assert len([one for one in left if one["status"] == "pending"]) == waiting
    assert len(left) == waiting + young // 4


async def test_a_tenant_says_how_long_and_a_replay_of_what_is_gone_says_so(
    http: httpx.AsyncClient, database: Database, settings: Settings, tenant: Any
) -> None:
    assert (await http.get("/v1/settings")).json()["delivery_retention"] == "P30D"
    refused = await http.patch("/v1/settings", json={"delivery_retention": "P400D"})
    assert refused.json()["errors"][0]["pointer"] == "/delivery_retention"
    assert (await http.patch("/v1/settings", json={"delivery_retention": "P2D"})).status_code == 200
    endpoint, now = await add(http), datetime.now(UTC)
    await report(http)
    await settle(database, tenant, "failed", now - timedelta(days=3))
    async with database.transaction(tenant.tenant_id) as db:
        await db.execute(
            "update webhook_endpoints set created_at = $2 where id = $1", UUID(endpoint), now - timedelta(days=9)
        )
    assert (await http.get(f"{ENDPOINTS}/{endpoint}")).json()["failed_count"] > 0
    await Worker(database, settings, clock=later(hours=7)).work_for(tenant.tenant_id)
    assert await counted(http, endpoint) == 0
    path = f"{ENDPOINTS}/{endpoint}/replay"
    gone = await http.post(path, json={"since": (now - timedelta(days=8)).isoformat()})
    assert (gone.status_code, gone.json()["code"]) == (409, "deliveries-forgotten")
    assert gone.json()["current"]["kept_since"] > (now - timedelta(days=3)).isoformat()
    assert (await http.post(path, json={})).json() == {"queued": 0}


async def test_a_retired_endpoint_is_told_nothing_and_keeps_no_secret(
    http: httpx.AsyncClient, database: Database, settings: Settings, tenant: Any
) -> None:
    endpoint = await add(http)
    path = f"{ENDPOINTS}/{endpoint}"
    await report(http)
    assert (await http.get(path)).json()["pending_count"] > 0
    stale = await http.delete(path, headers={"If-Match": '"7"'})
    assert stale.status_code == 412
    retired = (await http.delete(path)).json()
    assert (retired["status"], retired["disabled_because"]) == ("retired", None)
    await Worker(database, settings).work_for(tenant.tenant_id)
    told = (await http.get(f"{path}/deliveries")).json()["items"]
    assert {(one["status"], one["error"]) for one in told} == {("withheld", "The endpoint was retired.")}
    await report(http)
    assert len((await http.get(f"{path}/deliveries")).json()["items"]) == len(told)
    for method, below, body in (
        ("DELETE", "", None),
        ("PATCH", "", {"status": "active"}),
        ("POST", "/rotate", {}),
        ("POST", "/test", {}),
        ("POST", "/replay", {}),
    ):
        refused = await http.request(method, path + below, json=body)
        assert (refused.status_code, refused.json()["code"]) == (409, "endpoint-retired"), below
    async with database.transaction(tenant.tenant_id) as db:
        row = await db.row("select secret, sealed_url from webhook_endpoints where id = $1", UUID(endpoint))
        lanes = await db.value("select count(*) from webhook_lanes where endpoint_id = $1", UUID(endpoint))
        kinds = await db.fetch("select kind from events where stream = 'webhook_endpoint' order by seq")
    assert row is not None
    assert (row["secret"], row["sealed_url"], lanes) == (b"", None, 0)
    assert [one["kind"] for one in kinds] == [f"webhook_endpoint.{one}" for one in ("created", "tested", "retired")]
