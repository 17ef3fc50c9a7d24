"""Connections over which requests go one after another, HTTP/1.1 and nothing more: no cookies, no redirects, bounds on
what is read. One that is kept saves the next request the handshakes."""

import asyncio
import time
from collections.abc import Callable, Hashable
from typing import Any, cast

import h11

HEAD_BYTES_MAX = 16_384  # of an answer's headers, with those of interim answers before it
IDLE_SECONDS = 15.0  # after which a kept connection is closed; many servers close theirs soon after
AGE_SECONDS_MAX = 60.0  # then the name is looked up anew
KEPT_OF_OWNER = 8
KEPT_MAX = 256


class Line(asyncio.Protocol):
    """One connection. `exchange` sends a request and waits for its answer; then it may be `is_free` for another."""

    def __init__(self) -> None:
        self.opened_at = time.monotonic()
        self.has_heard = False  # any byte of the answer to the request that is under way
        self.when_lost: Callable[[], None] | None = None
        self._transport: asyncio.Transport
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES_MAX)
        self._answer: asyncio.Future[tuple[h11.Response, bytes]] | None = None
        self._head: h11.Response | None = None
        self._before_head = 0
        self._body = bytearray()
        self._bytes_max = 0

    @property
    def is_free(self) -> bool:
        """Whether another request may go over it."""
        return self._answer is None and self._http.our_state is h11.IDLE and not self._transport.is_closing()

    def close(self) -> None:
        """Drop it; an answer that is not read to its end is not waited for."""
        self._transport.abort()

    async def exchange(self, request: h11.Request, body: bytes, bytes_max: int) -> tuple[h11.Response, bytes]:
        """The head of the answer and its body, cut to `bytes_max`. Raises OSError and h11.ProtocolError."""
        self._head, self._body, self._before_head, self._bytes_max = None, bytearray(), 0, bytes_max
        self.has_heard = False
        self._answer = asyncio.get_running_loop().create_future()
        try:
            parts = [self._http.send(event) or b"" for event in (request, h11.Data(data=body), h11.EndOfMessage())]
            self._transport.write(b"".join(parts))
            found = await self._answer
        except BaseException:
            self.close()
            raise
        finally:
            self._answer = None
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE and not self._http.trailing_data[0]:
            self._http.start_next_cycle()
        else:
            self.close()
        return found

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class does not inherit it

    def data_received(self, data: bytes) -> None:
        """Read on; what nobody asked for ends the connection."""
        if self._answer is None or self._answer.done():
            self.close()
            return
        self.has_heard = True
        self._take(data)

    def eof_received(self) -> None:
        """The end may be that of the answer."""
        if self._answer is not None and not self._answer.done():
            self._take(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits is told."""
        self._fail(ConnectionResetError("the connection was closed"))
        if self.when_lost is not None:
            self.when_lost()

    def _take(self, data: bytes) -> None:
        try:
            for start in range(0, max(len(data), 1), HEAD_BYTES_MAX):  # a head that is whole is not measured any more
                part = data[start : start + HEAD_BYTES_MAX]
                if self._head is None:
                    self._before_head += len(part)
                self._http.receive_data(part)
                self._read()
                if self._answer is None or self._answer.done():
                    return
        except h11.RemoteProtocolError as error:
            self._fail(error)

    def _read(self) -> None:
        while len(self._body) < self._bytes_max:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                if self._head is None and self._before_head > HEAD_BYTES_MAX:
                    raise h11.RemoteProtocolError("endless interim answers")
                return
            if isinstance(event, h11.Response):
                self._head = event
            elif isinstance(event, h11.Data):
                self._body += event.data
            elif not isinstance(event, h11.InformationalResponse):
                break
        if self._head is None:
            self._fail(ConnectionResetError("the connection was closed"))
        elif self._answer is not None and not self._answer.done():
            self._answer.set_result((self._head, bytes(self._body[: self._bytes_max])))

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


class Lines:
    """Connections that are kept for their owners: a few each, for a short while."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, list[Line]] = {}
        self._timers: dict[Line, asyncio.TimerHandle] = {}

    def take(self, owner: Hashable) -> Line | None:
        """A connection of the owner that is free, now the caller's."""
        for line in reversed(self._kept.get(owner, ())):
            if line.is_free and time.monotonic() - line.opened_at < AGE_SECONDS_MAX:
                self._forget(owner, line)
                return line
        return None

    def keep(self, owner: Hashable, line: Line) -> None:
        """Keep a connection for the owner, or close it where there is no room."""
        kept = self._kept.get(owner, [])
        if not line.is_free or len(kept) >= KEPT_OF_OWNER or len(self._timers) >= KEPT_MAX:
            line.close()
            return
        self._kept.setdefault(owner, kept).append(line)
        line.when_lost = lambda: self._forget(owner, line)
        self._timers[line] = asyncio.get_running_loop().call_later(IDLE_SECONDS, line.close)

    def close(self) -> None:
        """Close all that are kept."""
        for line in list(self._timers):
            line.close()

    def _forget(self, owner: Any, line: Line) -> None:
        line.when_lost = None
        timer = self._timers.pop(line, None)
        if timer is not None:
            timer.cancel()
            self._kept[owner].remove(line)
            if not self._kept[owner]:
                del self._kept[owner]
