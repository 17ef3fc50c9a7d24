"""What tests of tickets do over HTTP, and the systems they do it with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.courier import Courier
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
