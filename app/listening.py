"""HTTP connections, guarded: a request line and headers must arrive in time and in bounds, and a refused body is read
a little further, so that its sender gets to see the answer.

uvicorn bounds neither. And closing a socket that still has unread bytes resets the connection, which takes an answer
that is on its way with it: a client that sends 50 MB would see a broken pipe instead of 413. WebSockets are bounded
likewise.
"""

import asyncio
from typing import Any

import orjson
import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

HEAD_SECONDS_MAX = 10.0
HEAD_BYTES_MAX = 65_536  # of request line and headers while they are incomplete; the door refuses above 16 kB
LINGER_SECONDS_MAX = 10.0
LINGER_CHECK_SECONDS = 0.5
LINGER_BYTES_MIN = 16_384  # per check: who sends less is not busy sending but holding on
LINGER_BYTES_MAX = 128 * 1024 * 1024
CLOSE_SECONDS_MAX = 5.0  # for a socket's last bytes to be taken; a peer that takes none is cut off
log = structlog.get_logger("holdfast.listening")


class GuardedConnection(HttpToolsProtocol):
    """One connection. States: waiting for a request, reading its head, answering; draining the rest of a body whose
    request is answered already; lingering, which is draining before the close that the answer announced."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A caller connected: it has to send a whole head in time."""
        self._guard: asyncio.TimerHandle | None = None
        self._in_head = False
        self._head_bytes = 0
        self.lingering = self._draining = False
        self._linger_bytes = 0
        self._linger_ends = 0.0
        self._linger_bytes_seen = 0
        self._is_socket = False
        super().connection_made(_Lingering(transport, self))  # type: ignore[arg-type]
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, whoever ended it."""
        self._stop_guard()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes arrived. While lingering they are thrown away."""
        if self.lingering:
            self._count_unread(data)
            return
        super().data_received(data)
        if self._is_socket:
            return
        if self._draining:
            self._count_unread(data)
            return
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._give_up(431, "headers-too-large", "Headers too large")
        elif self.is_idle:
            self._expect_head()  # bytes that begin nothing, such as blank lines, do not keep a connection open

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        self._expect_head()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._in_head = False
        self._stop_guard()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The last byte of a request. If it was answered before, the next one may come."""
        super().on_message_complete()
        if self._draining:
            self._draining = False
            self._stop_guard()
            self._expect_head()

    def on_response_complete(self) -> None:
        """An answer is sent. What is left of its request's body is skipped, but not without end."""
        super().on_response_complete()
        if self.has_unread_body and not self.transport.is_closing():
            self._draining = True
            self._stop_guard()
            self._guard = self.loop.call_later(LINGER_SECONDS_MAX, self.transport.abort)

    def handle_websocket_upgrade(self) -> None:
        """The request opened a WebSocket: what follows is not HTTP, and nothing of it is waited for here."""
        self._is_socket = True
        self._stop_guard()
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._give_up(400, "invalid-http", "Not HTTP as we read it")

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered."""
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request, whatever its declaration says
        return cycle is None or cycle.response_complete

    @property
    def has_unread_body(self) -> bool:
        """Whether a request was answered before its body came to its end."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and cycle.response_complete and cycle.more_body

    def linger(self) -> None:
        """Read on for a moment without looking, then close."""
        self.lingering = True
        self._linger_ends = self.loop.time() + LINGER_SECONDS_MAX
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        self._stop_guard()
        self._guard = self.loop.call_later(LINGER_CHECK_SECONDS, self._linger_on)

    def _count_unread(self, data: bytes) -> None:
        self._linger_bytes += len(data)
        if self._linger_bytes > LINGER_BYTES_MAX:
            self.transport.abort()

    def _linger_on(self) -> None:
        is_busy = self._linger_bytes - self._linger_bytes_seen >= LINGER_BYTES_MIN
        if is_busy and self.loop.time() < self._linger_ends:
            self._linger_bytes_seen = self._linger_bytes
            self._guard = self.loop.call_later(LINGER_CHECK_SECONDS, self._linger_on)
        else:
            self.transport.close()

    def _expect_head(self) -> None:
        if self._guard is None:
            self._guard = self.loop.call_later(HEAD_SECONDS_MAX, self._head_is_late)

    def _head_is_late(self) -> None:
        self._guard = None
        if self._in_head:
            self._give_up(408, "headers-timeout", "Headers too slow")
            self.transport.close()  # who sends this slowly is not waited for again
        else:
            self.transport.close()

    def _stop_guard(self) -> None:
        if self._guard is not None:
            self._guard.cancel()
            self._guard = None

    def _give_up(self, status: int, code: str, title: str) -> None:
        if self.transport.is_closing():
            return
        problem = {"type": f"/problems/{code}", "title": title, "status": status, "code": code}
        body = orjson.dumps({**problem, "detail": f"{title}. The connection closes.", "request_id": "-"})
        head = (
            f"HTTP/1.1 {status} {title}\r\ncontent-type: application/problem+json; charset=utf-8\r\n"
            f"content-length: {len(body)}\r\nx-content-type-options: nosniff\r\ncache-control: no-store\r\n"
            "connection: close\r\n\r\n"
        )
        log.warning("connection refused", status=status, code=code)
        self.transport.write(head.encode() + body)
        self.linger()


class GuardedSocket(WebSocketsSansIOProtocol):
    """One WebSocket. A peer that reads nothing cannot make us keep bytes for it, nor hold the connection open."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is about to be answered."""
        super().connection_made(_Ending(transport))  # type: ignore[arg-type]

    def handle_ping(self) -> None:
        """Answer a ping, unless the answers to earlier ones were not read."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.transport.abort()

    async def send(self, message: Any) -> None:
        """Send once there is room for it. A close does not wait: it is for those who leave no room, too."""
        if message["type"] == "websocket.close":
            self.writable.set()
        await super().send(message)


SOCKETS: dict[str, Any] = {
    "ws": GuardedSocket,
    "ws_max_size": 65_536,
    "ws_ping_interval": 10.0,
    "ws_ping_timeout": 15.0,
    "ws_per_message_deflate": False,  # it costs each socket more memory than everything else, and text may be probed
}
"""How uvicorn is to keep WebSockets: bytes of a message at most, seconds between pings and until one is answered."""


class _Ending:
    """A transport whose `close` gives the last bytes a moment, then cuts the connection."""

    __slots__ = ("_is_ending", "_transport")

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._is_ending = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        """Close."""
        self._transport.close()
        if not self._is_ending:
            self._is_ending = True
            asyncio.get_running_loop().call_later(CLOSE_SECONDS_MAX, self._transport.abort)


class _Lingering:
    """A transport whose `close` waits for a sender that is still busy sending."""

    __slots__ = ("_protocol", "_transport")

    def __init__(self, transport: asyncio.Transport, protocol: GuardedConnection) -> None:
        self._transport = transport
        self._protocol = protocol

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        """Close, after lingering where the request is answered before its body was read."""
        if self._protocol.has_unread_body and not self._protocol.lingering:
            self._protocol.linger()
        else:
            self._transport.close()

    def is_closing(self) -> bool:
        """Whether nothing more will be answered on it."""
        return self._protocol.lingering or bool(self._transport.is_closing())
