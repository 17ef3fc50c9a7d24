"""Figures over incidents against figures worked out by hand, on rows of known instants."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from app.authentication import Principal
from app.database import Database
from app.incident_metrics import Asked, read_incident_metrics
from app.tenants import NewTenant
from domain.actors import Actor
from tests.people import Somebody, add_person, report

MARCH = {"from": "2026-03-01", "to": "2026-04-01", "time_zone": "UTC"}
START = datetime(2026, 3, 10, 12, tzinfo=UTC)


async def metrics(http: httpx.AsyncClient, by: Somebody | None = None, **query: Any) -> dict[str, Any]:
    answer = await http.get("/v1/metrics/incidents", params=query, headers=by.headers if by else None)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


class Past:
    """Incidents whose instants are set: minutes after discovery, as nobody could have made them through the doors."""

    def __init__(self, http: httpx.AsyncClient, superuser: asyncpg.Connection) -> None:
        self.http = http
        self.superuser = superuser

    async def incident(self, after: dict[str, int], discovered_at: datetime = START, **told: Any) -> dict[str, Any]:
        made = await report(self.http, discovered_at=discovered_at.isoformat(), **told)
        instants = {name: discovered_at + timedelta(minutes=value) for name, value in after.items()}
        names = ("reported_at", "acknowledged_at", "contained_at", "closed_at")
        await self.superuser.execute(
            "UPDATE incidents SET reported_at = $2, acknowledged_at = $3, contained_at = $4, closed_at = $5,"
            " status = CASE WHEN $5::timestamptz IS NULL THEN status ELSE 'closed' END WHERE id = $1",
            made["id"],
            *(instants.get(name) for name in names),
        )
        return made

    async def step(
        self,
        incident: dict[str, Any],
        step: str,
        done: int | None,
        recorded: int | None = None,
        *,
        skipped: bool = False,
    ) -> None:
        """Let a step with a deadline of 60 minutes be done so many minutes after discovery; None is not at all."""
        occurred = START + timedelta(minutes=done) if done is not None else None
        kept = START + timedelta(minutes=recorded) if recorded is not None else occurred
        await self.superuser.execute(
            "UPDATE step_runs SET due_at = $3, breach_at = $3, completed_occurred_at = $4, completed_at = $5,"
            " skipped_at = $6, status = CASE WHEN $6::timestamptz IS NOT NULL THEN 'skipped'"
            " WHEN $5::timestamptz IS NULL THEN 'in_progress' ELSE 'completed' END WHERE incident_id = $1 AND id = $2",
            incident["id"],
            step,
            START + timedelta(minutes=60),
            None if skipped else occurred,
            None if skipped else kept,
            occurred if skipped else None,
        )


@pytest.fixture
def past(http: httpx.AsyncClient, superuser: asyncpg.Connection) -> Past:
    return Past(http, superuser)


async def test_times_are_those_worked_out_by_hand(http: httpx.AsyncClient, past: Past) -> None:
    declared = {"playbook": "data-leakage"}
    for acknowledged, contained, closed in ((10, 60, 600), (20, 120, 1200), (30, 240, 6000), (60, None, None)):
        after = {"reported_at": 5, "acknowledged_at": 5 + acknowledged}
        after |= {"contained_at": contained} if contained else {}
        after |= {"closed_at": closed} if closed else {}
        await past.incident(after, **declared)
    await past.incident({"reported_at": 0})  # a report that nobody has touched
    await past.incident(
        {"reported_at": 0, "acknowledged_at": 1, "contained_at": 1, "closed_at": 1}, exercise=True, **declared
    )
    await past.incident({"reported_at": 0, "acknowledged_at": 1}, START - timedelta(days=40), **declared)
    figures = (await metrics(http, **MARCH))["total"]["incidents"]
    assert {name: figures[name] for name in ("reports", "rejected", "declared", "open", "closed")} == {
        "reports": 5, "rejected": 0, "declared": 4, "open": 1, "closed": 3,
    }  # fmt: skip
    assert figures["exercises_left_out"] == 1
    # 10, 20, 30, 60 minutes: median 25, p90 = 30 + 0.7 x 30 = 51, mean 30.
    assert figures["time_to_acknowledge"] == {
        "n": 4, "pending": 1, "mean_seconds": 1800.0, "median_seconds": 1500.0, "p90_seconds": 3060.0,
    }  # fmt: skip
    # 60, 120, 240 minutes: median 120, p90 = 120 + 0.8 x 120 = 216, mean 140.
    assert figures["time_to_contain"] == {
        "n": 3, "pending": 1, "mean_seconds": 8400.0, "median_seconds": 7200.0, "p90_seconds": 12960.0,
    }  # fmt: skip
    # 600, 1200, 6000 minutes: median 1200, p90 = 1200 + 0.8 x 4800 = 5040, mean 2600.
    assert figures["time_to_close"] == {
        "n": 3, "pending": 1, "mean_seconds": 156_000.0, "median_seconds": 72_000.0, "p90_seconds": 302_400.0,
    }  # fmt: skip


async def test_attainment_is_that_worked_out_by_hand(http: httpx.AsyncClient, past: Past) -> None:
    one, two = [await past.incident({"reported_at": 0}, playbook="data-leakage") for _ in range(2)]
    await past.incident({"reported_at": 0}, playbook="data-leakage", exercise=True)
    await past.step(one, "DL.1", 60)  # exactly in time
    await past.step(two, "DL.1", 61)
    await past.step(one, "DL.2", 30, recorded=90)  # done in time, recorded late
    await past.step(two, "DL.2", None)
    await past.step(one, "DL.3", 10, skipped=True)
    await past.step(two, "DL.3", 59)
    found = await metrics(http, group_by="step", **MARCH)
    assert found["incidents"] == []
    by_step = {row["group"]["step"]: row["figures"] for row in found["sla"]}
    assert by_step["DL.1"] == {
        "steps": 2, "met": 1, "met_late": 1, "breached": 0, "running": 0, "skipped": 0,
        "attainment": 0.5, "attainment_recorded": 0.5,
    }  # fmt: skip
    assert by_step["DL.2"] == {
        "steps": 2, "met": 1, "met_late": 0, "breached": 1, "running": 0, "skipped": 0,
        "attainment": 0.5, "attainment_recorded": 0.0,
    }  # fmt: skip
    assert by_step["DL.3"] == {
        "steps": 2, "met": 1, "met_late": 0, "breached": 0, "running": 0, "skipped": 1,
        "attainment": 1.0, "attainment_recorded": 1.0,
    }  # fmt: skip
    total = found["total"]["sla"]
    for name in ("steps", "met", "met_late", "breached", "running", "skipped"):
        assert total[name] == sum(figures[name] for figures in by_step.values()), name


async def test_groups_are_cut_as_asked(http: httpx.AsyncClient, past: Past) -> None:
    clients = [(await http.post("/v1/clients", json={"name": f"Client {n}"})).json()["id"] for n in range(2)]
    await past.incident({"reported_at": 0}, playbook="data-leakage", client_ids=clients)
    await past.incident({"reported_at": 0}, START - timedelta(days=20), playbook="data-leakage", client_ids=clients[:1])
    late_march = datetime(2026, 3, 31, 22, 30, tzinfo=UTC)
    generic = {"playbook": "generic-ai-incident", "primary_risk": "AR-002"}
    await past.incident({"reported_at": 0}, late_march, **generic)

    async def counted(**query: Any) -> dict[tuple[str | None, ...], int]:
        found = await metrics(http, **query)
        return {tuple(row["group"].values()): row["figures"]["reports"] for row in found["incidents"]}

    year = {"from": "2026-01-01", "to": "2027-01-01"}
    assert await counted(group_by="client_id", **year) == {(clients[0],): 2, (clients[1],): 1, (None,): 1}
    assert (await metrics(http, group_by="client_id", **year))["total"]["incidents"]["reports"] == 3
    assert await counted(group_by="playbook", **year) == {("data-leakage",): 2, ("generic-ai-incident",): 1}
    by_month = await counted(group_by="period", time_zone="UTC", **year)
    assert by_month == {("2026-02-01",): 1, ("2026-03-01",): 2}
    # In Berlin the last one was discovered in April: the clocks had gone forward.
    assert (await counted(group_by="period", time_zone="Europe/Berlin", **year))[("2026-04-01",)] == 1
    both = await counted(group_by="playbook,period", time_zone="UTC", interval="quarter", **year)
    assert both == {("data-leakage", "2026-01-01"): 2, ("generic-ai-incident", "2026-01-01"): 1}
    assert await counted(group_by="playbook", client_id=clients[1], **year) == {("data-leakage",): 1}
    steps = {
        (row["group"]["playbook"], row["group"]["step"]): row["figures"]["steps"]
        for row in (await metrics(http, group_by="playbook,step", **year))["sla"]
    }
    assert steps[("data-leakage", "DL.1")] == 2


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"group_by": "colour"}, "/query/group_by"),
        ({"group_by": "step,step"}, "/query/group_by"),
        ({"from": "2026-02-01", "to": "2026-01-01"}, "/query/to"),
        ({"from": "soon"}, "/query/from"),
        ({"interval": "decade"}, "/query/interval"),
    ],
)
async def test_what_cannot_be_answered_is_refused(http: httpx.AsyncClient, query: dict[str, str], pointer: str) -> None:
    answer = await http.get("/v1/metrics/incidents", params=query)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_everybody_sees_the_figures_of_what_it_may_see(
    http: httpx.AsyncClient, past: Past, database: Database, superuser: asyncpg.Connection, tenant: NewTenant
) -> None:
    client = UUID((await http.post("/v1/clients", json={"name": "Client"})).json()["id"])
    await past.incident({"reported_at": 0}, playbook="data-leakage", client_ids=[str(client)])
    await past.incident({"reported_at": 0}, playbook="data-leakage")
    auditor = await add_person(database, tenant.tenant_id, "auditor")
    assert (await metrics(http, auditor))["total"]["incidents"]["reports"] == 2
    limited = await add_person(database, tenant.tenant_id, "it_security")
    await superuser.execute("UPDATE api_keys SET client_ids = $2 WHERE person_id = $1", limited.id, [client])
    seen = await metrics(http, limited, group_by="client_id")
    assert [row["group"]["client_id"] for row in seen["incidents"]] == [str(client)]
    assert (seen["total"]["incidents"]["reports"], seen["total"]["sla"]["steps"]) == (1, 5)
    member = await add_person(database, tenant.tenant_id, "any_staff")
    assert (await metrics(http, member))["total"]["incidents"]["reports"] == 0
    await report(http, {"Authorization": f"Bearer {member.key}"})
    assert (await metrics(http, member))["total"]["incidents"]["reports"] == 1


async def test_the_figures_explain_themselves_and_are_a_spreadsheet(http: httpx.AsyncClient, past: Past) -> None:
    empty = await metrics(http)
    assert empty["total"]["incidents"]["time_to_close"] == {
        "n": 0, "pending": 0, "mean_seconds": None, "median_seconds": None, "p90_seconds": None,
    }  # fmt: skip
    assert empty["total"]["sla"]["attainment"] is None
    assert {"clock", "attainment", "population"} <= empty["definitions"].keys()
    await past.incident({"reported_at": 0, "acknowledged_at": 10}, playbook="data-leakage")
    answer = await http.get("/v1/metrics/incidents?group_by=playbook,step", headers={"Accept": "text/csv"})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert (rows[0]["playbook"], rows[0]["step"], rows[0]["steps"]) == ("data-leakage", "DL.1", "1")
    whole = await http.get("/v1/metrics/incidents", headers={"Accept": "text/csv"})
    (row,) = csv.DictReader(io.StringIO(whole.text))
    assert row["time_to_acknowledge_median_seconds"] == "600.0"


async def test_the_number_of_statements_does_not_grow(
    database: Database, tenant: NewTenant, http: httpx.AsyncClient, past: Past
) -> None:
    actor = Actor(kind="person", id=tenant.person_id)
    principal = Principal(
        tenant.tenant_id, actor, tenant.person_id, None, tenant.key_id, "Ann", frozenset({"risk_owner"}), None, True
    )

    async def statements() -> int:
        seen: list[str] = []
        async with database.transaction(tenant.tenant_id, read_only=True) as db:
            asked = Asked(group_by=("playbook", "severity", "client_id", "period", "step"))
            with db.connection.query_logger(lambda record: seen.append(record.query)):
                await read_incident_metrics(db, principal, asked)
        return len(seen)

    await past.incident({"reported_at": 0}, playbook="data-leakage")
    few = await statements()
    for _ in range(3):
        await past.incident({"reported_at": 0}, playbook="data-leakage")
    assert few == await statements() <= 6
