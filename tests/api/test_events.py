"""The feed of events: everything once and in order, and nothing of what the caller may not see."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from app.database import Database
from app.event_log import LOOKED_THROUGH_MAX
from app.sequencer import Sequencer
from tests.api.people import calling
from tests.people import add_person, add_service_account, report

FEED = "/v1/events"
Sequence = Callable[[], Awaitable[int]]


@pytest.fixture
def sequence(database: Database, tenant: Any) -> Sequence:
    """Gives what was written so far its place."""
    return lambda: Sequencer(database).work_for(tenant.tenant_id)


async def page(by: httpx.AsyncClient, **query: Any) -> dict[str, Any]:
    answer = await by.get(FEED, params={"limit": 200, **query})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def everything(by: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    """All pages, read as a receiver would."""
    found: list[dict[str, Any]] = []
    after = 0
    while True:
        some = await page(by, after=after, **query)
        found += some["items"]
        after = some["next_after"]
        if not some["has_more"]:
            return found


async def key_limited_to(http: httpx.AsyncClient, *clients: str) -> str:
    made = await http.post("/v1/keys", json={"name": "limited", "client_ids": clients})
    assert made.status_code == 201, made.text
    return str(made.json()["key"])


async def a_client(http: httpx.AsyncClient, name: str) -> str:
    return str((await http.post("/v1/clients", json={"name": name})).json()["id"])


async def test_every_event_is_told_once_and_in_order(http: httpx.AsyncClient, sequence: Sequence) -> None:
    assert (await page(http))["items"] == []
    incident = await report(http, playbook="data-leakage", summary="A summary")
    written = await sequence()
    events = await everything(http, limit=7)
    assert [event["log_index"] for event in events] == list(range(1, written + 1))
    timeline = (await http.get(f"/v1/incidents/{incident['id']}/timeline", params={"limit": 200})).json()["items"]
    told = [event for event in events if event["stream_id"] == incident["id"]]
    assert [(event["seq"], event["type"], event["timestamp"]) for event in told] == [
        (event["seq"], event["kind"], event["recorded_at"]) for event in timeline
    ]
    assert [event["data"] for event in told] == [event["data"] for event in timeline]
    first = told[0]
    assert first["origin"]["kind"] == "person"
    assert first["incident"]["number"] == incident["number"]
    assert first["incident"]["url"].endswith(f"/v1/incidents/{incident['id']}")
    assert first["incident"].keys() == {"id", "number", "url", "status", "severity"}
    assert {event["incident"] is None for event in events if event["stream"] != "incident"} == {True}


async def test_reading_on_skips_nothing_and_the_end_is_empty(http: httpx.AsyncClient, sequence: Sequence) -> None:
    await report(http)
    await sequence()
    end = (await page(http))["next_after"]
    assert (await page(http, after=end)) | {"server_time": ""} == {
        "items": [],
        "next_after": end,
        "has_more": False,
        "server_time": "",
    }
    assert (await page(http, after=2**53 - 1))["items"] == []
    await report(http)
    await sequence()
    assert (await page(http, after=end))["items"][0]["log_index"] == end + 1


@pytest.mark.parametrize(
    "query",
    ["after=-1", "after=x", "after=1.5", "after=9007199254740992", "limit=0", "limit=201", "types=nonsense", "types=",
     "stream=nothing", "client_id=x", "before=1"],
)  # fmt: skip
async def test_what_makes_no_sense_is_refused_with_a_reason(http: httpx.AsyncClient, query: str) -> None:
    answer = await http.get(f"{FEED}?{query}")
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"].startswith("/query")


async def test_filters_narrow(http: httpx.AsyncClient, sequence: Sequence) -> None:
    client, other = await a_client(http, "Acme"), await a_client(http, "Bolt")
    mine = await report(http, playbook="data-leakage", client_ids=[client])
    await report(http, client_ids=[other])
    await sequence()
    chosen = await everything(http, types=["client.*", "incident.reported"])
    assert {event["type"] for event in chosen} == {"client.created", "incident.reported"}
    assert {event["stream"] for event in await everything(http, stream="client")} == {"client"}
    of_client = await everything(http, client_id=client)
    assert {(event["stream"], event["stream_id"]) for event in of_client} == {
        ("client", client),
        ("incident", mine["id"]),
    }
    assert len(await everything(http, types=["*"])) == len(await everything(http))


async def test_a_key_limited_to_clients_sees_theirs_alone(
    http: httpx.AsyncClient, server: str, sequence: Sequence
) -> None:
    client, other = await a_client(http, "Acme"), await a_client(http, "Bolt")
    mine = await report(http, client_ids=[client])
    for clients in ([other], [client, other], []):
        await report(http, client_ids=clients)
    await sequence()
    async with calling(server, await key_limited_to(http, client)) as limited:
        seen = await everything(limited)
        assert {event["stream_id"] for event in seen} == {mine["id"], client}
        end = (await page(limited))["next_after"]
        assert end == seen[-1]["log_index"]
        await report(http, client_ids=[other])
        await sequence()
        assert (await page(limited, after=end))["next_after"] == end, "what is hidden moves nothing"
        assert await everything(limited, client_id=other) == []
        assert (await limited.get(FEED, params={"stream": "tool"})).status_code == 200
        assert await everything(limited, stream="tool") == []


async def test_roles_see_the_streams_that_they_may_read(
    http: httpx.AsyncClient, server: str, sequence: Sequence, database: Database, tenant: Any
) -> None:
    hr = await add_person(database, tenant.tenant_id, "hr")
    staff = await add_person(database, tenant.tenant_id, "any_staff")
    account = await add_service_account(database, tenant.tenant_id)
    await http.post("/v1/keys", json={"name": "k"})
    await report(http)
    async with calling(server, account.key) as by:
        own = await report(by)
        await sequence()
        assert {event["stream_id"] for event in await everything(by)} == {own["id"]}
        assert {event["origin"]["kind"] for event in await everything(by)} == {"service_account"}
    streams = {event["stream"] for event in await everything(http)}
    assert {"key", "risk", "person", "incident"} <= streams
    async with calling(server, hr.key) as by:
        assert {event["stream"] for event in await everything(by)} == streams - {"key", "service_account"}
        assert (await by.get(FEED, params={"stream": "key"})).status_code == 403
    async with calling(server, staff.key) as by:
        assert (await by.get(FEED)).status_code == 403


async def test_what_was_erased_reads_as_null(
    http: httpx.AsyncClient, sequence: Sequence, superuser: asyncpg.Connection
) -> None:
    incident = await report(http, title="Ingrid pasted a list")
    await sequence()
    await superuser.execute("ALTER TABLE event_data DISABLE TRIGGER USER")
    try:
        await superuser.execute("DELETE FROM event_data WHERE stream_id = $1 AND seq = 1", UUID(incident["id"]))
    finally:
        await superuser.execute("ALTER TABLE event_data ENABLE TRIGGER USER")
    (first,) = [event for event in await everything(http, stream="incident") if event["seq"] == 1]
    assert first["data"] is None and first["type"] == "incident.reported"


async def test_a_delivery_is_named_as_what_caused_an_event(
    http: httpx.AsyncClient, stranger: httpx.AsyncClient, sequence: Sequence
) -> None:
    source = (await http.post("/v1/sources", json={"name": "Alerts", "system": "generic"})).json()
    hook = "/hooks/" + source["hook_url"].rpartition("/")[2]
    body = {"event_action": "trigger", "dedup_key": "leak-1", "summary": "A leak"}
    told = await stranger.post(hook, json=body, headers={"webhook-id": "msg-77"})
    assert told.json()["result"] == "created", told.text
    await sequence()
    origins = [event["origin"] for event in await everything(http, stream="incident")]
    assert origins
    for origin in origins:
        assert (origin["kind"], origin["source_id"]) == ("source", source["id"])
        assert origin["external_event_id"] == "msg-77"


async def test_a_page_looks_through_a_part_of_the_log_at_most(
    http: httpx.AsyncClient, sequence: Sequence, superuser: asyncpg.Connection, tenant: Any
) -> None:
    await sequence()
    before = (await page(http))["next_after"]
    count = 2 * LOOKED_THROUGH_MAX
    await superuser.execute(
        "INSERT INTO events (tenant_id, stream, stream_id, seq, kind, occurred_at, recorded_at, actor_kind, actor_id,"
        " data_digest, prev_hash, hash) SELECT $1, 'client', $1, n, 'client.changed', now(), now(), 'system', $1,"
        " '', '', n::text FROM generate_series(1, $2::integer) n",
        tenant.tenant_id,
        count,
    )
    incident = await report(http)
    await sequence()
    empty = await page(http, after=before, stream="incident")
    assert (empty["items"], empty["next_after"], empty["has_more"]) == ([], before + LOOKED_THROUGH_MAX, True)
    assert {event["stream_id"] for event in await everything(http, stream="incident")} == {incident["id"]}
