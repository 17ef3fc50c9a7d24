"""Connections end in time, and whoever sends too much still gets to read why it was refused."""

import asyncio
import http.client
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from app import listening
from app.listening import SOCKETS, GuardedConnection


async def answer_early(scope: Any, receive: Any, send: Any) -> None:
    """Refuses bodies without reading them; says in `connection` whether to close."""
    if scope["type"] != "http":
        return
    close = [(b"connection", b"close")] if scope["path"] == "/close" else []
    status = 413 if scope["method"] == "POST" else 200
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"2"), *close]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(listening, "HEAD_SECONDS_MAX", 0.6)
    config = uvicorn.Config(answer_early, port=0, http=GuardedConnection, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    running = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await running


async def talk(port: int, *parts: bytes, pause: float = 0.0, until: float = 5.0) -> bytes:
    """Everything the server says until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def say() -> None:
        for part in parts:
            writer.write(part)
            await asyncio.sleep(pause)

    speaking = asyncio.create_task(say())
    try:
        return await asyncio.wait_for(reader.read(), until)
    finally:
        speaking.cancel()
        writer.close()


@pytest.mark.parametrize("path", ["/close", "/keep"])
async def test_a_sender_of_50_mb_reads_the_refusal(port: int, path: str) -> None:
    def post() -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("POST", path, body=b"x" * 50_000_000)
        answer = connection.getresponse()
        return answer.status, answer.read()

    assert await asyncio.to_thread(post) == (413, b"ok")


async def test_a_body_that_never_ends_is_not_read_for_ever(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "LINGER_SECONDS_MAX", 1.0)
    head = b"POST /keep HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n"
    answer = await talk(port, head, *([b"x"] * 100), pause=0.1, until=4)
    assert answer.startswith(b"HTTP/1.1 413")


async def test_a_slow_head_is_cut(port: int) -> None:
    head = [bytes([byte]) for byte in b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"a" * 100]
    answer = await talk(port, *head, pause=0.05)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "headers-timeout"


async def test_silence_is_cut(port: int) -> None:
    assert await talk(port, until=2) == b""


async def test_blank_lines_keep_nothing_open(port: int) -> None:
    get = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = await talk(port, get, *([b"\r\n"] * 100), pause=0.2, until=4)
    assert answer.count(b"HTTP/1.1 200") == 1


async def test_a_huge_head_is_cut_while_it_arrives(port: int) -> None:
    answer = await talk(port, b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: ", *([b"a" * 10_000] * 50), pause=0.005)
    assert answer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "head",
    [
        b"NONSENSE\r\n\r\n",
        b"POST /keep HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /keep HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_a_problem(port: int, head: bytes) -> None:
    answer = await talk(port, head)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == 400


async def test_a_connection_is_kept_for_the_next_request(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(3):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        await asyncio.sleep(0.3)
    await asyncio.sleep(0.5)  # longer than a head may take: between requests another clock runs
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
    assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
    assert (await reader.readuntil(b"ok")).endswith(b"ok")
    writer.close()


async def tell_without_end(scope: Any, receive: Any, send: Any) -> None:
    """A WebSocket that is told more than it can take."""
    await send({"type": "websocket.accept"})
    while True:
        await send({"type": "websocket.send", "text": "x" * 100_000})


async def test_a_socket_that_reads_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "CLOSE_SECONDS_MAX", 0.3)
    kept = SOCKETS | {"ws_ping_interval": 0.3, "ws_ping_timeout": 0.3}
    config = uvicorn.Config(tell_without_end, port=0, http=GuardedConnection, log_config=None, lifespan="off", **kept)
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    running = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.01)
    reader, writer = await asyncio.open_connection(*server.servers[0].sockets[0].getsockname()[:2], limit=1_000)
    writer.write(
        b"GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n"
        b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert b"101" in await reader.readline()
    state = server.server_state
    async with asyncio.timeout(5):
        while not state.connections:
            await asyncio.sleep(0.01)
        while state.connections:
            await asyncio.sleep(0.01)
    writer.close()
    server.should_exit = True
    await running
