"""What receivers, clocks, the database and people do while an event is on its way: it is told in order all the same."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import asyncpg
import httpx
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from app.courier import Courier
from app.webhook_deliveries import LEASE
from tests.people import report
from tests.receiver import Received, Receiver, answer

ENDPOINTS = "/v1/webhook-endpoints"
Make = Callable[..., Courier]


async def add(http: httpx.AsyncClient, url: str, **members: Any) -> dict[str, Any]:
    made = await http.post(ENDPOINTS, json={"name": "Board", "url": url, "event_types": ["*"], **members})
    assert made.status_code == 201, made.text
    found: dict[str, Any] = made.json()
    return found


async def deliveries(http: httpx.AsyncClient, endpoint: dict[str, Any]) -> list[dict[str, Any]]:
    """Those of incidents, in the order of their streams."""
    found = await http.get(f"{ENDPOINTS}/{endpoint['id']}/deliveries", params={"limit": 200})
    items = [one for one in found.json()["items"] if one["stream"] == "incident"]
    return sorted(items, key=lambda one: (one["stream_id"], one["seq"]))


def told(receiver: Receiver, incident: dict[str, Any]) -> list[int]:
    """What was told of an incident, in the order in which it first came."""
    return list(dict.fromkeys(event["seq"] for event in receiver.events if event["stream_id"] == incident["id"]))


async def test_a_receiver_that_closes_early_is_told_again(
    http: httpx.AsyncClient, receiver: Receiver, courier: Make, tenant: Any
) -> None:
    ways: list[bytes] = [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nabc"]

    async def behave(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(ways.pop(0) if ways else answer())
        await writer.drain()

    receiver.behave = behave
    endpoint = await add(http, receiver.url, event_types=["incident.reported"])
    await report(http)
    for hours in range(0, 12, 3):
        await courier(hours=hours).work_for(tenant.tenant_id)
    (first,) = await deliveries(http, endpoint)
    assert (first["status"], first["attempts"]) == ("delivered", 4)
    assert [event["id"] for event in receiver.events] == [first["event_id"]] * 4


async def test_nothing_is_sent_in_clear_to_an_address_of_https(
    http: httpx.AsyncClient, receiver: Receiver, courier: Make, tenant: Any
) -> None:
    heard = bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.read(65_536))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    plain = await asyncio.start_server(listen, "127.0.0.1", 0)
    endpoint = await add(http, f"https://127.0.0.1:{plain.sockets[0].getsockname()[1]}/")
    await report(http)
    await courier().work_for(tenant.tenant_id)
    plain.close()
    found = await http.get(f"{ENDPOINTS}/{endpoint['id']}/deliveries")
    (first,) = [one for one in found.json()["items"] if one["attempts"]]  # its test
    assert (first["status"], first["error"]) == ("pending", "it did not answer.")
    assert heard and b"POST" not in heard and b"webhook" not in heard


async def test_a_receiver_may_name_the_date_from_which_it_works_again(
    http: httpx.AsyncClient, receiver: Receiver, courier: Make, tenant: Any
) -> None:
    endpoint = await add(http, receiver.url)
    await report(http)
    again = datetime.now(UTC) + timedelta(minutes=20)
    receiver.then = answer(503, b"", f"Retry-After: {format_datetime(again, usegmt=True)}")
    await courier().work_for(tenant.tenant_id)
    (first, *_) = await deliveries(http, endpoint)
    assert abs(datetime.fromisoformat(first["next_attempt_at"]) - again) < timedelta(seconds=2)


def limit_connections(number: int) -> str:
    """How many may connect to the database of this test; that of a test beside it is another one."""
    change = f"execute format('ALTER DATABASE %I CONNECTION LIMIT {number}', current_database())"
    return f"DO $$ BEGIN {change}; END $$"


async def test_a_database_that_goes_away_while_an_event_is_sent_has_it_sent_again(
    http: httpx.AsyncClient, receiver: Receiver, courier: Make, tenant: Any, superuser: asyncpg.Connection
) -> None:
    gone = 0

    async def behave(_: Received, writer: asyncio.StreamWriter) -> None:
        nonlocal gone
        if gone < 2:
            gone += 1
            await superuser.execute(
                f"{limit_connections(0)};SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE usename = 'holdfast' AND datname = current_database()"
            )
        writer.write(answer())
        await writer.drain()

    endpoint = await add(http, receiver.url)
    incident = await report(http, playbook="data-leakage")
    receiver.behave = behave
    first = courier()
    running = asyncio.create_task(first.work_for(tenant.tenant_id))
    try:
        await receiver.arrived.wait()
        while first._tasks:
            await asyncio.sleep(0.01)
    finally:
        receiver.behave = None
        await superuser.execute(limit_connections(-1))
    await asyncio.gather(running, return_exceptions=True)
    before = len(receiver.got)
    await courier(seconds=LEASE.total_seconds() + 1).work_for(tenant.tenant_id)
    found = await deliveries(http, endpoint)
    assert {one["status"] for one in found} == {"delivered"}
    assert told(receiver, incident) == [one["seq"] for one in found]
    ids = Counter(event["id"] for event in receiver.events)
    assert before and max(ids.values()) == 2, "what was sent while the database was away came again, with its id"


async def test_an_endpoint_disabled_while_an_event_is_on_its_way_is_told_no_more_until_it_is_active(
    http: httpx.AsyncClient, receiver: Receiver, courier: Make, tenant: Any
) -> None:
    endpoint = await add(http, receiver.url, event_types=["*"])
    incident = await report(http, playbook="data-leakage")
    path = f"{ENDPOINTS}/{endpoint['id']}"
    disabled = asyncio.Event()

    async def behave(received: Received, writer: asyncio.StreamWriter) -> None:
        if received.event["stream_id"] == incident["id"] and not disabled.is_set():
            assert (await http.patch(path, json={"status": "disabled"})).status_code == 200
            disabled.set()
        writer.write(answer())
        await writer.drain()

    receiver.behave = behave
    await courier().work_for(tenant.tenant_id)
    assert told(receiver, incident) == [1]
    statuses = [one["status"] for one in await deliveries(http, endpoint)]
    assert statuses[0] == "delivered" and set(statuses[1:]) == {"pending"}
    assert (await http.patch(path, json={"status": "active"})).status_code == 200
    await courier().work_for(tenant.tenant_id)
    found = await deliveries(http, endpoint)
    assert told(receiver, incident) == [one["seq"] for one in found]
    assert {one["status"] for one in found} == {"delivered"}


async def test_an_attempt_is_signed_with_the_secret_of_its_time(
    http: httpx.AsyncClient, receiver: Receiver, courier: Make, tenant: Any
) -> None:
    endpoint = await add(http, receiver.url, event_types=["incident.reported"])
    await report(http)
    receiver.answers = [answer(500)]
    await courier().work_for(tenant.tenant_id)
    path = f"{ENDPOINTS}/{endpoint['id']}/rotate"
    new = (await http.post(path, json={"overlap_seconds": 0})).json()
    await courier(seconds=7).work_for(tenant.tenant_id)
    first, second = receiver.got
    assert first.event["id"] == second.event["id"]
    old, young = Webhook(endpoint["secret"]), Webhook(new["secret"])
    old.verify(first.body, first.headers)
    young.verify(second.body, second.headers)
    with pytest.raises(WebhookVerificationError):
        old.verify(second.body, second.headers)


@pytest.mark.parametrize("days", [-3, -0.1, 0, 0.1, 3])
async def test_a_clock_that_steps_burns_no_attempts_and_loses_none(
    http: httpx.AsyncClient, receiver: Receiver, courier: Make, tenant: Any, days: float
) -> None:
    endpoint = await add(http, receiver.url, event_types=["incident.reported"])
    await report(http)
    receiver.then = answer(500)
    for _ in range(3):
        await courier(days=days).work_for(tenant.tenant_id)
    (first,) = await deliveries(http, endpoint)
    assert (first["status"], first["attempts"]) == ("pending", 1)
    receiver.then = answer()
    await courier(days=max(days, 0), minutes=10).work_for(tenant.tenant_id)
    assert [one["status"] for one in await deliveries(http, endpoint)] == ["delivered"]


async def test_of_one_stream_one_event_is_on_its_way_however_many_couriers_there_are(
    http: httpx.AsyncClient, receiver: Receiver, courier: Make, tenant: Any
) -> None:
    under_way: Counter[str] = Counter()
    most = 0

    async def behave(received: Received, writer: asyncio.StreamWriter) -> None:
        nonlocal most
        stream = received.event["stream_id"]
        under_way[stream] += 1
        most = max(most, under_way[stream])
        await asyncio.sleep(0.002)  # long enough for another to come meanwhile
        under_way[stream] -= 1
        writer.write(answer())
        await writer.drain()

    receiver.behave = behave
    await add(http, receiver.url)
    incidents = [await report(http, playbook="data-leakage", title=f"Incident {number}") for number in range(4)]
    await asyncio.gather(*(courier().work_for(tenant.tenant_id) for _ in range(3)))
    assert most == 1
    for incident in incidents:
        seqs = [event["seq"] for event in receiver.events if event["stream_id"] == incident["id"]]
        assert seqs == list(range(1, len(seqs) + 1)) and len(seqs) > 5


async def test_events_that_happen_while_others_are_sent_are_sent_too(
    http: httpx.AsyncClient, receiver: Receiver, courier: Make, tenant: Any
) -> None:
    endpoint = await add(http, receiver.url)
    incidents = [await report(http, playbook="data-leakage", title=f"Incident {number}") for number in range(4)]
    sending = courier()
    running = asyncio.create_task(sending.run())

    async def write(incident: dict[str, Any]) -> None:
        for number in range(10):
            body = {"text": f"Note {number}"}
            assert (await http.post(f"/v1/incidents/{incident['id']}/notes", json=body)).is_success

    await asyncio.gather(*(write(incident) for incident in incidents))
    async with asyncio.timeout(20):
        while not (found := await deliveries(http, endpoint)) or {one["status"] for one in found} != {"delivered"}:
            sending.wake.set()
            await asyncio.sleep(0.05)
    sending.stop()
    await running
    for incident in incidents:
        timeline = (await http.get(f"/v1/incidents/{incident['id']}/timeline", params={"limit": 200})).json()["items"]
        assert told(receiver, incident) == [event["seq"] for event in timeline]


async def test_a_lane_that_a_writer_holds_keeps_no_other_from_being_recorded(
    http: httpx.AsyncClient, receiver: Receiver, courier: Make, tenant: Any, superuser: asyncpg.Connection
) -> None:
    endpoint = await add(http, receiver.url, event_types=["incident.reported"])
    await courier().work_for(tenant.tenant_id)
    held, free = [await report(http, title=title) for title in ("Held", "Free")]
    released = asyncio.Event()

    async def behave(_: Received, writer: asyncio.StreamWriter) -> None:
        await released.wait()
        writer.write(answer())
        await writer.drain()

    async def lanes() -> set[str]:
        rows = await superuser.fetch("SELECT stream_id FROM webhook_lanes WHERE tenant_id = $1", tenant.tenant_id)
        return {str(row["stream_id"]) for row in rows}

    receiver.behave = behave
    running = asyncio.create_task(courier().work_for(tenant.tenant_id))
    async with asyncio.timeout(20):
        while len(receiver.got) < 2:
            await asyncio.sleep(0.01)
        async with superuser.transaction():
            await superuser.execute("SELECT 1 FROM webhook_lanes WHERE stream_id = $1 FOR UPDATE", held["id"])
            released.set()
            while await lanes() != {held["id"]}:
                await asyncio.sleep(0.01)
        await running
    assert await lanes() == set()
    found = await deliveries(http, endpoint)
    assert {(one["stream_id"], one["status"], one["attempts"]) for one in found} == {
        (held["id"], "delivered", 1),
        (free["id"], "delivered", 1),
    }
