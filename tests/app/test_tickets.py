"""Tickets: an incident has one in each system that wants it, whatever the system, its answers and our own ends do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import httpx
import pytest

from app.courier import Courier
from app.database import Database
from app.secrets import vault_of
from app.settings import Settings
from tests.conftest import serving
from tests.people import report
from tests.stand_ins.autotask import Autotask
from tests.stand_ins.connectwise import ConnectWise
from tests.stand_ins.desk import Desk, Ticket
from tests.stand_ins.freshservice import Freshservice
from tests.stand_ins.halopsa import HaloPsa
from tests.stand_ins.jira import Jira
from tests.stand_ins.servicenow import ServiceNow
from tests.stand_ins.zendesk import Zendesk

DESKS: list[type[Desk]] = [ConnectWise, HaloPsa, Jira, ServiceNow, Autotask, Zendesk, Freshservice]
EVERY = pytest.mark.parametrize("desk", DESKS, indirect=True, ids=lambda one: one.system)
ONE = pytest.mark.parametrize("desk", [ConnectWise], indirect=True, ids=lambda one: one.system)
Winding = Callable[..., Courier]


@pytest.fixture(scope="module")
def loopback(settings: Settings) -> Settings:
    """Settings of an operator who lets this machine be called."""
    return settings.model_copy(update={"webhook_networks": (ip_network("127.0.0.0/8"),)})


@pytest.fixture(scope="module")
async def near(loopback: Settings) -> AsyncIterator[str]:
    from api.server import create_api

    async with serving(create_api(loopback)) as address:
        yield address


@pytest.fixture
async def http(near: str, tenant: Any) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {tenant.key}"}
    async with httpx.AsyncClient(base_url=near, headers=headers, timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    found: Desk = request.param()
    async with serving(found.app()) as address:
        found.url = address
        yield found


@pytest.fixture
def courier(database: Database, loopback: Settings) -> Winding:
    """Makes couriers; `ahead` winds their clock forward."""

    def make(**ahead: float) -> Courier:
        return Courier(database, loopback, vault_of(loopback), clock=lambda: datetime.now(UTC) + timedelta(**ahead))

    return make


async def connect(http: httpx.AsyncClient, desk: Desk, **members: Any) -> dict[str, Any]:
    """A connection to the desk, which works."""
    body = {"name": "Desk", "system": desk.system, "base_url": desk.base_url, "credentials": desk.credentials}
    made = await http.post("/v1/connections", json={**body, **members})
    assert made.status_code == 201, made.text
    checked = await http.post(f"/v1/connections/{made.json()['id']}/check")
    assert checked.json()["ok"], checked.text
    found: dict[str, Any] = made.json()
    return found


async def add(http: httpx.AsyncClient, connection: dict[str, Any], desk: Desk, **wanted: Any) -> dict[str, Any]:
    """An endpoint that opens tickets, notes what is noted and keeps the status."""
    statuses = {"in_progress": desk.open_status, "on_hold": desk.working_status, "rejected": desk.closed_status}
    ticket = {
        "connection_id": connection["id"],
        "create_ticket": {"map": desk.map},
        "add_note": ["note.added"],
        "set_status": {"status_map": statuses},
        **wanted,
    }
    made = await http.post("/v1/webhook-endpoints", json={"name": "Desk", "format": "ticket", "ticket": ticket})
    assert made.status_code == 201, made.text
    found: dict[str, Any] = made.json()
    return found


async def declared(http: httpx.AsyncClient, **members: Any) -> dict[str, Any]:
    found = await report(http, playbook="data-leakage", **members)
    assert found["status"] == "in_progress"
    return found


async def note(http: httpx.AsyncClient, incident: dict[str, Any], text: str = "The prompt was deleted.") -> None:
    answer = await http.post(f"/v1/incidents/{incident['id']}/notes", json={"text": text})
    assert answer.status_code == 201, answer.text


async def move(http: httpx.AsyncClient, incident: dict[str, Any], transition: str, **members: Any) -> None:
    body = {"transition": transition, "reason": "A reason that an auditor can read.", **members}
    answer = await http.post(f"/v1/incidents/{incident['id']}/transitions", json=body)
    assert answer.status_code == 200, answer.text


async def references(http: httpx.AsyncClient, incident: dict[str, Any]) -> list[dict[str, Any]]:
    found = await http.get(f"/v1/incidents/{incident['id']}")
    items: list[dict[str, Any]] = found.json()["external_references"]
    return items


async def deliveries(http: httpx.AsyncClient, endpoint: dict[str, Any]) -> list[dict[str, Any]]:
    found = await http.get(f"/v1/webhook-endpoints/{endpoint['id']}/deliveries", params={"limit": 200})
    return sorted(found.json()["items"], key=lambda one: (one["stream_id"], one["seq"]))


def only_ticket(desk: Desk) -> Ticket:
    (ticket,) = desk.tickets.values()
    return ticket


@EVERY
async def test_an_incident_has_a_ticket_that_carries_its_number_and_follows_it(
    http: httpx.AsyncClient, desk: Desk, courier: Winding, tenant: Any
) -> None:
    connection = await connect(http, desk)
    endpoint = await add(http, connection, desk)
    incident = await declared(http, title="A title about Jamie")
    await courier().work_for(tenant.tenant_id)
    ticket = only_ticket(desk)
    assert desk.title(ticket).startswith(f"[{incident['number']}] ")
    assert "Jamie" not in desk.title(ticket)
    assert incident["number"] in ticket.notes[0].text
    assert str(desk.status(ticket)) == str(desk.open_status)
    (reference,) = await references(http, incident)
    assert (reference["system"], reference["instance"]) == (desk.system, connection["id"])
    assert desk.tickets[reference["id"]] is ticket
    assert str(ticket.id) in reference["key"]
    assert reference["url"].startswith("http")
    await note(http, incident)
    await move(http, incident, "hold", waiting_for="the vendor")
    await courier().work_for(tenant.tenant_id)
    assert only_ticket(desk) is ticket
    assert len(ticket.notes) == 2
    assert ticket.notes[1].text.startswith(f"[Holdfast {incident['number']}] note added")
    assert "prompt was deleted" not in ticket.notes[1].text
    assert str(desk.status(ticket)) == str(desk.working_status)
    known = {"discovered_by": "Ann Alder", "discovery_method": "self_report"}
    await http.put(f"/v1/incidents/{incident['id']}/documentation/D02", json=known)
    await move(http, incident, "reject", disposition="false_positive")
    await courier().work_for(tenant.tenant_id)
    assert str(desk.status(ticket)) == str(desk.closed_status)
    assert {one["status"] for one in await deliveries(http, endpoint)} == {"delivered"}
    assert len(ticket.notes) == 2


@EVERY
@pytest.mark.parametrize("setting", ["reopen", "new_ticket", "note"])
async def test_a_ticket_that_was_closed_there_is_treated_as_wanted(
    http: httpx.AsyncClient, desk: Desk, courier: Winding, tenant: Any, setting: str
) -> None:
    await add(http, await connect(http, desk), desk, on_closed_ticket=setting)
    incident = await declared(http)
    await courier().work_for(tenant.tenant_id)
    first = only_ticket(desk)
    desk.set_status(first, desk.closed_status)
    await note(http, incident)
    await courier().work_for(tenant.tenant_id)
    if setting == "new_ticket":
        second = next(one for one in desk.tickets.values() if one is not first)
        assert len(desk.tickets) == 2
        assert (len(first.notes), len(second.notes)) == (1, 2)
        keys = [one["key"] for one in await references(http, incident)]
        assert len(keys) == 2
        await note(http, incident, "And another one.")
        await courier().work_for(tenant.tenant_id)
        assert (len(first.notes), len(second.notes)) == (1, 3)
    else:
        assert only_ticket(desk) is first
        assert len(first.notes) == 2
        wanted = desk.open_status if setting == "reopen" else desk.closed_status
        assert str(desk.status(first)) == str(wanted)


@EVERY
async def test_what_failed_is_done_once_in_the_end(
    http: httpx.AsyncClient, desk: Desk, courier: Winding, tenant: Any
) -> None:
    endpoint = await add(http, await connect(http, desk), desk, set_status=None)
    desk.answers, desk.headers = [429], {"Retry-After": "30"}
    incident = await declared(http)
    await courier().work_for(tenant.tenant_id)
    assert desk.tickets == {}
    (first,) = await deliveries(http, endpoint)
    wait = datetime.fromisoformat(first["next_attempt_at"]) - datetime.fromisoformat(first["attempted_at"])
    assert (first["response_status"], wait) == (429, timedelta(seconds=30))
    desk.lost = [500]
    await courier(seconds=31).work_for(tenant.tenant_id)
    ticket = only_ticket(desk)
    assert await references(http, incident) == []
    await courier(minutes=10).work_for(tenant.tenant_id)
    assert only_ticket(desk) is ticket
    (reference,) = await references(http, incident)
    assert desk.tickets[reference["id"]] is ticket
    await note(http, incident)
    desk.lost = [503]
    await courier(minutes=10).work_for(tenant.tenant_id)
    await courier(minutes=20).work_for(tenant.tenant_id)
    assert len(ticket.notes) == 2
    assert {one["status"] for one in await deliveries(http, endpoint)} == {"delivered"}


@EVERY
async def test_a_courier_that_dies_after_opening_a_ticket_leaves_one_ticket(
    http: httpx.AsyncClient, desk: Desk, courier: Winding, tenant: Any
) -> None:
    await add(http, await connect(http, desk), desk)
    incident = await declared(http)
    desk.talks.clear()
    working = asyncio.create_task(courier().work_for(tenant.tenant_id))
    await asyncio.wait_for(desk.done.wait(), 20)
    # What a process that is killed does not do any more: hear the answer, and record it.
    for task in asyncio.all_tasks():
        if getattr(task.get_coro(), "__qualname__", "") == "Courier._hold":
            task.cancel()
    await working
    desk.talks.set()
    ticket = only_ticket(desk)
    assert await references(http, incident) == []
    await courier().work_for(tenant.tenant_id)
    assert await references(http, incident) == []  # its lease has not ended
    await courier(seconds=61).work_for(tenant.tenant_id)
    assert only_ticket(desk) is ticket
    (reference,) = await references(http, incident)
    assert desk.tickets[reference["id"]] is ticket
