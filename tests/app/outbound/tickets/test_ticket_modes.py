"""What a tenant may want of tickets, and what is refused."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest

from app.settings import Settings
from tests.app.outbound.tickets.desk_calls import (
    ONE,
    Winding,
    add,
    connect,
    declared,
    deliveries,
    note,
    only_ticket,
    references,
)
from tests.receiver import receiving
from tests.stand_ins.desk import Desk

GUIDE = Path(__file__).resolve().parents[4] / "docs" / "tickets.md"


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
