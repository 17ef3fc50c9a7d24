"""A worker that is killed between sending and recording: the event is sent again with the id that it had."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest

from api.server import create_api
from app.courier import Courier
from app.database import Database
from app.secrets import vault_of
from app.settings import Settings
from app.tenants import create_tenant
from app.webhook_deliveries import LEASE
from tests.cluster import Cluster
from tests.conftest import serving
from tests.e2e.test_serve import ROOT, environment
from tests.people import report
from tests.receiver import Received, answer, receiving

pytestmark = pytest.mark.timeout(90)
KILLS = 3


async def test_a_worker_killed_while_a_receiver_answers_sends_again_and_in_order(
    cluster: Cluster, new_database: Callable[..., Awaitable[str]], tmp_path: Path
) -> None:
    dsn = cluster.runtime_dsn(await new_database())
    settings = Settings(
        data_dir=tmp_path,
        database_url=dsn,
        migrate="off",
        port=0,
        metrics_port=0,
        worker=False,
        webhook_networks=(ip_network("127.0.0.0/8"),),
    )
    database = await Database.connect(dsn)
    tenant = await create_tenant(database, "Killed")
    headers = {"Authorization": f"Bearer {tenant.key}"}
    async with (
        serving(create_api(settings)) as address,
        httpx.AsyncClient(base_url=address, headers=headers, timeout=30, trust_env=False) as http,
        receiving() as receiver,
    ):
        variables = environment(tmp_path, DATABASE_URL=dsn, HOLDFAST_WEBHOOK_NETWORKS="127.0.0.0/8")
        body = {"name": "Board", "url": receiver.url, "event_types": ["incident.*", "step.*", "action.*"]}
        endpoint = (await http.post("/v1/webhook-endpoints", json=body)).json()
        silent = asyncio.Event()

        async def hold(_: Received, __: asyncio.StreamWriter) -> None:
            await silent.wait()

        receiver.behave = hold
        incident = await report(http, playbook="data-leakage")
        for killed in range(KILLS):
            receiver.arrived.clear()
            worker = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "app.cli", "worker", cwd=ROOT, env=variables,
                stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            await receiver.arrived.wait()  # the body is there, the answer is not
            worker.kill()
            assert await worker.wait() != 0
            async with database.transaction(tenant.tenant_id) as db:  # as if the lease had ended
                await db.execute("update webhook_lanes set next_at = next_at - $1::interval", LEASE)
            assert len(receiver.got) == killed + 1
        silent.set()
        receiver.behave = None
        receiver.then = answer(204)
        ahead = Courier(database, settings, vault_of(settings), clock=lambda: datetime.now(UTC) + timedelta(seconds=61))
        await ahead.work_for(tenant.tenant_id)
        events = [one.event for one in receiver.got]
        assert len({event["id"] for event in events[: KILLS + 1]}) == 1, "the first, again and again"
        told = events[KILLS:]
        timeline = (await http.get(f"/v1/incidents/{incident['id']}/timeline", params={"limit": 200})).json()["items"]
        wanted = [one["seq"] for one in timeline if one["kind"].partition(".")[0] in ("incident", "step", "action")]
        assert [event["seq"] for event in told] == wanted
        found = await http.get(f"/v1/webhook-endpoints/{endpoint['id']}/deliveries", params={"limit": 200})
        assert {one["status"] for one in found.json()["items"]} == {"delivered"}
    await database.close()
