"""The worker: each deadline is announced once, by however many workers, whenever one of them dies."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from app.database import Database
from app.due_work import LEASE, Claim, claim_due, finish
from app.rebuild import check_tenant
from app.reevaluation import queue_reevaluation
from app.settings import Settings
from app.worker import POLL_SECONDS, Worker
from domain.timeline import instant_text
from tests.cluster import Cluster
from tests.people import report

ANNOUNCED = ("sla.at_risk", "sla.breached", "obligation.overdue")


def later(**time: float) -> Callable[[], datetime]:
    """A clock that is ahead."""
    return lambda: datetime.now(UTC) + timedelta(**time)


@pytest.fixture
async def incident(http: httpx.AsyncClient) -> dict[str, Any]:
    """A declared incident, discovered now."""
    now = instant_text(datetime.now(UTC))
    return await report(http, playbook="data-leakage", discovered_at=now, discovered_at_precision="exact")


async def timeline(http: httpx.AsyncClient, incident: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await http.get(f"/v1/incidents/{incident['id']}/timeline", params={"limit": 200})
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def announced(http: httpx.AsyncClient, incident: dict[str, Any]) -> list[tuple[str, str]]:
    """Kind and subject of each announcement so far."""
    events = [event for event in await timeline(http, incident) if event["kind"] in ANNOUNCED]
    return [
        (e["kind"], e["data"].get("occurrence_id") or e["data"].get("step_id") or e["data"]["obligation_id"])
        for e in events
    ]


async def alarms(database: Database, tenant_id: UUID) -> list[datetime]:
    async with database.transaction(tenant_id) as db:
        return [row[0] for row in await db.fetch("select next_at from due_work where kind = 'deadline'")]


async def test_a_passed_deadline_is_announced_once_and_dated_by_the_clock(
    http: httpx.AsyncClient, incident: dict[str, Any], database: Database, settings: Settings, tenant: Any
) -> None:
    worker = Worker(database, settings, clock=later(hours=1))
    assert await worker.work_for(tenant.tenant_id) >= 1
    first = await announced(http, incident)
    assert ("sla.at_risk", "DL.1") in first
    assert ("sla.breached", "DL.1") in first
    assert len(first) == len(set(first))
    events = await timeline(http, incident)
    breach = next(e for e in events if e["kind"] == "sla.breached" and e["data"]["step_id"] == "DL.1")
    assert breach["actor"]["kind"] == "system"
    step = next(s for s in incident["steps"] if s["id"] == "DL.1")
    assert breach["data"]["due_at"] == step["sla"]["due_at"]
    assert breach["occurred_at"] < breach["recorded_at"]
    assert await worker.work_for(tenant.tenant_id) == 0, "the next alarm lies ahead"
    assert await announced(http, incident) == first


async def test_controls_and_duties_are_announced_too(
    http: httpx.AsyncClient, incident: dict[str, Any], database: Database, settings: Settings, tenant: Any
) -> None:
    await Worker(database, settings, clock=later(days=400)).work_for(tenant.tenant_id)
    events = [e for e in await timeline(http, incident) if e["kind"] in ANNOUNCED]
    assert any(e["data"].get("control") for e in events)
    duties = (await http.get(f"/v1/incidents/{incident['id']}/obligations")).json()
    duties = duties["items"] if isinstance(duties, dict) else duties
    owed = {d["id"] for d in duties if d["due_at"] and d["outcome"] != "not_triggered"}
    assert {e["data"]["obligation_id"] for e in events if e["kind"] == "obligation.overdue"} == owed
    assert await alarms(database, tenant.tenant_id) == [], "nothing is left to announce"


async def test_a_notice_due_before_the_assessment_is_an_alarm_to_owner_and_counsel(
    http: httpx.AsyncClient, database: Database, settings: Settings, tenant: Any
) -> None:
    clause = {"kind": "msa", "notice_duration": "PT24H", "notice_clock": "discovered_at", "threshold": "any"}
    client = (await http.post("/v1/clients", json={"name": "A client", "contract": {"clauses": [clause]}})).json()
    incident = await report(http, playbook="data-leakage", client_ids=[client["id"]])
    path = f"/v1/incidents/{incident['id']}"
    owed = {d["id"] for d in (await http.get(f"{path}/obligations")).json() if d["client_id"] == client["id"]}
    await Worker(database, settings, clock=later(hours=17)).work_for(tenant.tenant_id)
    rung = [e for e in await timeline(http, incident) if e["kind"] == "obligation.unassessed"]
    assert not owed & {e["data"]["obligation_id"] for e in rung}, "a quarter of the day is left at 18 hours"
    for _ in range(2):
        await Worker(database, settings, clock=later(hours=19)).work_for(tenant.tenant_id)
        rung = [e for e in await timeline(http, incident) if e["kind"] == "obligation.unassessed"]
        told = [e["data"]["obligation_id"] for e in rung]
        assert owed & set(told) and len(told) == len(set(told))
        assert {e["data"]["step_id"] for e in rung} == {"DL.3"}
        drafts = [n for n in (await http.get(f"{path}/notifications")).json() if n["obligation_id"] in told]
        assert {(n["kind"], n["status"]) for n in drafts} == {("internal", "draft")}
        assert sorted(n["audience"] for n in drafts) == ["legal_counsel", "risk_owner"]
    assert (await check_tenant(database, tenant.tenant_id))["faults"] == []


async def test_an_untriaged_report_breaches_its_triage(
    http: httpx.AsyncClient, database: Database, settings: Settings, tenant: Any
) -> None:
    incident = await report(http)
    await Worker(database, settings, clock=later(hours=2)).work_for(tenant.tenant_id)
    events = [e for e in await timeline(http, incident) if e["kind"] == "sla.breached"]
    assert [(e["data"]["control"], e["data"]["purpose"]) for e in events] == [("CC7.3", "triage")]


async def test_two_workers_announce_once(
    http: httpx.AsyncClient, database: Database, settings: Settings, tenant: Any
) -> None:
    incidents = [await report(http, playbook="data-leakage", title=f"Incident {n}") for n in range(6)]
    workers = [Worker(database, settings, clock=later(days=3)) for _ in range(3)]
    done = await asyncio.gather(*(worker.work_for(tenant.tenant_id) for worker in workers))
    assert sum(done) >= len(incidents)
    for incident in incidents:
        found = await announced(http, incident)
        assert found
        assert len(found) == len(set(found))


async def test_what_a_dead_worker_held_is_done_when_its_lease_ends(
    http: httpx.AsyncClient, incident: dict[str, Any], database: Database, settings: Settings, tenant: Any
) -> None:
    clock = later(days=3)
    async with database.transaction(tenant.tenant_id) as db:
        await db.execute("select 1 from incidents where id = $1 for update", UUID(incident["id"]))
        dying = asyncio.create_task(Worker(database, settings, clock=clock).work_for(tenant.tenant_id))
        await asyncio.sleep(0.3)  # it has claimed and waits for the incident
        dying.cancel()
        await asyncio.gather(dying, return_exceptions=True)
    assert await announced(http, incident) == []
    assert await Worker(database, settings, clock=clock).work_for(tenant.tenant_id) == 0, "the lease still runs"
    after = later(days=3, seconds=LEASE.total_seconds() + 1)
    await Worker(database, settings, clock=after).work_for(tenant.tenant_id)
    found = await announced(http, incident)
    assert found
    assert len(found) == len(set(found))


async def test_work_that_fails_is_put_off_and_holds_up_nothing_else(
    http: httpx.AsyncClient, incident: dict[str, Any], database: Database, settings: Settings, tenant: Any
) -> None:
    tries: list[int] = []

    async def fail(database: Database, claim: Claim) -> None:
        tries.append(claim.attempts)
        raise ValueError("secret of a caller")

    async with database.transaction(tenant.tenant_id) as db:
        await db.execute("insert into due_work values ($1, 'broken', $2, now())", tenant.tenant_id, uuid4())
    for seconds in (0, 5, 10, 20):
        worker = Worker(database, settings, clock=later(hours=1, seconds=seconds), kinds={"broken": fail})
        await worker.work_for(tenant.tenant_id)
    assert tries == [1, 2, 3, 4]
    assert ("sla.breached", "DL.1") in await announced(http, incident)


async def test_what_is_queued_anew_meanwhile_stays_queued(database: Database, tenant: Any) -> None:
    subject = uuid4()
    async with database.transaction(tenant.tenant_id) as db:
        await queue_reevaluation(db, incident_ids=[subject])
    now = datetime.now(UTC)
    [claim] = await claim_due(database, tenant.tenant_id, ["reevaluate"], now)
    async with database.transaction(tenant.tenant_id) as db:
        await queue_reevaluation(db, incident_ids=[subject])
    async with database.transaction(tenant.tenant_id) as db:
        await finish(db, claim)
    [again] = await claim_due(database, tenant.tenant_id, ["reevaluate"], now)
    async with database.transaction(tenant.tenant_id) as db:
        await finish(db, again)
    assert await claim_due(database, tenant.tenant_id, ["reevaluate"], now + timedelta(days=1)) == []


async def test_an_announcement_voids_no_signature_and_changes_no_content(
    http: httpx.AsyncClient, incident: dict[str, Any], database: Database, settings: Settings, tenant: Any
) -> None:
    before = (await http.get(f"/v1/incidents/{incident['id']}")).json()
    await Worker(database, settings, clock=later(days=3)).work_for(tenant.tenant_id)
    after = (await http.get(f"/v1/incidents/{incident['id']}")).json()
    assert after["status"] == before["status"]
    kinds = {e["kind"] for e in await timeline(http, incident)}
    assert "sign_off.voided" not in kinds
    for name in ("facts", "severity", "title", "client_ids"):
        assert after[name] == before[name]
    states = [[(item["id"], item["state"]) for item in one["documentation"]] for one in (before, after)]
    assert states[0] == states[1]


async def test_a_change_of_a_client_reaches_its_open_incidents_before_the_worker_looks_by_itself(
    http: httpx.AsyncClient, database: Database, settings: Settings, tenant: Any
) -> None:
    incident = await report(http, playbook="data-leakage")
    async with database.transaction(tenant.tenant_id) as db:
        await db.execute("delete from due_work")
    worker = Worker(database, settings)
    running = asyncio.create_task(worker.run())
    try:
        await asyncio.sleep(0.5)  # it listens and sleeps
        async with database.transaction(tenant.tenant_id) as db:
            await queue_reevaluation(db, incident_ids=[UUID(incident["id"])])
        async with asyncio.timeout(POLL_SECONDS - 0.5):
            while await waiting(database, tenant.tenant_id):
                await asyncio.sleep(0.02)
    finally:
        worker.stop()
        await asyncio.wait_for(running, 5)


async def waiting(database: Database, tenant_id: UUID) -> int:
    async with database.transaction(tenant_id) as db:
        count: int = await db.value("select count(*) from due_work where kind = 'reevaluate'")
        return count


async def test_the_queue_finds_incidents_by_what_changed(
    http: httpx.AsyncClient, database: Database, tenant: Any
) -> None:
    incident = await report(http, playbook="data-leakage")
    for subject in ({}, {"person_id": tenant.person_id}, {"risk": incident["primary_risk"]}):
        async with database.transaction(tenant.tenant_id) as db:
            await db.execute("delete from due_work where kind = 'reevaluate'")
            await queue_reevaluation(db, **subject)
            assert await db.value("select subject_id from due_work where kind = 'reevaluate'") == UUID(incident["id"])
    async with database.transaction(tenant.tenant_id) as db:
        await db.execute("delete from due_work where kind = 'reevaluate'")
        await queue_reevaluation(db, client_id=uuid4())
        await queue_reevaluation(db, person_id=uuid4())
        await queue_reevaluation(db, risk="AR-999")
        assert await db.value("select count(*) from due_work where kind = 'reevaluate'") == 0


async def test_a_worker_outlives_its_listening_connection(
    database: Database, settings: Settings, tenant: Any, superuser: asyncpg.Connection
) -> None:
    worker = Worker(database, settings)
    running = asyncio.create_task(worker.run())
    try:
        await asyncio.sleep(0.4)
        killed = await superuser.fetchval(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity where query like 'LISTEN%due_work%'"
            " and datname = current_database()"
        )
        assert killed == 1
        await asyncio.sleep(1.5)
        async with database.transaction(tenant.tenant_id) as db:
            await queue_reevaluation(db, incident_ids=[uuid4()])
        async with asyncio.timeout(POLL_SECONDS - 0.5):
            while await waiting(database, tenant.tenant_id):
                await asyncio.sleep(0.02)
    finally:
        worker.stop()
        await asyncio.wait_for(running, 5)


async def test_a_thousand_idle_tenants_cost_at_most_five_statements_a_second(
    cluster: Cluster, new_database: Callable[..., Awaitable[str]], settings: Settings
) -> None:
    name = await new_database()
    admin = await asyncpg.connect(cluster.superuser_dsn(name))
    await admin.execute(
        "with t as (insert into tenants (tenant_id, name) select gen_random_uuid(), 'Idle ' || n"
        " from generate_series(1, 1000) n returning tenant_id)"
        " insert into due_work (tenant_id, kind, subject_id, next_at)"
        " select tenant_id, 'deadline', gen_random_uuid(), now() + interval '1 day' from t"
    )
    await admin.close()
    idle = await Database.connect(cluster.runtime_dsn(name), min_size=1, max_size=1)
    statements: list[str] = []
    async with idle._pool.acquire() as connection:
        connection._con.add_query_logger(lambda record: statements.append(record.query))
    worker = Worker(idle, settings, listen_dsn=cluster.runtime_dsn(name))
    running = asyncio.create_task(worker.run())
    await asyncio.sleep(1)  # the start: a first look, and one more when it begins to listen
    statements.clear()
    seconds = 6
    await asyncio.sleep(seconds)
    worker.stop()
    await asyncio.wait_for(running, 5)
    await idle.close()
    assert 0 < len(statements) <= 5 * seconds


async def test_a_reevaluation_from_which_nothing_follows_writes_nothing(
    http: httpx.AsyncClient, incident: dict[str, Any], database: Database, settings: Settings, tenant: Any
) -> None:
    before = await timeline(http, incident)
    for _ in range(3):
        async with database.transaction(tenant.tenant_id) as db:
            await queue_reevaluation(db)
        await Worker(database, settings).work_for(tenant.tenant_id)
    assert [e["kind"] for e in await timeline(http, incident) if e not in before and e["kind"] not in ANNOUNCED] == []
