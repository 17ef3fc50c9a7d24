"""What comes back from a ticket system: our own doing changes nothing, and what is theirs is not told back."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import orjson

from tests.app.outbound.tickets.desk_calls import (
    ONE,
    Winding,
    add,
    connect,
    declared,
    deliveries,
    move,
    note,
    only_ticket,
    references,
)
from tests.stand_ins.connectwise import ConnectWise
from tests.stand_ins.desk import Desk

CALLBACKS = Path(__file__).resolve().parents[3] / "payloads" / "connectwise.json"


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


@ONE
async def test_a_ticket_that_comes_back_before_it_is_known_opens_no_second_incident(
    http: httpx.AsyncClient, desk: Desk, tenant: Any
) -> None:
    connection = await connect(http, desk)
    await add(http, connection, desk)
    _, hook = await source_of(http, desk, instance=connection["instance"])
    incident = await declared(http)
    body = callback("opened", id=99, summary=f"[{incident['number']}] AI incident: data-leakage", MemberId="somebody")
    answer = (await http.post(hook, json=body)).json()
    assert answer["result"] in ("noted", "updated")
    assert answer["incident"]["number"] == incident["number"]
    unknown = callback("opened", id=98, summary="[INC-999999] AI incident", MemberId="somebody")
    assert (await http.post(hook, json=unknown)).json()["result"] == "created"


@ONE
async def test_a_number_that_a_stranger_writes_into_a_title_leads_to_no_incident(
    http: httpx.AsyncClient, desk: Desk, courier: Winding, tenant: Any
) -> None:
    """Whoever mails the desk would else hide an alert in an incident, and tell its readers what they like."""
    connection = await connect(http, desk)
    await add(http, connection, desk)
    _, hook = await source_of(http, desk, instance=connection["instance"])
    incident = await declared(http)
    await courier().work_for(tenant.tenant_id)
    body = callback("opened", id=99, summary=f"[{incident['number']}] AI incident: data-leakage", MemberId="stranger")
    answer = (await http.post(hook, json=body)).json()
    assert answer["result"] == "created"
    assert answer["incident"]["number"] != incident["number"]
