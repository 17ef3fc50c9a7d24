"""Connections that are kept: used again by their owner alone, never for what nobody asked for, and not for long."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import ip_network
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.fetching import FetchFailed, Request, send
from app.lines import HEAD_BYTES_MAX, KEPT_OF_OWNER, Lines

LOOPBACK = (ip_network("127.0.0.0/8"),)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Behave = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Kept:
    """A receiver that keeps connections; it counts them, and behaves as it is told."""

    def __init__(self) -> None:
        self.url = ""
        self.opened = 0
        self.requests = 0
        self.ended = asyncio.Event()
        self.answer = OK
        self.behave: Behave | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                assert b"connection: close" not in head.lower()
                await reader.readexactly(2)
                self.requests += 1
                writer.write(self.answer)
                await writer.drain()
                if self.behave is not None:
                    await self.behave(writer)
        writer.close()
        self.ended.set()


@pytest.fixture
async def kept() -> AsyncIterator[Kept]:
    found = Kept()
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    yield found
    server.close()


@pytest.fixture
async def lines() -> AsyncIterator[Lines]:
    made = Lines()
    yield made
    made.close()


async def ask(kept: Kept, lines: Lines, owner: UUID, **more: Any) -> int:
    reply = await send(
        Request(url=kept.url, headers={}, body=b"{}"),
        bytes_max=more.pop("bytes_max", 1000),
        seconds_max=more.pop("seconds_max", 5),
        networks=LOOPBACK,
        authorities=ssl.create_default_context(),
        lines=lines,
        owner=owner,
    )
    return reply.status


async def test_requests_of_one_owner_go_over_one_connection_and_no_others(kept: Kept, lines: Lines) -> None:
    one, other = uuid4(), uuid4()
    for _ in range(5):
        assert await ask(kept, lines, one) == 200
    assert (kept.opened, kept.requests) == (1, 5)
    assert await ask(kept, lines, other) == 200
    assert kept.opened == 2


async def test_no_more_are_kept_than_there_is_room_for(kept: Kept, lines: Lines) -> None:
    owner = uuid4()
    await asyncio.gather(*(ask(kept, lines, owner) for _ in range(KEPT_OF_OWNER + 5)))
    opened = kept.opened
    assert opened > KEPT_OF_OWNER
    await asyncio.gather(*(ask(kept, lines, owner) for _ in range(KEPT_OF_OWNER)))
    assert kept.opened == opened


async def test_one_that_was_closed_at_the_other_end_is_replaced(kept: Kept, lines: Lines) -> None:
    async def close(writer: asyncio.StreamWriter) -> None:
        raise ConnectionResetError

    owner = uuid4()
    kept.behave = close
    for number in range(3):
        kept.ended.clear()
        assert await ask(kept, lines, owner) == 200
        await kept.ended.wait()
        assert kept.opened == number + 1


async def test_one_that_is_cut_on_the_next_request_is_replaced_for_it(kept: Kept, lines: Lines) -> None:
    owner = uuid4()
    assert await ask(kept, lines, owner) == 200
    kept.answer = b""

    async def cut(writer: asyncio.StreamWriter) -> None:
        kept.answer = OK
        writer.transport.abort()

    kept.behave = cut
    assert await ask(kept, lines, owner) == 200
    assert (kept.opened, kept.requests) == (2, 3)


@pytest.mark.parametrize(
    ("answer", "bytes_max"),
    [
        (OK + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 1000),  # an answer that nobody asked for
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 1000),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 1000),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + b"x" * 20, 10),  # more than is read
    ],
)
async def test_what_is_not_at_a_clear_end_is_not_used_again(
    kept: Kept, lines: Lines, answer: bytes, bytes_max: int
) -> None:
    owner = uuid4()
    kept.answer = answer
    for number in range(2):
        assert await ask(kept, lines, owner, bytes_max=bytes_max) == 200
        assert kept.opened == number + 1


async def test_what_comes_while_nobody_asks_ends_the_connection(kept: Kept, lines: Lines) -> None:
    owner, later = uuid4(), asyncio.Event()

    async def add(writer: asyncio.StreamWriter) -> None:
        await later.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    kept.behave = add
    assert await ask(kept, lines, owner) == 200
    later.set()
    await kept.ended.wait()
    assert await ask(kept, lines, owner) == 200
    assert kept.opened == 2


async def test_it_is_closed_when_nobody_used_it_for_a_while(
    kept: Kept, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.lines.IDLE_SECONDS", 0.05)
    assert await ask(kept, lines, uuid4()) == 200
    await asyncio.wait_for(kept.ended.wait(), 5)
    assert not lines._kept and not lines._timers


async def test_an_old_one_is_dialled_anew(kept: Kept, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = uuid4()
    monkeypatch.setattr("app.lines.AGE_SECONDS_MAX", 0.0)
    assert [await ask(kept, lines, owner), await ask(kept, lines, owner)] == [200, 200]
    assert kept.opened == 2


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 100 Continue\r\n\r\n" * (HEAD_BYTES_MAX // 10), b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 9_000]
)
async def test_endless_heads_fail(kept: Kept, lines: Lines, answer: bytes) -> None:
    kept.answer = answer
    with pytest.raises(FetchFailed, match="did not answer"):
        await ask(kept, lines, uuid4())
    await asyncio.wait_for(kept.ended.wait(), 5)


async def test_a_silent_one_is_cut_and_not_kept(kept: Kept, lines: Lines) -> None:
    owner = uuid4()
    kept.answer = b""
    with pytest.raises(FetchFailed, match="in time"):
        await ask(kept, lines, owner, seconds_max=0.2)
    await asyncio.wait_for(kept.ended.wait(), 5)
    kept.answer = OK
    assert await ask(kept, lines, owner) == 200
    assert kept.opened == 2
