"""Ending a server: what is on its way is finished, a second signal waits for nothing, and there is no stack trace."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from bench.site import Site
from tests.receiver import Received, Receiver, answer, receiving

pytestmark = pytest.mark.timeout(180)

ENDPOINTS = "/v1/webhook-endpoints"
HURRIED_SECONDS_MAX = 12.0  # the database of the process ends with it


@pytest.fixture(scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"), {"HOLDFAST_WEBHOOK_NETWORKS": "127.0.0.0/8"})
    yield made
    await asyncio.to_thread(made.stop)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


async def holding(http: httpx.AsyncClient, receiver: Receiver) -> tuple[str, asyncio.Event]:
    """An endpoint whose receiver has been sent its test and answers when it is released."""
    released = asyncio.Event()

    async def hold(_: Received, writer: asyncio.StreamWriter) -> None:
        await released.wait()
        writer.write(answer())

    receiver.behave, receiver.takes_first_test = hold, False
    body = {"name": "Board", "url": receiver.url, "event_types": ["client.*"]}
    made = (await http.post(ENDPOINTS, json=body)).raise_for_status().json()
    await asyncio.wait_for(receiver.arrived.wait(), 20)
    return f"{ENDPOINTS}/{made['id']}", released


async def test_what_is_on_its_way_is_sent_and_recorded_before_the_end(site: Site, receiver: Receiver) -> None:
    process = await site.start()
    async with site.client(process) as http:
        path, released = await holding(http, receiver)
    process.signal(signal.SIGTERM)
    while "Finished server process" not in process.log.read_text():
        await asyncio.sleep(0.02)
    assert not process.ended, "it waits for the receiver"
    released.set()
    assert await asyncio.to_thread(process.wait) == 0
    async with site.client(await site.start()) as http:
        (delivery,) = (await http.get(f"{path}/deliveries")).json()["items"]
    assert (delivery["status"], delivery["attempts"], len(receiver.got)) == ("delivered", 1, 1)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_waits_for_nothing_and_leaves_no_trace(
    site: Site, receiver: Receiver, second: signal.Signals
) -> None:
    process = (site.running() or [await site.start()])[0]
    async with site.client(process) as http:
        await holding(http, receiver)
    reader, writer = await asyncio.open_connection("127.0.0.1", process.port)
    head = f"POST /v1/incidents HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {site.key}\r\nContent-Length: 500\r\n"
    writer.write(head.encode() + b"Content-Type: application/json\r\n\r\n{")
    await writer.drain()
    began = time.monotonic()
    process.signal(signal.SIGTERM)
    while "Waiting for connections to close" not in process.log.read_text():
        await asyncio.sleep(0.02)
    process.signal(second)
    process.signal(second)
    said = await asyncio.wait_for(reader.read(), 20)
    assert said.startswith(b"HTTP/1.1 503 ") and b"retry-after: 2" in said.lower()
    writer.close()
    assert await asyncio.to_thread(process.wait) == 0
    assert time.monotonic() - began < HURRIED_SECONDS_MAX
    log = process.log.read_text()
    assert "Traceback" not in log and "Exception" not in log and '"level":"error"' not in log
