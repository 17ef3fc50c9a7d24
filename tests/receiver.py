"""A receiver of webhooks that answers what a test tells it to, over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True)
class Received:
    """One request as it came; header names in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self.body)
        return found


def answer(status: int = 200, body: bytes = b"", *headers: str) -> bytes:
    """The bytes of an answer."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


Behave = Callable[[Received, asyncio.StreamWriter], Awaitable[None]]


class Receiver:
    """What came, and what is answered: `answers` in turn, then `then`; or whatever `behave` does."""

    def __init__(self) -> None:
        self.url = ""
        self.got: list[Received] = []
        self.takes_first_test = True
        self.confirmed: dict[str, str] = {}
        self.answers: list[bytes] = []
        self.then = answer()
        self.behave: Behave | None = None
        self.arrived = asyncio.Event()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [one.event for one in self.got]

    def _is_first_test(self, received: Received) -> bool:
        """Whether an endpoint is tested here for the first time, which is taken and not counted: so all begin.

        Its sender may die before it knows, and then the same test comes again.
        """
        if not self.takes_first_test:
            return False
        if b"ebhook_endpoint.tested" not in received.body and b"ebhook endpoint tested" not in received.body:
            return False
        event = received.event
        place = event.get("stream_id") or event.get("partitionkey") or received.path
        test = received.headers["webhook-id"]
        return self.confirmed.setdefault(place, test) == test

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            received = Received(head[0].split()[1], headers, body)
            if self._is_first_test(received):
                writer.write(answer())
                await writer.drain()
                writer.close()
                return
            self.got.append(received)
            self.arrived.set()
            if self.behave is not None:
                await self.behave(received, writer)
            else:
                writer.write(self.answers.pop(0) if self.answers else self.then)
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a free loopback port for the length of the block."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/events"
    try:
        yield receiver
    finally:
        server.close()
