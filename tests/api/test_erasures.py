"""Erasure: a text goes from everywhere it was kept, the chain still verifies, and two people did it."""

from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import orjson
import pytest

from app.database import Database
from app.rebuild import _differences, check_tenant
from app.tenants import create_tenant
from domain.timeline import fold
from tests.people import Somebody, add_person, report

NAME = "Ingrid Vögelin"
REASON = "The person concerned asked for it under Art. 17."


@pytest.fixture
async def privacy(database: Database, tenant: Any) -> Somebody:
    return await add_person(database, tenant.tenant_id, "privacy", name="Privacy")


@pytest.fixture
async def counsel(database: Database, tenant: Any) -> Somebody:
    return await add_person(database, tenant.tenant_id, "legal_counsel", name="Counsel")


@pytest.fixture
async def incident(http: httpx.AsyncClient) -> dict[str, Any]:
    """A declared incident that names a person in several places."""
    made = await report(
        http,
        {"Idempotency-Key": uuid4().hex},
        playbook="data-leakage",
        title=f"{NAME} pasted a list",
        summary=f"Seen by a colleague: {NAME} pasted customer data.",
        discovered_by=NAME,
    )
    url = f"/v1/incidents/{made['id']}"
    note = await http.post(f"{url}/notes", json={"text": f"I have talked to {NAME}."})
    assert note.status_code in {200, 201}, note.text
    plain = await http.post(f"{url}/notes", json={"text": "The proxy log is preserved."})
    assert plain.status_code in {200, 201}
    return made


async def ask(http: httpx.AsyncClient, incident: dict[str, Any], who: Somebody, **wanted: Any) -> httpx.Response:
    url = f"/v1/incidents/{incident['number']}/erasures"
    return await http.post(url, json={"reason": REASON, **wanted}, headers=who.headers)


async def decide(
    http: httpx.AsyncClient, incident: dict[str, Any], erasure: dict[str, Any], who: Somebody, **decision: Any
) -> httpx.Response:
    url = f"/v1/incidents/{incident['id']}/erasures/{erasure['id']}/transitions"
    return await http.post(url, json={"transition": "approve", **decision}, headers=who.headers)


async def dump(superuser: asyncpg.Connection, tenant_id: UUID) -> str:
    """Every row of the tenant as text."""
    tables = await superuser.fetch(
        "select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'"
        " where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'"
    )
    parts = []
    for row in tables:
        parts += await superuser.fetch(f"select t::text from {row[0]} t where tenant_id = $1", tenant_id)
    return "\n".join(part[0] for part in parts)


async def test_an_erased_text_is_gone_and_the_record_still_proves_itself(
    http: httpx.AsyncClient,
    incident: dict[str, Any],
    privacy: Somebody,
    counsel: Somebody,
    database: Database,
    superuser: asyncpg.Connection,
    tenant: Any,
) -> None:
    assert NAME in await dump(superuser, tenant.tenant_id)
    answer = await ask(http, incident, privacy, fields=["/incident/discovered_by_name"])
    assert answer.status_code == 201, answer.text
    asked = answer.json()
    assert asked["state"] == "requested"
    report_of_request = await check_tenant(database, tenant.tenant_id)
    assert report_of_request["faults"] == []
    done = await decide(http, incident, asked, counsel)
    assert done.status_code == 200, done.text
    assert done.json()["state"] == "executed"
    assert done.json()["decided_by"] == str(counsel.id)
    assert NAME not in await dump(superuser, tenant.tenant_id)
    after = (await http.get(f"/v1/incidents/{incident['id']}")).json()
    assert after["title"] == "[erased] pasted a list"
    assert after["summary"] == "Seen by a colleague: [erased] pasted customer data."
    events = (await http.get(f"/v1/incidents/{incident['id']}/timeline", params={"limit": 200})).json()["items"]
    erased = [event["seq"] for event in events if event["erased"]]
    assert erased == done.json()["event_seqs"]
    assert all(event["data"] is None for event in events if event["erased"])
    kept = [event["data"].get("text") for event in events if event["kind"] == "note.added" and not event["erased"]]
    assert kept == ["The proxy log is preserved."]
    found = await check_tenant(database, tenant.tenant_id)
    assert found["faults"] == []
    assert found["erased"] == 1


async def test_what_is_stored_is_still_what_the_events_fold_to(
    http: httpx.AsyncClient,
    incident: dict[str, Any],
    privacy: Somebody,
    counsel: Somebody,
    database: Database,
    superuser: asyncpg.Connection,
    tenant: Any,
) -> None:
    asked = (await ask(http, incident, privacy, event_seqs=[1])).json()
    assert (await decide(http, incident, asked, counsel)).status_code == 200
    note = await http.post(f"/v1/incidents/{incident['id']}/notes", json={"text": "Work goes on."})
    assert note.status_code in {200, 201}
    async with database.transaction(tenant.tenant_id, read_only=True) as db:
        rows = await db.fetch(
            "select data -> 'changes' as changes from event_data where stream = 'incident' and stream_id = $1"
            " and data ? 'changes' order by seq",
            UUID(incident["id"]),
        )
        state = fold([orjson.loads(row["changes"]) for row in rows])
        assert set(state["incidents"]) == {incident["id"]}
        assert len(state["step_runs"]) == len(incident["steps"])
        assert await _differences(db, "incident", UUID(incident["id"]), state) == []


async def test_an_erased_note_takes_its_text_along(
    http: httpx.AsyncClient, incident: dict[str, Any], privacy: Somebody, counsel: Somebody
) -> None:
    url = f"/v1/incidents/{incident['id']}"
    events = (await http.get(f"{url}/timeline", params={"limit": 200})).json()["items"]
    note = next(event["seq"] for event in events if event["kind"] == "note.added")
    asked = (await ask(http, incident, privacy, event_seqs=[note])).json()
    done = (await decide(http, incident, asked, counsel)).json()
    assert done["event_seqs"] == [note]
    assert (await http.get(url)).json()["title"] == incident["title"], "another text stays"


async def test_a_kept_delivery_and_a_stored_answer_lose_the_text(
    http: httpx.AsyncClient,
    incident: dict[str, Any],
    privacy: Somebody,
    counsel: Somebody,
    database: Database,
    tenant: Any,
) -> None:
    headers = {"Idempotency-Key": "note-1"}
    body = {"text": f"{NAME} called back."}
    url = f"/v1/incidents/{incident['id']}/notes"
    told = {"name": "Board", "url": "https://receiver.example/events", "event_types": ["*"]}
    assert (await http.post("/v1/webhook-endpoints", json=told)).status_code == 201
    assert (await http.post(url, json=body, headers=headers)).status_code in {200, 201}
    source = uuid4()
    async with database.transaction(tenant.tenant_id) as db:
        await db.execute(
            "insert into sources (tenant_id, id, name, system, token_hash) values ($1, $2, 'S', 'generic', $3)",
            tenant.tenant_id,
            source,
            source.bytes,
        )
        for number, held in enumerate((NAME.encode(), b'{"who": "Ingrid V\\u00f6gelin"}', b"nobody")):
            await db.execute(
                "insert into hook_deliveries (tenant_id, id, source_id, dedupe_key, body, incident_id)"
                " values ($1, $2, $3, $4, $5, $6)",
                tenant.tenant_id,
                uuid4(),
                source,
                str(number),
                held,
                UUID(incident["id"]),
            )
        answered = "update webhook_deliveries set response_excerpt = $1 where stream_id = $2"
        assert await db.execute(answered, f"Thanks, {NAME}", UUID(incident["id"])) != "UPDATE 0"
    asked = (await ask(http, incident, privacy, fields=["/incident/discovered_by_name"])).json()
    assert (await decide(http, incident, asked, counsel)).status_code == 200
    async with database.transaction(tenant.tenant_id) as db:
        assert await db.fetch("select 1 from webhook_deliveries where response_excerpt is not null") == []
        bodies = await db.fetch("select body from hook_deliveries order by dedupe_key")
        assert [row[0] for row in bodies] == [b"", b"", b"nobody"]
    again = await http.post(url, json=body, headers=headers)
    assert again.headers["idempotency-replayed"] == "true", "it is not done a second time"
    assert NAME not in again.text


async def test_it_takes_two_people_of_two_roles(
    http: httpx.AsyncClient,
    incident: dict[str, Any],
    privacy: Somebody,
    counsel: Somebody,
    database: Database,
    tenant: Any,
) -> None:
    wanted = {"fields": ["/incident/summary"]}
    assert (await ask(http, incident, counsel, **wanted)).status_code == 403
    both = await add_person(database, tenant.tenant_id, "privacy", "legal_counsel")
    own = (await ask(http, incident, both, **wanted)).json()
    refused = await decide(http, incident, own, both)
    assert (refused.status_code, refused.json()["code"]) == (403, "four-eyes")
    assert (await decide(http, incident, own, privacy)).status_code == 403
    assert (await http.get(f"/v1/incidents/{incident['id']}")).json()["summary"] == incident["summary"]
    rejected = await decide(http, incident, own, counsel, transition="reject", reason="Needed for the claim in court.")
    assert rejected.json()["state"] == "rejected"
    late = await decide(http, incident, own, counsel)
    assert (late.status_code, late.json()["current"]) == (409, {"state": "rejected"})
    listed = (await http.get(f"/v1/incidents/{incident['id']}/erasures")).json()["items"]
    assert [one["state"] for one in listed] == ["rejected"]
    report_after = await check_tenant(database, tenant.tenant_id)
    assert report_after["faults"] == []


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"fields": ["/incident/status"]},
        {"fields": ["/incident/severity_basis"]},
        {"fields": ["/documents/D99/value"]},
        {"fields": ["/documents/D04/value/entries/99"]},
        {"fields": ["/incident/severity_adjustment/level"]},
        {"fields": ["/__class__/x/y"]},
        {"fields": ["summary"]},
        {"event_seqs": [9_999]},
        {"event_seqs": [0]},
        {"fields": ["/incident/summary"], "reason": "short"},
    ],
)
async def test_it_refuses_a_request_that_names_nothing(
    http: httpx.AsyncClient, incident: dict[str, Any], privacy: Somebody, wanted: dict[str, Any]
) -> None:
    answer = await ask(http, incident, privacy, **wanted)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"]


async def test_a_stranger_to_the_incident_asks_for_nothing(
    http: httpx.AsyncClient, incident: dict[str, Any], database: Database
) -> None:
    other = await create_tenant(database, "Another provider")
    stranger = await add_person(database, other.tenant_id, "privacy", "legal_counsel")
    assert (await ask(http, incident, stranger, fields=["/incident/summary"])).status_code == 404
    nothing = {"id": str(uuid4())}
    assert (await decide(http, incident, nothing, stranger)).status_code == 404
