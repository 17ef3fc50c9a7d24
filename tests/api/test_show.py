"""What the service promises to show: refusals on the way, exceptions by name, races without a loser."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from app.database import Database
from app.rebuild import check_tenant
from tests.api.people import calling, enrolled
from tests.api.test_walk import WHY, Caller, assess, contain, decide, remedy, review, revise
from tests.people import report

pytestmark = pytest.mark.timeout(180)

REVIEWER = "Grace Reed of a peer provider"
MANY = {"data_type": "contact_data", "record_count": 640, "individuals_count": 640, "count_precision": "exact"}


def in_days(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


def alone() -> dict[str, Any]:
    """What rule C13 asks of a provider of one."""
    return {"gate": "G-ALL-11", "reason": WHY, "outside_reviewer": REVIEWER, "review_due_at": in_days(60)}


async def opened(http: httpx.AsyncClient, **told: Any) -> Caller:
    made = await report(http, **{"playbook": "data-leakage", **told})
    return Caller(http, made["number"])


@contextlib.asynccontextmanager
async def colleague(http: httpx.AsyncClient, server: str, me: Caller, *roles: str) -> AsyncIterator[tuple[Caller, str]]:
    """Somebody else with these roles, and their id."""
    person_id, key = await enrolled(http, *roles)
    async with calling(server, key) as other:
        yield Caller(other, me.base.rpartition("/")[2]), person_id


async def lone_walk(http: httpx.AsyncClient) -> tuple[Caller, str]:
    """Everything but the signature, done by the only person of the provider."""
    me = await opened(http)
    myself = (await http.get("/v1/me")).json()["id"]
    await contain(me)
    await assess(me)
    await decide(me)
    await me.step("DL.3")
    await remedy(me)
    await revise(me)
    await me.act("DL.4.3")
    await me.step("DL.4")
    await review(me, myself)
    await me.ok("PUT", "/documentation/D02", {"discovered_by": myself, "discovery_method": "self_report"})
    await me.ok("PATCH", "", {"person_concerned": "person", "person_concerned_id": myself})
    return me, myself


async def test_a_provider_of_one_closes_through_the_recorded_exception_only(http: httpx.AsyncClient) -> None:
    me, myself = await lone_walk(http)
    refused = await me.refused("POST", "/sign-off", {"statement": "All is done."})
    assert (refused["gate"], refused["missing"][0]["kind"]) == ("G-ALL-11", "person")
    closed = await me.ok("POST", "/sign-off", {"statement": "All is done.", "overrides": [alone()]})
    assert closed["status"] == "closed"
    (signature,) = closed["signatures"]
    assert signature["person_id"] == myself
    (exception_id,) = signature["override"]["exception_ids"]
    owed = (await http.get(f"{me.base}/follow-ups")).json()
    assert REVIEWER in {f["outside_reviewer"] for f in owed}
    kinds = [e["kind"] for e in (await http.get(f"{me.base}/timeline?limit=200")).json()["items"]]
    assert "gate.overridden" in kinds
    assert "gate.refused" in kinds
    exceptions = await http.get(f"{me.base}/exceptions")
    if exceptions.status_code == 200:
        assert exception_id in exceptions.text


async def test_a_closed_record_takes_amendments_and_reopens_for_a_new_signature(
    http: httpx.AsyncClient, database: Database, tenant: Any
) -> None:
    me, _ = await lone_walk(http)
    await me.ok("POST", "/sign-off", {"statement": "All is done.", "overrides": [alone()]})
    assert (await me.refused("PATCH", "", {"title": "Another"}))["code"] == "state-conflict"
    assert (await me.refused("POST", "/notes", {"text": "A correction."}))["errors"][0]["pointer"] == "/reason"
    amended = await me.ok("POST", "/notes", {"text": "A correction.", "reason": WHY}, 201)
    assert amended["kind"] == "incident.amended"
    reopen = {"transition": "reopen", "reason": WHY, "action_ids": ["DL.4.1"]}
    assert (await me.ok("POST", "/transitions", reopen))["status"] == "reopened"
    await me.act("DL.4.1")
    await me.step("DL.4")
    again = await me.ok("POST", "/sign-off", {"statement": "Done again.", "overrides": [alone()]})
    assert again["status"] == "closed"
    assert [s["round"] for s in sorted(again["signatures"], key=lambda s: s["round"])] == [1, 2]
    assert (await check_tenant(database, tenant.tenant_id))["faults"] == []  # all of it is told by the events


async def test_the_person_concerned_does_not_sign(http: httpx.AsyncClient, server: str) -> None:
    me, _ = await lone_walk(http)
    async with colleague(http, server, me, "risk_owner") as (other, _):
        refused = await me.refused("POST", "/sign-off", {"statement": "Done.", "overrides": [alone()]})
        assert refused["gate"] == "G-ALL-11"  # another eligible person is active now
        assert (await other.ok("POST", "/sign-off", {"statement": "Done."}))["status"] == "closed"


async def test_sev2_closes_with_a_second_signature(http: httpx.AsyncClient, server: str) -> None:
    me, myself = await lone_walk(http)
    await me.ok("PATCH", "", {"severity": "SEV2", "reason": WHY})
    for notice in (await http.get(f"{me.base}/notifications")).json():
        if notice["kind"] == "escalation":
            await me.ok("POST", f"/notifications/{notice['id']}/transitions", {"transition": "record_sent"})
    async with (
        colleague(http, server, me, "risk_owner") as (owner, her_id),
        colleague(http, server, me, "legal_counsel") as (counsel, _),
    ):
        verified: Any = await me.ok("GET", "/documentation")
        entries = next(d for d in verified if d["id"] == "D09")["value"]["entries"]
        await owner.ok("PUT", "/documentation/D09", {"entries": [{**e, "verified_by": her_id} for e in entries]})
        first = await owner.ok("POST", "/sign-off", {"statement": "Done."})
        assert (first["status"], len(first["signatures"])) == ("post_incident", 1)
        await owner.refused("POST", "/sign-off", {"statement": "Done."})
        await me.ok("PATCH", "", {"title": "A better title"})  # voids the first signature
        assert (await owner.ok("POST", "/sign-off", {"statement": "Done."}))["status"] == "post_incident"
        closed = await counsel.ok("POST", "/sign-off", {"statement": "Seen and agreed."})
    assert closed["status"] == "closed"
    standing = [s for s in closed["signatures"] if s["voided_at"] is None]
    assert [s["role"] for s in standing] == ["risk_owner", "legal_counsel"]
    assert len({s["record_hash"] for s in standing}) == 1
    assert len({s["person_id"] for s in standing} | {myself}) == 3


async def test_documentation_is_never_optional(http: httpx.AsyncClient) -> None:
    me = await opened(http)
    refused = await me.refused("POST", "/sign-off", {"statement": "Let us be done with it."})
    assert (refused["code"], refused["gate"]) == ("documentation-incomplete", "G-ALL-2")
    refs = {m["ref"] for m in refused["missing"]}
    assert {"D03", "D04", "D05", "D07", "D08", "D09", "D10", "D12", "DL.1", "DL.1.2", "person_concerned"} <= refs
    assert all(m["message"] for m in refused["missing"])


async def test_a_client_is_not_told_before_the_assessment_nor_by_one_person_with_two_keys(
    http: httpx.AsyncClient, server: str
) -> None:
    client = (await http.post("/v1/clients", json={"name": "North Dental"})).json()["id"]
    me = await opened(http, client_ids=[client])
    draft = {
        "kind": "client_notice",
        "audience": "North Dental",
        "channel": "e-mail",
        "recipients": ["it@north.example"],
        "subject": "About your data",
        "body": "We have to tell you something.",
        "client_id": client,
    }
    made = await me.ok("POST", "/notifications", draft, 201)
    move = f"/notifications/{made['id']}/transitions"
    await me.ok("POST", move, {"transition": "submit"})
    mine = await http.post("/v1/keys", json={"name": "My second key"})
    assert mine.status_code == 201, mine.text
    async with calling(server, mine.json()["key"]) as second:
        refused = await Caller(second, made["incident"]["number"]).refused("POST", move, {"transition": "approve"})
    assert refused["gate"] == "G-ALL-11"
    async with colleague(http, server, me, "legal_counsel") as (puppet, _):
        barred = await puppet.refused("POST", move, {"transition": "approve"})
        assert barred["gate"] == "G-ALL-11"  # whoever was made by the author stands for the author
    sent = await me.refused("POST", move, {"transition": "record_sent"})
    assert (sent["code"], sent["gate"]) == ("gate-refused", "G-DL-1")


async def test_two_people_ticking_different_boxes_never_lose(http: httpx.AsyncClient, server: str) -> None:
    me = await opened(http)
    boxes = ["DL.1.1", "DL.2.4", "DL.4.1", "DL.4.4"]
    async with colleague(http, server, me, "risk_owner") as (other, _):
        notes = [who.http.post(f"{who.base}/notes", json={"text": str(n)}) for n in range(23) for who in (me, other)]
        ticks = [
            (me, other)[n % 2].http.post(
                f"{me.base}/actions/{box}/transitions", json={"transition": "complete"}, headers={"If-Match": '"1"'}
            )
            for n, box in enumerate(boxes)
        ]
        answers = await asyncio.gather(*ticks, *notes)
    assert [a.status_code for a in answers] == [200] * len(boxes) + [201] * 46
    whole = await me.ok("GET", "")
    done = {a["id"] for s in whole["steps"] for a in s["actions"] if a["status"] == "done"}
    assert set(boxes) <= done


async def test_of_many_completing_one_action_one_wins(http: httpx.AsyncClient) -> None:
    me = await opened(http)
    path = f"{me.base}/actions/DL.1.1/transitions"
    answers = await asyncio.gather(*(http.post(path, json={"transition": "complete"}) for _ in range(10)))
    assert sorted(a.status_code for a in answers) == [200] + [409] * 9
    assert all(a.json()["current"]["status"] == "done" for a in answers if a.status_code == 409)


async def test_a_fact_that_turns_true_reopens_the_completed_step(http: httpx.AsyncClient) -> None:
    me = await opened(http)
    await contain(me)
    await me.ok("PATCH", "", {"facts": {"credentials_exposed": False}})
    await me.ok("POST", "/actions/DL.1.6/transitions", {"transition": "reopen", "reason": WHY})
    before = await me.ok("GET", "")
    assert before["steps"][0]["status"] == "completed"
    await me.ok("PATCH", "", {"facts": {"credentials_exposed": True}})
    step = (await me.ok("GET", ""))["steps"][0]
    rotation = next(a for a in step["actions"] if a["id"] == "DL.1.6")
    assert (step["reopened_by"], step["completed_at"], rotation["status"]) == ("fact_change", None, "pending")
    assert step["first_result"]["state"] == "met"
    assert rotation["due_at"] > before["server_time"]
    refused = await me.refused("POST", "/steps/DL.2/transitions", {"transition": "complete"})
    assert refused["gate"] == "G-ALL-1"


async def test_what_was_done_in_time_and_entered_late_reads_both_ways(http: httpx.AsyncClient) -> None:
    found = datetime.now(UTC) - timedelta(minutes=40)
    me = await opened(http, discovered_at=found.isoformat(), discovered_at_precision="exact")
    done = {"occurred_at": (found + timedelta(minutes=5)).isoformat()}
    refused = await me.refused("POST", "/actions/DL.1.1/transitions", {"transition": "complete", **done})
    assert refused["errors"][0]["pointer"] == "/reason"
    late = await me.act("DL.1.1", **done, reason=WHY)
    assert late["late_entry"] is True
    assert late["occurred_at"] < late["recorded_at"]
    early = {"occurred_at": (found - timedelta(hours=1)).isoformat()}
    await me.refused("POST", "/actions/DL.2.4/transitions", {"transition": "complete", **early})


async def test_a_refused_gate_is_recorded_once_a_minute(http: httpx.AsyncClient) -> None:
    me = await opened(http)
    version = (await me.ok("GET", ""))["version"]
    for _ in range(3):
        refused = await me.refused("POST", "/steps/DL.2/transitions", {"transition": "complete"})
        assert refused["gate"] == "G-ALL-1"
    events = (await http.get(f"{me.base}/timeline?limit=200")).json()["items"]
    told = [e for e in events if e["kind"] == "gate.refused"]
    assert len(told) in (1, 2)  # two where the minute turned between the calls
    assert told[0]["data"]["gate"] == "G-ALL-1"
    assert (await me.ok("GET", ""))["version"] == version


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


async def test_the_timeline_verifies_without_our_code(
    http: httpx.AsyncClient, tenant: Any, superuser: asyncpg.Connection
) -> None:
    me = await opened(http, title="Ünïcode in einem Chatbot")
    await contain(me)
    incident_id = (await me.ok("GET", ""))["id"]
    events = (await http.get(f"{me.base}/timeline?limit=200")).json()["items"]
    rows = await superuser.fetch(
        "select e.seq, d.salt, d.data::text from events e join event_data d using (tenant_id, stream, stream_id, seq)"
        " where e.tenant_id = $1 and e.stream = 'incident' and e.stream_id::text = $2",
        tenant.tenant_id,
        incident_id,
    )
    said = {row["seq"]: (row["salt"], row["data"]) for row in rows}
    previous = "0" * 64
    for number, event in enumerate(events, 1):
        assert event["seq"] == number
        salt, data = said[number]
        assert len(salt) == 16
        assert hashlib.sha256(salt + canonical(json.loads(data))).hexdigest() == event["data_digest"]
        frame = {
            "v": 1,
            "tenant": str(tenant.tenant_id),
            "stream": "incident",
            "stream_id": incident_id,
            "seq": number,
            "kind": event["kind"],
            "occurred_at": event["occurred_at"],
            "recorded_at": event["recorded_at"],
            "actor": {"kind": event["actor"]["kind"], "id": event["actor"]["id"]},
            "data_digest": event["data_digest"],
            "prev_hash": previous,
        }
        assert event["prev_hash"] == previous
        previous = hashlib.sha256(b"\x00" + canonical(frame)).hexdigest()
        assert event["hash"] == previous
    assert len(events) > 10


async def test_a_key_limited_to_one_client_does_not_see_an_incident_of_two(
    http: httpx.AsyncClient, server: str
) -> None:
    north, south = [(await http.post("/v1/clients", json={"name": n})).json()["id"] for n in ("North", "South")]
    both = await report(http, playbook="data-leakage", client_ids=[north, south])
    one = await report(http, playbook="data-leakage", client_ids=[north])
    none = await report(http, playbook="data-leakage")
    key = await http.post("/v1/keys", json={"name": "North only", "client_ids": [north]})
    assert key.status_code == 201, key.text
    async with calling(server, key.json()["key"]) as limited:
        assert [i["number"] for i in (await limited.get("/v1/incidents")).json()["items"]] == [one["number"]]
        headers = {"X-Request-Id": "0" * 32}
        for hidden in (both, none):
            for suffix in ("", "/timeline", "/notifications", "/documentation"):
                seen = await limited.get(f"/v1/incidents/{hidden['id']}{suffix}", headers=headers)
                random = await limited.get(f"/v1/incidents/{uuid4()}{suffix}", headers=headers)
                assert (seen.status_code, seen.content) == (404, random.content)
            write = await limited.post(f"/v1/incidents/{hidden['id']}/notes", json={"text": "x"}, headers=headers)
            unknown = await limited.post(f"/v1/incidents/{uuid4()}/notes", json={"text": "x"}, headers=headers)
            assert (write.status_code, write.content) == (404, unknown.content)
        assert (await limited.get(f"/v1/incidents/{one['id']}")).status_code == 200
