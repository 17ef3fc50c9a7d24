"""The courier: every event arrives at least once, signed, in order, whatever receivers and workers do."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from app.courier import ANSWER_BYTES_MAX, Courier
from app.database import Database
from app.outgoing_requests import EXCERPT_MAX
from app.secrets import vault_of
from app.settings import Settings
from app.webhook_deliveries import LEASE
from domain.retries import ATTEMPTS_MAX
from tests.app.outbound.endpoint_calls import ENDPOINTS, add, deliveries, guide, read, verified_publicly
from tests.people import report
from tests.receiver import Received, Receiver, answer, receiving

Clock = Callable[[], datetime]


async def test_what_arrives_is_told_in_order_and_verifies(
    http: httpx.AsyncClient, receiver: Receiver, courier: Any, tenant: Any
) -> None:
    endpoint = await add(http, receiver, event_types=["*"])
    incident = await report(http, playbook="data-leakage", summary="A secret summary")
    await courier().work_for(tenant.tenant_id)
    timeline = (await http.get(f"/v1/incidents/{incident['id']}/timeline", params={"limit": 200})).json()["items"]
    told = [event for event in receiver.events if event["stream_id"] == incident["id"]]
    assert [event["seq"] for event in told] == [event["seq"] for event in timeline]
    assert [event["type"] for event in told] == [event["kind"] for event in timeline]
    assert {event["incident"]["number"] for event in told} == {incident["number"]}
    assert {event["data"] for event in told} == {None}
    verify = guide()
    for one in receiver.got:
        assert one.headers["webhook-id"] == one.event["id"]
        assert verify(endpoint["secret"], one.headers, one.body)
        assert Webhook(endpoint["secret"]).verify(one.body, one.headers) == one.event
        assert verified_publicly(endpoint["public_key"], one)
        assert not verify(endpoint["secret"], one.headers, one.body + b" ")
        assert not verify("whsec_" + base64.b64encode(b"another").decode(), one.headers, one.body)
        assert b"A secret summary" not in one.body
        assert not one.headers.keys() & {"cookie", "authorization"}
    old = {**receiver.got[0].headers, "webhook-timestamp": str(int(time.time()) - 3600)}
    assert not verify(endpoint["secret"], old, receiver.got[0].body)
    assert {one["status"] for one in await deliveries(http, endpoint)} == {"delivered"}


async def test_a_full_payload_says_what_the_timeline_says(
    http: httpx.AsyncClient, receiver: Receiver, courier: Any, tenant: Any
) -> None:
    await add(http, receiver, payload="full")
    incident = await report(http, playbook="data-leakage")
    await courier().work_for(tenant.tenant_id)
    timeline = (await http.get(f"/v1/incidents/{incident['id']}/timeline", params={"limit": 200})).json()["items"]
    said = {event["seq"]: event["data"] for event in timeline}
    assert receiver.events
    for event in receiver.events:
        assert event["data"] == said[event["seq"]]
        assert "changes" not in event["data"]


async def test_a_filter_keeps_back_what_it_says_no_to(
    http: httpx.AsyncClient, receiver: Receiver, courier: Any, tenant: Any
) -> None:
    endpoint = await add(http, receiver, filter="incident.labels.exists(l, l == 'loud')")
    await report(http)
    loud = await report(http, labels=["loud"])
    await courier().work_for(tenant.tenant_id)
    assert {event["stream_id"] for event in receiver.events} == {loud["id"]}
    assert {one["status"] for one in await deliveries(http, endpoint)} == {"delivered", "withheld"}


async def test_a_failure_is_tried_again_with_the_same_id_and_holds_its_incident_alone(
    http: httpx.AsyncClient, receiver: Receiver, courier: Any, tenant: Any
) -> None:
    endpoint = await add(http, receiver, event_types=["*"])
    incident = await report(http, playbook="data-leakage")
    receiver.answers = [answer(500, b"<p>\x00 oh no")] * 2
    await courier().work_for(tenant.tenant_id)
    first = [one for one in await deliveries(http, endpoint) if one["attempts"]]
    assert {one["response_status"] for one in first} <= {500, 200}
    failed = next(one for one in first if one["status"] == "pending")
    assert failed["error"] == "The receiver answered 500."
    assert failed["response_excerpt"] == "<p>  oh no"
    wait = datetime.fromisoformat(failed["next_attempt_at"]) - datetime.fromisoformat(failed["attempted_at"])
    assert timedelta(seconds=4) <= wait <= timedelta(seconds=6)
    assert (await read(http, endpoint))["failing_since"] is not None
    await courier(seconds=7).work_for(tenant.tenant_id)
    ids = [event["id"] for event in receiver.events]
    assert ids.count(failed["event_id"]) == 2
    seen: list[int] = []
    for event in receiver.events:
        if event["stream_id"] == incident["id"] and event["seq"] not in seen:
            seen.append(event["seq"])
    assert seen == sorted(seen)
    assert {one["status"] for one in await deliveries(http, endpoint)} == {"delivered"}
    assert (await read(http, endpoint))["failing_since"] is None


async def test_after_the_last_attempt_the_rest_goes_on_and_the_endpoint_is_given_up(
    http: httpx.AsyncClient, receiver: Receiver, courier: Any, tenant: Any
) -> None:
    endpoint = await add(http, receiver)
    await report(http)
    receiver.then = answer(503)
    hours = 0.0
    for _ in range(ATTEMPTS_MAX):
        await courier(hours=hours).work_for(tenant.tenant_id)
        hours += 29
    (first, *_) = await deliveries(http, endpoint)
    assert (first["status"], first["attempts"]) == ("failed", ATTEMPTS_MAX)
    assert sum(event["id"] == first["event_id"] for event in receiver.events) == ATTEMPTS_MAX
    found = await read(http, endpoint)
    assert (found["status"], found["disabled_because"]) == ("disabled", "failing")
    receiver.then = answer()
    assert (await http.patch(f"{ENDPOINTS}/{endpoint['id']}", json={"status": "active"})).status_code == 200
    body = {"since": "2020-01-01T00:00:00Z"}
    queued = await http.post(f"{ENDPOINTS}/{endpoint['id']}/replay", json=body)
    assert queued.json() == {"queued": 1}
    await courier(hours=hours).work_for(tenant.tenant_id)
    assert {one["status"] for one in await deliveries(http, endpoint)} == {"delivered"}


async def test_one_that_is_gone_is_disabled_at_once_and_keeps_what_waits(
    http: httpx.AsyncClient, receiver: Receiver, courier: Any, tenant: Any
) -> None:
    watcher = await add(http, receiver, name="Watcher", event_types=["webhook_endpoint.disabled"])
    async with receiving() as leaving:
        leaving.then = answer(410)
        endpoint = await add(http, leaving)
        await report(http)
        await courier().work_for(tenant.tenant_id)
        found = await read(http, endpoint)
        assert (found["status"], found["disabled_because"]) == ("disabled", "gone")
        assert len(leaving.got) == 1
        await courier(hours=1).work_for(tenant.tenant_id)
        assert len(leaving.got) == 1
        leaving.then = answer()
        await http.patch(f"{ENDPOINTS}/{endpoint['id']}", json={"status": "active"})
        await courier(seconds=7).work_for(tenant.tenant_id)
        assert {one["status"] for one in await deliveries(http, endpoint)} == {"delivered"}
    assert [event["type"] for event in receiver.events] == ["webhook_endpoint.disabled"]
    assert watcher["status"] == "active"


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [("60", 60, 60), ("0", 4, 6), ("-5", 4, 6), ("1000000000", 86_400, 86_400), ("soon", 4, 6), ("9" * 50, 4, 6)],
)
async def test_a_receiver_may_ask_for_time(
    http: httpx.AsyncClient, receiver: Receiver, courier: Any, tenant: Any, asked: str, least: int, most: int
) -> None:
    endpoint = await add(http, receiver)
    await report(http)
    receiver.then = answer(429, b"", f"Retry-After: {asked}")
    await courier().work_for(tenant.tenant_id)
    (first, *_) = await deliveries(http, endpoint)
    wait = datetime.fromisoformat(first["next_attempt_at"]) - datetime.fromisoformat(first["attempted_at"])
    assert timedelta(seconds=least) <= wait <= timedelta(seconds=most + 1)  # the clocks of two machines


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_a_failure_and_is_not_followed(
    http: httpx.AsyncClient, receiver: Receiver, courier: Any, tenant: Any, status: int
) -> None:
    endpoint = await add(http, receiver)
    await report(http)
    async with receiving() as inside:
        receiver.then = answer(status, b"", f"Location: {inside.url}")
        await courier().work_for(tenant.tenant_id)
        assert inside.got == []
    assert (await deliveries(http, endpoint))[0]["response_status"] == status


async def test_of_an_endless_answer_little_is_read(
    http: httpx.AsyncClient, receiver: Receiver, courier: Any, tenant: Any
) -> None:
    sent = 0

    async def behave(_: Received, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")
        while sent < 64 * 1024 * 1024:
            writer.write(b"x" * 65_536)
            await writer.drain()
            sent += 65_536

    receiver.behave = behave
    endpoint = await add(http, receiver)
    await report(http)
    await courier().work_for(tenant.tenant_id)
    (first, *_) = await deliveries(http, endpoint)
    assert first["status"] == "delivered"
    assert len(first["response_excerpt"]) == EXCERPT_MAX
    assert sent < 32 * 1024 * 1024 + ANSWER_BYTES_MAX, "the sockets' buffers at most"


async def test_a_dripping_receiver_is_cut_as_a_whole_and_others_do_not_wait(
    http: httpx.AsyncClient, receiver: Receiver, courier: Any, tenant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.courier.ATTEMPT_SECONDS_MAX", 8.0)

    async def drip(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-Slow: 1\r\n")
            await writer.drain()
            await asyncio.sleep(0.1)

    async with receiving() as slow:
        slow.behave = drip
        endpoint, *_ = [await add(http, slow) for _ in range(8)]
        await add(http, receiver)
        for number in range(12):
            await report(http, title=f"Incident {number}")
        sending = courier()
        running = asyncio.create_task(sending.work_for(tenant.tenant_id))
        while len({event["stream_id"] for event in receiver.events}) < 12:
            assert not running.done()
            await asyncio.sleep(0.01)
        assert {one["attempts"] for one in await deliveries(http, endpoint)} == {0}, "no silent one is given up yet"
        sending.stop()
        await asyncio.gather(running, *sending._tasks)
        errors = {one["error"] for one in await deliveries(http, endpoint) if one["attempts"]}
        assert errors == {"it did not answer in time."}


async def test_a_courier_that_dies_between_sending_and_recording_sends_again(
    http: httpx.AsyncClient, receiver: Receiver, courier: Any, tenant: Any
) -> None:
    held = asyncio.Event()

    async def hold(_: Received, writer: asyncio.StreamWriter) -> None:
        await held.wait()
        writer.write(answer())

    receiver.behave = hold
    endpoint = await add(http, receiver)
    await report(http)
    dying = courier()
    running = asyncio.create_task(dying.work_for(tenant.tenant_id))
    await receiver.arrived.wait()
    for task in dying._tasks:
        task.cancel()
    running.cancel()
    await asyncio.gather(running, *dying._tasks, return_exceptions=True)
    held.set()
    receiver.behave = None
    assert await courier().work_for(tenant.tenant_id) == 0, "the lease holds"
    await courier(seconds=LEASE.total_seconds() + 1).work_for(tenant.tenant_id)
    (first, *_) = await deliveries(http, endpoint)
    assert first["status"] == "delivered"
    assert [event["id"] for event in receiver.events].count(first["event_id"]) == 2


async def test_two_couriers_send_each_event_once_and_in_order(
    http: httpx.AsyncClient, receiver: Receiver, courier: Any, tenant: Any
) -> None:
    await add(http, receiver, event_types=["*"])
    for number in range(8):
        await report(http, playbook="data-leakage", title=f"Incident {number}")
    await asyncio.gather(*(courier().work_for(tenant.tenant_id) for _ in range(3)))
    ids = [event["id"] for event in receiver.events]
    assert len(ids) == len(set(ids)) > 8
    order: dict[str, list[int]] = {}
    for event in receiver.events:
        order.setdefault(event["stream_id"], []).append(event["seq"])
    assert all(seqs == sorted(seqs) for seqs in order.values())


async def test_while_a_secret_is_replaced_both_verify(
    http: httpx.AsyncClient, receiver: Receiver, courier: Any, tenant: Any
) -> None:
    endpoint = await add(http, receiver)
    path = f"{ENDPOINTS}/{endpoint['id']}"
    new = (await http.post(f"{path}/rotate", json={})).json()
    await http.post(f"{path}/test")
    await courier().work_for(tenant.tenant_id)
    verify, (both,) = guide(), receiver.got
    for one in (endpoint, new):
        assert verify(one["secret"], both.headers, both.body)
        assert verified_publicly(one["public_key"], both)
    newest = (await http.post(f"{path}/rotate", json={"overlap_seconds": 0})).json()
    tested = (await http.post(f"{path}/test")).json()
    assert tested["event_type"] == "webhook_endpoint.tested"
    await courier().work_for(tenant.tenant_id)
    last = receiver.got[-1]
    assert verify(newest["secret"], last.headers, last.body)
    assert not verify(new["secret"], last.headers, last.body)


async def test_a_name_that_leads_inside_is_not_called(
    http: httpx.AsyncClient, receiver: Receiver, database: Database, settings: Settings, tenant: Any
) -> None:
    endpoint = await add(http, receiver)
    await report(http)
    strict = Courier(database, settings, vault_of(settings), clock=lambda: datetime.now(UTC))
    await strict.work_for(tenant.tenant_id)
    assert receiver.got == []
    assert receiver.confirmed == {}
    told = (await http.get(f"{ENDPOINTS}/{endpoint['id']}/deliveries")).json()["items"]
    assert {one["error"] for one in told if one["attempts"]} == {"the address is not https."}


async def test_one_delivery_is_replayed_with_its_id(
    http: httpx.AsyncClient, receiver: Receiver, courier: Any, tenant: Any
) -> None:
    endpoint = await add(http, receiver)
    await report(http)
    await courier().work_for(tenant.tenant_id)
    first = (await deliveries(http, endpoint))[0]
    path = f"{ENDPOINTS}/{endpoint['id']}/deliveries/{first['id']}"
    assert (await http.post(f"{path}/replay")).json()["status"] == "pending"
    await courier().work_for(tenant.tenant_id)
    assert (await http.get(path)).json()["status"] == "delivered"
    assert [event["id"] for event in receiver.events].count(first["event_id"]) == 2
