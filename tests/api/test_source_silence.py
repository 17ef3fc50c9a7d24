"""A source that should speak and does not is told of once, and once more when it is heard."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx

from app.database import Database
from app.settings import Settings
from app.tenants import NewTenant
from app.worker import Worker


async def test_silence_is_told_once_and_its_end(
    http: httpx.AsyncClient,
    stranger: httpx.AsyncClient,
    database: Database,
    superuser: asyncpg.Connection,
    settings: Settings,
    tenant: NewTenant,
) -> None:
    async def work(**ahead: float) -> list[str]:
        clock = datetime.now(UTC) + timedelta(**ahead)
        await Worker(database, settings, clock=lambda: clock).work_for(tenant.tenant_id)
        rows = await superuser.fetch(
            "SELECT kind FROM events WHERE tenant_id = $1 AND stream = 'source'"
            " AND kind IN ('source.silent', 'source.heard') ORDER BY seq",
            tenant.tenant_id,
        )
        return [row[0] for row in rows]

    async def shown() -> dict[str, Any]:
        found: dict[str, Any] = (await http.get(f"/v1/sources/{source['id']}")).json()
        return found

    given = {"name": "Heartbeat", "system": "generic", "limits": {"expected_seconds": 3600}}
    source = (await http.post("/v1/sources", json=given)).json()
    assert source["silent_since"] is None
    assert await work(minutes=50) == []
    assert await work(minutes=70) == ["source.silent"]
    assert await work(minutes=140) == ["source.silent"]
    assert (await shown())["silent_since"] == source["created_at"]

    path = "/hooks/" + source["hook_url"].rsplit("/", 1)[1]
    assert (await stranger.post(path, json={"event_action": "trigger", "summary": "x"})).status_code == 202
    await superuser.execute("UPDATE hook_deliveries SET received_at = now() + interval '190 minutes'")
    assert await work(minutes=201) == ["source.silent", "source.heard"]
    assert (await shown())["silent_since"] is None

    assert (await http.patch(f"/v1/sources/{source['id']}", json={"status": "paused"})).status_code == 200
    assert await work(minutes=900) == ["source.silent", "source.heard"]
    again = {"status": "active", "limits": {"expected_seconds": 60}}
    assert (await http.patch(f"/v1/sources/{source['id']}", json=again)).status_code == 200
    assert await work(minutes=960) == ["source.silent", "source.heard", "source.silent"]
