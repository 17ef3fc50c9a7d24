"""Tickets: an incident has one in each system that wants it, whatever the system, its answers and our own ends do."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest

from app.courier import Courier
from app.database import Database
from app.secrets import vault_of
from app.settings import Settings
from tests.conftest import serving
from tests.people import report
from tests.receiver import receiving
from tests.stand_ins.autotask import Autotask
from tests.stand_ins.connectwise import ConnectWise
from tests.stand_ins.desk import Desk, Ticket
from tests.stand_ins.freshservice import Freshservice
from tests.stand_ins.halopsa import HaloPsa
from tests.stand_ins.jira import ACCOUNT, Jira
from tests.stand_ins.servicenow import ServiceNow
from tests.stand_ins.zendesk import AGENT, Zendesk

DESKS: list[type[Desk]] = [ConnectWise, HaloPsa, Jira, ServiceNow, Autotask, Zendesk, Freshservice]
EVERY = pytest.mark.parametrize("desk", DESKS, indirect=True, ids=lambda one: one.system)
ONE = pytest.mark.parametrize("desk", [ConnectWise], indirect=True, ids=lambda one: one.system)
GUIDE = Path(__file__).resolve().parents[2] / "docs" / "tickets.md"
CALLBACKS = Path(__file__).resolve().parents[1] / "payloads" / "connectwise.json"
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
    assert first["response_status"] == 429
    assert timedelta(seconds=29.9) < wait < timedelta(seconds=30.9)
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


async def source_of(http: httpx.AsyncClient, desk: Desk, **members: Any) -> tuple[dict[str, Any], str]:
    """A source of the desk's system, and the path of its address."""
    made = await http.post("/v1/sources", json={"name": "Desk", "system": desk.system, **members})
    assert made.status_code == 201, made.text
    return made.json(), "/hooks/" + made.json()["hook_url"].rpartition("/")[2]


def callback(case: str, **changes: Any) -> dict[str, Any]:
    """A recorded callback of ConnectWise, with the record inside it changed."""
    found = next(one for one in orjson.loads(CALLBACKS.read_bytes()) if one["case"] == case)
    body = orjson.loads(found["raw_body"])
    record = orjson.loads(body["Entity"])
    member = changes.pop("MemberId", body["MemberId"])
    record |= changes
    told = {"MessageId": str(uuid4()), "MemberId": member, "ID": record["id"], "Entity": orjson.dumps(record).decode()}
    return {**body, **told}


@ONE
async def test_an_incident_that_came_from_a_ticket_stays_with_it(
    http: httpx.AsyncClient, desk: Desk, courier: Winding, tenant: Any
) -> None:
    source, hook = await source_of(http, desk)
    theirs = desk.add({"summary": "Staff pasted a contract", "status": {"name": "New"}})
    opened = (await http.post(hook, json=callback("opened", id=theirs.id, MemberId="jamie"))).json()
    assert opened["result"] == "created"
    connection = await connect(http, desk)
    named = await http.patch(f"/v1/sources/{source['id']}", json={"connection_id": connection["id"]})
    assert named.status_code == 200, named.text
    endpoint = await add(http, connection, desk, add_note=["note.added"])
    incident = {"id": opened["incident"]["id"], "number": opened["incident"]["number"]}
    await move(http, incident, "declare", playbook="data-leakage")
    await courier().work_for(tenant.tenant_id)
    assert only_ticket(desk) is theirs
    (first,) = theirs.notes
    assert first.text.startswith(f"[Holdfast {incident['number']}] incident declared")
    assert desk.status(theirs) == desk.open_status
    assert len(await references(http, incident)) == 1
    # What the ticket tells us is not told to the ticket.
    told = callback("updated", id=theirs.id, MemberId="jamie", summary="Staff pasted two contracts")
    assert (await http.post(hook, json=told)).json()["result"] in ("noted", "updated")
    await courier().work_for(tenant.tenant_id)
    assert len(theirs.notes) == 1
    assert [one["status"] for one in await deliveries(http, endpoint)][-1] == "withheld"


@ONE
async def test_what_we_did_comes_back_and_changes_nothing(
    http: httpx.AsyncClient, desk: Desk, courier: Winding, tenant: Any
) -> None:
    connection = await connect(http, desk)
    await add(http, connection, desk)
    _, hook = await source_of(http, desk, instance=connection["instance"])
    incident = await declared(http)
    await courier().work_for(tenant.tenant_id)
    ticket = only_ticket(desk)
    read = (await http.get(f"/v1/connections/{connection['id']}")).json()
    assert read["account"] == ConnectWise.account
    before = (await http.get(f"/v1/incidents/{incident['id']}/timeline", params={"limit": 200})).json()["items"]
    for case in ("opened", "updated", "closed"):
        body = callback(case, id=ticket.id, summary=desk.title(ticket), MemberId=ConnectWise.account)
        answer = (await http.post(hook, json=body)).json()
        assert (answer["result"], answer["because"]) == ("ignored", "It is our own doing, which comes back.")
    await note(http, incident)
    await courier().work_for(tenant.tenant_id)
    second = await http.post("/v1/sources", json={"name": "Mail", "system": "generic"})
    mail = "/hooks/" + second.json()["hook_url"].rpartition("/")[2]
    known = {"system": "generic", "instance": second.json()["instance"], "id": "mail-1"}
    await http.post(f"/v1/incidents/{incident['id']}/external-references", json=known)
    told = {"event_action": "note", "dedup_key": "mail-1", "note": f"<p>{ticket.notes[-1].text}</p>"}
    assert (await http.post(mail, json=told)).json()["result"] == "ignored"
    quoted = {**told, "note": f"Jamie answers:\n{ticket.notes[-1].text}"}
    assert (await http.post(mail, json=quoted)).json()["result"] == "noted"
    after = (await http.get(f"/v1/incidents/{incident['id']}/timeline", params={"limit": 200})).json()["items"]
    assert [one["kind"] for one in after[len(before) :]] == [
        "note.added",
        "external_reference.added",
        "note.added",
    ]
    assert (await http.get("/v1/incidents")).json()["items"][1:] == []


ACCOUNTS = {"connectwise": "holdfast", "halopsa": "Holdfast Agent", "jira": ACCOUNT, "zendesk": str(AGENT)}
ACCOUNTS |= {"servicenow": "holdfast", "autotask": "296"}


@EVERY
async def test_who_we_are_there_is_learned_from_the_system(
    http: httpx.AsyncClient, desk: Desk, courier: Winding, tenant: Any
) -> None:
    connection = await connect(http, desk)
    await add(http, connection, desk)
    await declared(http)
    await courier().work_for(tenant.tenant_id)
    read = (await http.get(f"/v1/connections/{connection['id']}")).json()
    assert read["account"] == ACCOUNTS.get(desk.system)


@ONE
async def test_a_connection_that_lets_us_in_no_more_is_seen_and_heard(
    http: httpx.AsyncClient, desk: Desk, courier: Winding, tenant: Any
) -> None:
    connection = await connect(http, desk)
    await add(http, connection, desk)
    async with receiving() as receiver:
        board = {"name": "Board", "url": receiver.url, "event_types": ["connection.*"]}
        assert (await http.post("/v1/webhook-endpoints", json=board)).status_code == 201
        desk.answers = [401]
        incident = await declared(http)
        await courier().work_for(tenant.tenant_id)
        assert "401" in (await http.get(f"/v1/connections/{connection['id']}")).json()["last_error"]
        await courier(seconds=10).work_for(tenant.tenant_id)
        await courier(seconds=20).work_for(tenant.tenant_id)
        told = [event["type"] for event in receiver.events]
    assert (await http.get(f"/v1/connections/{connection['id']}")).json()["last_error"] is None
    assert told == ["connection.check_failed", "connection.checked", "connection.recognised"]
    assert len(await references(http, incident)) == 1


@ONE
async def test_a_ticket_that_comes_back_before_it_is_known_opens_no_second_incident(
    http: httpx.AsyncClient, desk: Desk, tenant: Any
) -> None:
    connection = await connect(http, desk)
    _, hook = await source_of(http, desk, instance=connection["instance"])
    incident = await declared(http)
    body = callback("opened", id=99, summary=f"[{incident['number']}] AI incident: data-leakage", MemberId="somebody")
    answer = (await http.post(hook, json=body)).json()
    assert answer["result"] in ("noted", "updated")
    assert answer["incident"]["number"] == incident["number"]
    unknown = callback("opened", id=98, summary="[INC-999999] AI incident", MemberId="somebody")
    assert (await http.post(hook, json=unknown)).json()["result"] == "created"


@ONE
async def test_each_client_has_its_own_words(
    http: httpx.AsyncClient, desk: Desk, courier: Winding, tenant: Any
) -> None:
    names = [(await http.post("/v1/clients", json={"name": name})).json() for name in ("Acme", "Bolt")]
    reference = {"system": desk.system, "instance": "-", "id": "BoltCorp"}
    third = await http.post("/v1/clients", json={"name": "Corp", "external_references": [reference]})
    wanted = {"map": {"board": "Help Desk"}, "clients": {names[1]["id"]: {"board": "Bolt", "company": "Bolt"}}}
    wanted["clients"][names[0]["id"]] = {"company": "Acme"}
    await add(http, await connect(http, desk), desk, create_ticket=wanted)
    for client in (*names, third.json()):
        await declared(http, client_ids=[client["id"]])
    await courier().work_for(tenant.tenant_id)
    made = sorted((one.fields["company"]["identifier"], one.fields["board"]["name"]) for one in desk.tickets.values())
    assert made == [("Acme", "Help Desk"), ("Bolt", "Bolt"), ("BoltCorp", "Help Desk")]


@ONE
async def test_a_full_note_says_what_people_wrote(
    http: httpx.AsyncClient, desk: Desk, courier: Winding, tenant: Any
) -> None:
    endpoint = await add(http, await connect(http, desk), desk)
    await http.patch(f"/v1/webhook-endpoints/{endpoint['id']}", json={"payload": "full"})
    incident = await declared(http, title="Contract in a chatbot", summary="Somebody pasted it.")
    await note(http, incident, "The prompt was deleted.")
    await courier().work_for(tenant.tenant_id)
    ticket = only_ticket(desk)
    assert desk.title(ticket) == f"[{incident['number']}] Contract in a chatbot"
    assert "Somebody pasted it." in ticket.notes[0].text
    assert "The prompt was deleted." in ticket.notes[1].text


@ONE
async def test_a_ticket_that_is_gone_is_replaced(
    http: httpx.AsyncClient, desk: Desk, courier: Winding, tenant: Any
) -> None:
    await add(http, await connect(http, desk), desk)
    incident = await declared(http)
    await courier().work_for(tenant.tenant_id)
    desk.tickets.clear()
    await note(http, incident)
    await courier().work_for(tenant.tenant_id)
    assert len(only_ticket(desk).notes) == 2
    assert len(await references(http, incident)) == 2


@ONE
async def test_the_reference_is_written_by_the_connection(
    http: httpx.AsyncClient, desk: Desk, courier: Winding, tenant: Any
) -> None:
    connection = await connect(http, desk)
    await add(http, connection, desk)
    incident = await declared(http)
    await courier().work_for(tenant.tenant_id)
    found = (await http.get(f"/v1/incidents/{incident['id']}/timeline", params={"limit": 200})).json()["items"]
    (event,) = [one for one in found if one["kind"] == "external_reference.added"]
    assert event["actor"]["kind"] == "system"
    async with receiving() as receiver:
        board = {"name": "Board", "url": receiver.url, "event_types": ["external_reference.added"]}
        assert (await http.post("/v1/webhook-endpoints", json=board)).status_code == 201
        await declared(http)
        await courier().work_for(tenant.tenant_id)
        await courier().work_for(tenant.tenant_id)
        (told,) = receiver.events
    assert (told["origin"]["kind"], told["origin"]["connection_id"]) == ("connection", connection["id"])


@ONE
async def test_a_test_checks_the_connection_and_one_in_use_is_not_retired(
    http: httpx.AsyncClient, desk: Desk, courier: Winding, tenant: Any
) -> None:
    connection = await connect(http, desk)
    endpoint = await add(http, connection, desk)
    await http.post(f"/v1/webhook-endpoints/{endpoint['id']}/test")
    await courier().work_for(tenant.tenant_id)
    (told,) = await deliveries(http, endpoint)
    assert (told["status"], told["response_excerpt"]) == ("delivered", "The connection works.")
    refused = await http.post(f"/v1/connections/{connection['id']}/retire")
    assert (refused.status_code, refused.json()["code"]) == (409, "connection-in-use")
    await http.patch(f"/v1/webhook-endpoints/{endpoint['id']}", json={"status": "disabled"})
    assert (await http.post(f"/v1/connections/{connection['id']}/retire")).status_code == 200


@ONE
async def test_one_endpoint_opens_the_tickets_of_an_incident(http: httpx.AsyncClient, desk: Desk, tenant: Any) -> None:
    connection = await connect(http, desk)
    clients = [(await http.post("/v1/clients", json={"name": name})).json()["id"] for name in ("Acme", "Bolt")]
    first = await add(http, connection, desk)
    ticket = {"connection_id": connection["id"], "create_ticket": {}}
    body = {"name": "Second", "format": "ticket", "ticket": ticket}
    refused = await http.post("/v1/webhook-endpoints", json=body)
    assert (refused.status_code, refused.json()["code"]) == (409, "connection-opens-tickets")
    noting = {**body, "ticket": {"connection_id": connection["id"], "add_note": ["note.added"]}}
    assert (await http.post("/v1/webhook-endpoints", json=noting)).status_code == 201
    await http.patch(f"/v1/webhook-endpoints/{first['id']}", json={"client_ids": clients[:1]})
    second = await http.post("/v1/webhook-endpoints", json={**body, "client_ids": clients[1:]})
    assert second.status_code == 201, second.text
    wider = await http.patch(f"/v1/webhook-endpoints/{second.json()['id']}", json={"client_ids": clients})
    assert wider.status_code == 409
    await http.patch(f"/v1/webhook-endpoints/{first['id']}", json={"status": "disabled"})
    wider = await http.patch(f"/v1/webhook-endpoints/{second.json()['id']}", json={"client_ids": clients})
    assert wider.status_code == 200
    back = await http.patch(f"/v1/webhook-endpoints/{first['id']}", json={"status": "active"})
    assert (back.status_code, back.json()["code"]) == (409, "connection-opens-tickets")


@ONE
@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"url": "https://receiver.example"}, "/url"),
        ({"event_types": ["*"]}, "/event_types"),
        ({"format": "standard"}, "/ticket"),
        ({"ticket": None}, "/ticket"),
        ({"ticket": {"add_note": ["note"]}}, "/event_types/0"),
        ({"ticket": {}}, "/ticket"),
        ({"ticket": {"connection_id": str(uuid4()), "add_note": ["*"]}}, "/ticket/connection_id"),
        ({"ticket": {"create_ticket": {"map": {"bord": "x"}}}}, "/ticket/create_ticket/map/bord"),
        ({"ticket": {"create_ticket": {"clients": {str(uuid4()): {}}}}}, "/ticket/create_ticket/clients/"),
        ({"ticket": {"add_note": ["*"], "on_closed_ticket": "reopen"}}, "/ticket/on_closed_ticket"),
        ({"ticket": {"add_note": ["*"], "on_closed_ticket": "new_ticket"}}, "/ticket/on_closed_ticket"),
        ({"ticket": {"set_status": {"status_map": {"asleep": "x"}}}}, "/ticket/set_status/status_map"),
    ],
)
async def test_what_cannot_work_is_refused_with_a_reason(
    http: httpx.AsyncClient, desk: Desk, members: dict[str, Any], pointer: str
) -> None:
    connection = await connect(http, desk)
    ticket = {"connection_id": connection["id"], "add_note": ["note.added"]}
    body = {"name": "Desk", "format": "ticket", "ticket": ticket, **members}
    if members.get("ticket") is not None:
        body["ticket"] = {"connection_id": connection["id"], **members["ticket"]}
    answer = await http.post("/v1/webhook-endpoints", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"].startswith(pointer), answer.text


@pytest.mark.parametrize("desk", [HaloPsa], indirect=True)
async def test_a_token_is_kept_until_it_is_refused(
    http: httpx.AsyncClient, desk: HaloPsa, courier: Winding, tenant: Any
) -> None:
    await add(http, await connect(http, desk), desk)
    one, before = courier(), desk.tokens
    await declared(http)
    await one.work_for(tenant.tenant_id)
    assert desk.tokens == before + 1
    desk.tokens += 1  # which ends the token that is kept
    await declared(http)
    await one.work_for(tenant.tenant_id)
    assert len(desk.tickets) == 2
    assert desk.tokens == before + 3


@ONE
async def test_the_examples_of_the_guide_work(
    http: httpx.AsyncClient, desk: Desk, courier: Winding, tenant: Any
) -> None:
    text = GUIDE.read_text(encoding="utf-8")
    (curl,), (written,) = (re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL) for kind in ("sh", "json"))
    given = orjson.loads(curl.partition("-d '")[2].rpartition("'")[0])
    made = await http.post("/v1/connections", json={**given, "base_url": desk.base_url})
    assert made.status_code == 201, made.text
    client = (await http.post("/v1/clients", json={"name": "Acme"})).json()
    body = written.replace("CONNECTION", made.json()["id"]).replace("CLIENT", client["id"])
    answer = await http.post("/v1/webhook-endpoints", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 201, answer.text
    incident = await declared(http, client_ids=[client["id"]])
    await courier().work_for(tenant.tenant_id)
    ticket = only_ticket(desk)
    assert ticket.fields["board"] == {"name": "Security"}
    assert desk.title(ticket).startswith(f"[{incident['number']}]")


@ONE
async def test_the_command_line_lists_and_checks(
    http: httpx.AsyncClient, desk: Desk, loopback: Settings, tenant: Any
) -> None:
    made = await connect(http, desk)
    environment = {
        **os.environ,
        "DATABASE_URL": loopback.database_url.get_secret_value() if loopback.database_url else "",
        "HOLDFAST_DATA_DIR": str(loopback.data_dir),
        "HOLDFAST_WEBHOOK_NETWORKS": "127.0.0.0/8",
        "HOLDFAST_MIGRATE": "off",
    }

    async def run(*words: str) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "app.cli", "connections", *words, env=environment, stdout=-1, stderr=-2
        )
        printed, _ = await process.communicate()
        return process.returncode, printed.decode()

    known = ("--tenant", str(tenant.tenant_id))
    code, printed = await run("list", "--json", *known)
    assert (code, [one["id"] for one in orjson.loads(printed)]) == (0, [made["id"]]), printed
    code, printed = await run("check", made["id"], *known)
    assert code == 0, printed
    assert "v2026.1" in printed
    desk.answers = [503]
    code, printed = await run("check", made["id"], *known)
    assert (code, "503" in printed) == (1, True), printed


@ONE
async def test_what_is_wanted_can_be_changed(
    http: httpx.AsyncClient, desk: Desk, courier: Winding, tenant: Any
) -> None:
    connection = await connect(http, desk)
    endpoint = await add(http, connection, desk)
    wanted = {"connection_id": connection["id"], "create_ticket": {"map": desk.map}, "add_note": ["action.completed"]}
    place = f"/v1/webhook-endpoints/{endpoint['id']}"
    changed = await http.patch(place, json={"ticket": wanted})
    assert changed.status_code == 200, changed.text
    assert changed.json()["event_types"] == ["action.completed", "incident.declared"]
    assert changed.json()["version"] == endpoint["version"] + 1
    assert (await http.patch(place, json={"ticket": wanted})).json()["version"] == endpoint["version"] + 1
    assert (await http.patch(place, json={"url": "https://receiver.example"})).status_code == 422
    incident = await declared(http)
    await note(http, incident)
    await courier().work_for(tenant.tenant_id)
    assert len(only_ticket(desk).notes) == 1


@ONE
async def test_the_graph_adds_an_endpoint_of_tickets(http: httpx.AsyncClient, desk: Desk) -> None:
    connection = await connect(http, desk)
    ticket = {
        "connectionId": connection["id"],
        "createTicket": {"map": {"board": "Help Desk", "priority": {"SEV1": "High", "default": "Low"}}},
        "setStatus": {"statusMap": {"closed": ">Closed", "in_progress": "In Progress"}},
        "onClosedTicket": "new_ticket",
    }
    query = """
    mutation($input: AddWebhookEndpointInput!) { addWebhookEndpoint(input: $input) {
        ... on AddWebhookEndpointSuccess { webhookEndpoint { format url ticket } } ... on Problem { message } } }
    """
    variables = {"input": {"name": "Desk", "format": "ticket", "ticket": ticket}}
    answer = (await http.post("/graphql", json={"query": query, "variables": variables})).json()
    assert "errors" not in answer, answer
    made = answer["data"]["addWebhookEndpoint"]["webhookEndpoint"]
    assert (made["format"], made["url"]) == ("ticket", desk.base_url)
    assert made["ticket"]["create_ticket"]["map"]["priority"] == {"SEV1": "High", "default": "Low"}
    assert made["ticket"]["set_status"] == {"status_map": {"closed": ">Closed", "in_progress": "In Progress"}}
