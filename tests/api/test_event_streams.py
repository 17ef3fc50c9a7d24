"""The feed as server-sent events: told at once, resumed without a gap, ended in time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest

from api import event_streams
from app.database import Database
from app.settings import Settings
from app.worker import Worker
from tests.api.people import calling
from tests.conftest import serving
from tests.people import report

FEED = "/v1/events"


class Stream:
    """An open stream: its events one by one, with the comments in between counted."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.comments: list[str] = []
        self._lines = answer.aiter_lines()

    async def told(self) -> tuple[int, dict[str, Any]]:
        """The next event with its id."""
        place, data = 0, ""
        async with asyncio.timeout(10):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if line.startswith(":"):
                    self.comments.append(line)
                elif name == "id":
                    place = int(value)
                elif name == "data":
                    data = value
                elif not line and data:
                    return place, orjson.loads(data)
        raise EOFError

    async def until_the_end(self) -> None:
        with contextlib.suppress(EOFError):
            while True:
                await self.told()


@contextlib.asynccontextmanager
async def following(
    by: httpx.AsyncClient, headers: dict[str, str] | None = None, **query: Any
) -> AsyncIterator[Stream]:
    wanted = {"Accept": "text/event-stream", **(headers or {})}
    async with by.stream("GET", FEED, params=query, headers=wanted) as answer:
        if answer.status_code != 200:
            await answer.aread()
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Stream(answer)


@pytest.fixture
async def working(database: Database, settings: Settings) -> AsyncIterator[None]:
    """Somebody gives events their places."""
    worker = Worker(database, settings)
    running = asyncio.create_task(worker.run())
    yield
    worker.stop()
    await running


@pytest.mark.usefixtures("working")
async def test_what_happens_is_told_at_once_and_in_order(http: httpx.AsyncClient) -> None:
    async with following(http, stream="incident") as stream:
        incident = await report(http)
        began = time.monotonic()
        place, event = await stream.told()
        assert time.monotonic() - began < 3, "sooner than anybody looks by himself"
        assert (event["type"], event["seq"], event["log_index"]) == ("incident.reported", 1, place)
        await http.post(f"/v1/incidents/{incident['id']}/notes", json={"text": "Seen."})
        seqs = [event["seq"]]
        while event["type"] != "note.added":
            later, event = await stream.told()
            assert later > place
            place = later
            seqs.append(event["seq"])
        assert seqs == list(range(1, len(seqs) + 1))


@pytest.mark.usefixtures("working")
async def test_a_reader_that_was_cut_off_goes_on_where_it_was(http: httpx.AsyncClient) -> None:
    async with following(http, limit=3) as stream:
        first = [await stream.told() for _ in range(5)]
    assert [place for place, _ in first] == [1, 2, 3, 4, 5], "from the beginning, page after page"
    async with following(http, {"Last-Event-ID": "5"}, after=1) as stream:
        assert (await stream.told())[0] == 6
    for wrong in ("x", "-1", "1.5", "9" * 30):
        answer = await http.get(FEED, headers={"Accept": "text/event-stream", "Last-Event-ID": wrong})
        assert answer.status_code == 422


async def test_silence_is_broken_by_a_comment(http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_streams, "HEARTBEAT_SECONDS", 0.05)
    async with following(http) as stream:
        reading = asyncio.create_task(stream.told())
        async with asyncio.timeout(5):
            while len(stream.comments) < 3:
                await asyncio.sleep(0.01)
        reading.cancel()


@pytest.mark.usefixtures("working")
async def test_a_stream_ends_soon_after_its_key(http: httpx.AsyncClient, server: str) -> None:
    key = (await http.post("/v1/keys", json={"name": "SIEM"})).json()
    async with calling(server, key["key"]) as by, following(by) as stream:
        reading = asyncio.create_task(stream.until_the_end())
        await http.post(f"/v1/keys/{key['id']}/revoke")
        await asyncio.wait_for(reading, 5)
    async with calling(server, key["key"]) as by:
        assert (await by.get(FEED, headers={"Accept": "text/event-stream"})).status_code == 401


@pytest.mark.usefixtures("working")
async def test_a_limited_key_hears_nothing_of_others(http: httpx.AsyncClient, server: str) -> None:
    client, other = [(await http.post("/v1/clients", json={"name": name})).json()["id"] for name in ("Acme", "Bolt")]
    key = (await http.post("/v1/keys", json={"name": "limited", "client_ids": [client]})).json()["key"]
    async with calling(server, key) as by, following(by, stream="incident") as stream:
        await report(http, client_ids=[other])
        mine = await report(http, client_ids=[client])
        _, event = await stream.told()
        assert event["stream_id"] == mine["id"]
        assert stream.comments == []


@pytest.mark.usefixtures("working")
async def test_a_tenant_has_room_for_so_many(settings: Settings, tenant: Any) -> None:
    from api.server import create_api

    api = create_api(settings.model_copy(update={"tenant_sockets_max": 1}))
    async with serving(api) as address, calling(address, tenant.key) as by:
        async with following(by) as stream:
            await stream.told()
            refused = await by.get(FEED, headers={"Accept": "text/event-stream"})
            assert refused.status_code == 429 and int(refused.headers["retry-after"]) > 0
            assert (await by.get(FEED)).status_code == 200, "a page needs no room"
        async with asyncio.timeout(5):
            while api.state.live.peers:
                await asyncio.sleep(0.01)
        async with following(by) as stream:
            await stream.told()


async def test_a_key_has_room_for_so_many(http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_streams, "OF_CREDENTIAL_MAX", 1)
    async with following(http):
        assert (await http.get(FEED, headers={"Accept": "text/event-stream"})).status_code == 429
        other = (await http.post("/v1/keys", json={"name": "another"})).json()["key"]
        async with following(http, {"Authorization": f"Bearer {other}"}):
            pass


async def test_streams_end_in_good_order_when_the_service_does(settings: Settings, tenant: Any) -> None:
    from api.server import create_api

    api = create_api(settings)
    async with serving(api) as address, calling(address, tenant.key) as by, following(by) as stream:
        reading = asyncio.create_task(stream.until_the_end())
        api.state.event_streams.end()
        await asyncio.wait_for(reading, 5)
        assert stream.comments[-1] == ": the end, connect again"
        assert (await by.get(FEED, headers={"Accept": "text/event-stream"})).status_code == 429


@pytest.mark.parametrize(
    ("accept", "goes_on"),
    [
        ("TEXT/Event-Stream", True),
        ("application/json;q=0.5, text/event-stream;q=0.1", True),
        ("text/event-stream;q=0", False),
        ("text/event-stream; Q=0.000, */*", False),
        ("text/event-streams", False),
        ("*/*", False),
    ],
)
async def test_a_stream_is_for_who_asks_for_one(http: httpx.AsyncClient, accept: str, goes_on: bool) -> None:
    async with http.stream("GET", FEED, headers={"Accept": accept}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream") is goes_on
