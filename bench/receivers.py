"""Receivers of webhooks on ports of their own: they note when each message came, and answer at once or never."""

import asyncio
import re
import time
from collections.abc import Callable
from typing import Any

ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"
_ID = re.compile(rb"\r\nwebhook-id: *([^\r]+)", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Receivers:
    """So many receivers, from `open` to `close`. `got` holds (receiver, id of the message, time) as they came."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.living = count  # how many answer; the others read and say nothing
        self.answer_seconds = 0.0
        self.got: list[tuple[int, str, float]] = []
        self._servers: list[asyncio.Server] = []
        self._transports: set[Any] = set()

    @property
    def urls(self) -> list[str]:
        """Their addresses."""
        return [f"http://127.0.0.1:{one.sockets[0].getsockname()[1]}/events" for one in self._servers]

    async def open(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        for number in range(self.count):
            make: Callable[[], _Connection] = lambda number=number: _Connection(self, number)  # type: ignore[misc]  # noqa: E731
            self._servers.append(await loop.create_server(make, "127.0.0.1", 0))

    def close(self) -> None:
        """Stop listening and cut what is open."""
        for server in self._servers:
            server.close()
        for transport in list(self._transports):
            transport.abort()

    async def until(self, done: Callable[[], bool], seconds: float) -> None:
        """Wait until `done`. Raises TimeoutError."""
        ends_at = time.monotonic() + seconds
        while not done():
            if time.monotonic() > ends_at:
                raise TimeoutError(f"{len(self.got):,} messages came")
            await asyncio.sleep(0.005)


class _Connection(asyncio.Protocol):
    """One connection; it is kept for as long as the sender wants."""

    def __init__(self, farm: Receivers, number: int) -> None:
        self._farm, self._number = farm, number
        self._buffer = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._farm._transports.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._farm._transports.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            length, named = _LENGTH.search(head), _ID.search(head)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < whole:
                return
            self._buffer = self._buffer[whole:]
            self._farm.got.append((self._number, named[1].decode() if named else "", time.monotonic()))
            if self._number >= self._farm.living:
                continue
            if self._farm.answer_seconds:
                asyncio.get_running_loop().call_later(self._farm.answer_seconds, self._transport.write, ANSWER)
            else:
                self._transport.write(ANSWER)
