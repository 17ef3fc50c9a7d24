"""What an endpoint is sent and shown: the form it asked for, its log, its first test, samples."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from app.database import Database
from tests.app.outbound.endpoint_calls import ENDPOINTS, add, deliveries, guide, read
from tests.people import add_person, report
from tests.receiver import Received, Receiver, answer, receiving


@pytest.mark.parametrize(
    ("form", "content_type", "said"),
    [
        ("standard", "application/json", lambda body: body["incident"]["number"]),
        ("cloudevents", "application/cloudevents+json", lambda body: body["data"]["incident"]["number"]),
        ("ocsf", "application/json", lambda body: body["finding_info_list"][0]["title"]),
        ("slack", "application/json", lambda body: body["text"].partition(":")[0]),
        (
            "teams",
            "application/json",
            lambda body: body["attachments"][0]["content"]["body"][0]["text"].partition(":")[0],
        ),
    ],
)
async def test_what_leaves_has_the_form_of_the_endpoint_and_is_signed(
    http: httpx.AsyncClient, receiver: Receiver, courier: Any, tenant: Any, form: str, content_type: str, said: Any
) -> None:
    endpoint = await add(http, receiver, format=form)
    incident = await report(http)
    await courier().work_for(tenant.tenant_id)
    verify = guide()
    assert receiver.got
    for one in receiver.got:
        assert one.headers["content-type"] == content_type
        assert said(one.event) == incident["number"]
        assert verify(endpoint["secret"], one.headers, one.body)
        assert Webhook(endpoint["secret"]).verify(one.body, one.headers) == one.event


async def test_the_address_of_a_channel_is_sealed_and_never_shown(
    http: httpx.AsyncClient, receiver: Receiver, courier: Any, database: Database, tenant: Any
) -> None:
    endpoint = await add(http, receiver, url=f"{receiver.url}/T0/s3cret", format="slack")
    path = f"{ENDPOINTS}/{endpoint['id']}"
    shown = receiver.url.removesuffix("/events") + "/..."
    assert endpoint["url"] == shown
    incident = await report(http, title="About Jane Roe")
    await courier().work_for(tenant.tenant_id)
    assert receiver.got[0].path == "/events/T0/s3cret"
    assert incident["number"] in receiver.events[0]["text"]
    assert not any(b"Jane" in one.body for one in receiver.got)
    # What is shown, given back, changes nothing; another address does.
    assert (await http.patch(path, json={"url": shown, "name": "Other"})).json()["url"] == shown
    await http.post(f"{path}/test")
    await courier().work_for(tenant.tenant_id)
    assert receiver.got[-1].path == "/events/T0/s3cret"
    assert (await http.patch(path, json={"url": f"{receiver.url}/T1/an0ther"})).json()["url"] == shown
    await http.post(f"{path}/test")
    await courier().work_for(tenant.tenant_id)
    assert receiver.got[-1].path == "/events/T1/an0ther"
    async with database.transaction(tenant.tenant_id) as db:
        rows = await db.fetch("select e::text as kept from webhook_endpoints e")
        told = await db.fetch("select data::text as kept from event_data where stream = 'webhook_endpoint'")
    kept = "".join(row["kept"] for row in (*rows, *told))
    assert "s3cret" not in kept
    assert "an0ther" not in kept


async def test_that_an_endpoint_was_given_up_waits_for_an_administrator(
    http: httpx.AsyncClient, receiver: Receiver, courier: Any, database: Database, tenant: Any
) -> None:
    admin = await add_person(database, tenant.tenant_id, "tenant_admin")
    lead = await add_person(database, tenant.tenant_id, "security_lead")
    endpoint = await add(http, receiver, name="Our board")
    receiver.then = answer(410)
    await report(http)
    await courier().work_for(tenant.tenant_id)
    (item,) = (await http.get("/v1/me/work", headers=admin.headers)).json()["items"]
    assert (item["kind"], item["ref"], item["title"], item["status"]) == (
        "endpoint", endpoint["id"], "Our board", "disabled",
    )  # fmt: skip
    assert "gone" in item["what"]
    others = (await http.get("/v1/me/work", headers=lead.headers)).json()["items"]
    assert "endpoint" not in {one["kind"] for one in others}
    assert (await http.delete(f"{ENDPOINTS}/{endpoint['id']}")).status_code == 200
    assert (await http.get("/v1/me/work", headers=admin.headers)).json()["items"] == []


async def test_the_log_shows_the_request_and_no_secret_of_it(
    http: httpx.AsyncClient, receiver: Receiver, courier: Any, tenant: Any
) -> None:
    endpoint = await add(http, receiver, url=f"{receiver.url}/T0/verys3cret?sig=An0therSecret", format="slack")
    await report(http)
    receiver.then = answer(404, b"no_service: /events/T0/verys3cret?sig=An0therSecret\r\n\x1b[31m")
    await courier().work_for(tenant.tenant_id)
    first = next(one for one in await deliveries(http, endpoint) if one["attempts"])
    (got,) = receiver.got
    shown = first["request"]
    assert (shown["method"], shown["url"]) == ("POST", endpoint["url"])
    assert shown["headers"] == {
        "Content-Type": got.headers["content-type"],
        "User-Agent": got.headers["user-agent"],
        "webhook-id": first["event_id"],
        "webhook-timestamp": got.headers["webhook-timestamp"],
    }
    assert (shown["body_bytes"], shown["body_sha256"]) == (len(got.body), hashlib.sha256(got.body).hexdigest())
    assert first["response_excerpt"] == "no_service: /events/T0/...?sig=...   [31m"


async def test_an_endpoint_is_told_nothing_before_it_took_a_test(
    http: httpx.AsyncClient, receiver: Receiver, courier: Any, tenant: Any
) -> None:
    receiver.takes_first_test = False
    receiver.then = answer(500)
    endpoint = await add(http, receiver, event_types=["*"])
    incident = await report(http)
    await courier().work_for(tenant.tenant_id)
    assert [event["type"] for event in receiver.events] == ["webhook_endpoint.tested"]
    assert (await read(http, endpoint))["confirmed_at"] is None
    receiver.then = answer()
    await courier(seconds=7).work_for(tenant.tenant_id)
    assert (await read(http, endpoint))["confirmed_at"] is not None
    timeline = (await http.get(f"/v1/incidents/{incident['id']}/timeline", params={"limit": 200})).json()["items"]
    told = [event["seq"] for event in receiver.events if event["stream_id"] == incident["id"]]
    assert told == [event["seq"] for event in timeline], "what waited is told, in order"
    own = [event["type"] for event in receiver.events if event["stream_id"] == endpoint["id"]]
    assert own == ["webhook_endpoint.tested", "webhook_endpoint.tested", "webhook_endpoint.confirmed"]

    async with receiving() as other:
        other.takes_first_test = False
        other.then = answer(404)
        path = f"{ENDPOINTS}/{endpoint['id']}"
        assert (await http.patch(path, json={"url": other.url})).json()["confirmed_at"] is None
        await report(http)
        await courier().work_for(tenant.tenant_id)
        assert {event["type"] for event in other.events} == {"webhook_endpoint.tested"}


async def test_a_test_that_another_address_took_confirms_nothing(
    http: httpx.AsyncClient, receiver: Receiver, courier: Any, tenant: Any
) -> None:
    endpoint = await add(http, receiver)
    path = f"{ENDPOINTS}/{endpoint['id']}"
    receiver.takes_first_test = False

    async def moved_meanwhile(_: Received, writer: asyncio.StreamWriter) -> None:
        receiver.behave = None
        receiver.then = answer(500)
        await http.patch(path, json={"url": f"{receiver.url}/elsewhere"})
        writer.write(answer())

    receiver.behave = moved_meanwhile
    await courier().work_for(tenant.tenant_id)
    assert [one.path for one in receiver.got] == ["/events", "/events/elsewhere"]
    assert (await read(http, endpoint))["confirmed_at"] is None


async def test_a_sample_looks_like_an_event_of_the_chosen_type(
    http: httpx.AsyncClient, receiver: Receiver, courier: Any, tenant: Any
) -> None:
    endpoint = await add(http, receiver, event_types=["tool.*"], payload="full", filter="stream == 'tool'")
    await courier().work_for(tenant.tenant_id)
    path = f"{ENDPOINTS}/{endpoint['id']}/samples"
    unknown = await http.post(path, json={"event_type": "step.danced"})
    assert (unknown.status_code, unknown.json()["errors"][0]["pointer"]) == (422, "/event_type")
    sent = (await http.post(path, json={"event_type": "step.completed"})).json()
    await courier().work_for(tenant.tenant_id)
    (event,) = receiver.events
    assert (event["id"], event["type"], event["incident"]["number"]) == (sent["event_id"], "step.completed", "INC-0")
    assert Webhook(endpoint["secret"]).verify(receiver.got[0].body, receiver.got[0].headers) == event
