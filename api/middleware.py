"""What happens around every request: an id, the caller's address, headers, a line in the log, a last net for errors.

Plain ASGI: a chain of Starlette's BaseHTTPMiddleware costs several times what a request costs.
"""

import asyncio
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_address
from traceback import extract_tb

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.metrics import count_request
from api.problems import problem
from app.ids import new_id
from app.limits import Verdict

URL_BYTES_MAX = 8_192
HEADER_BYTES_MAX = 16_384
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
TRACE_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
SAFE_HEADERS = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
log = structlog.get_logger("holdfast.access")


class Door:
    """The outermost layer of ours. `trusted` are the proxies whose `X-Forwarded-For` is believed; `hosts` the names
    answered to (empty: any)."""

    def __init__(self, app: ASGIApp, trusted: Sequence[IPv4Network | IPv6Network], hosts: Sequence[str]) -> None:
        self.app = app
        self.trusted = trusted
        self.hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, with all that belongs around it."""
        if scope["type"] == "websocket":
            await self._open(scope, receive, send)
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        if scope["method"] == "HEAD":  # a HEAD is a GET whose body the server below leaves out
            scope = {**scope, "method": "GET"}
        headers: dict[bytes, bytes] = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        request_id = given if REQUEST_ID.fullmatch(given) else new_id().hex
        scope["holdfast.request_id"] = request_id
        scope["holdfast.address"] = self._address(scope, headers)
        trace = TRACE_PARENT.fullmatch(headers.get(b"traceparent", b"").decode("latin-1"))
        structlog.contextvars.bind_contextvars(request_id=request_id, **({"trace_id": trace[1]} if trace else {}))
        sent = _Sending(scope, send, request_id)
        try:
            refused = self._refuse(scope, headers)
            if refused is not None:
                status, code, detail = refused
                await problem(status, code, detail, request_id)(scope, receive, sent.send)
            else:
                await self.app(scope, receive, sent.send)
        except ClientDisconnect:
            pass  # nobody is there to answer
        except asyncio.CancelledError:  # the process ends and waits no longer
            if not sent.status:
                detail = "The service is stopping. Repeat the request; with an Idempotency-Key that is safe."
                stopping = problem(503, "unavailable", detail, request_id, headers={"Retry-After": "2"})
                await stopping(scope, receive, sent.send)
        except Exception as error:
            # The message and the values of an error may hold what a caller typed: only its kind and place are logged.
            frames = [
                f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}"
                for frame in extract_tb(error.__traceback__)
            ]
            log.error("failed", error=type(error).__name__, at=frames[-12:])
            if sent.status:
                raise
            detail = "Something failed on our side. Report the request_id."
            await problem(500, "internal-error", detail, request_id)(scope, receive, sent.send)
        finally:
            _log_access(scope, sent.status, time.perf_counter() - started)

    async def _open(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a WebSocket on, unless its handshake is one that a request would be refused for."""
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if self._refuse(scope, headers) is not None:
            await send({"type": "websocket.close", "code": 1008})
            return
        scope["holdfast.request_id"] = new_id().hex
        scope["holdfast.address"] = self._address(scope, headers)
        structlog.contextvars.bind_contextvars(request_id=scope["holdfast.request_id"])
        with suppress(asyncio.CancelledError):  # the process ends and waits no longer
            await self.app(scope, receive, send)

    def _refuse(self, scope: Scope, headers: dict[bytes, bytes]) -> tuple[int, str, str] | None:
        if len(scope["raw_path"]) + len(scope["query_string"]) > URL_BYTES_MAX:
            return 414, "uri-too-long", f"The address may have at most {URL_BYTES_MAX} bytes."
        if sum(len(name) + len(value) for name, value in scope["headers"]) > HEADER_BYTES_MAX:
            return 431, "headers-too-large", f"All headers together may have at most {HEADER_BYTES_MAX} bytes."
        if self.hosts:
            host = headers.get(b"host", b"").decode("latin-1").lower()
            name = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
            if name not in self.hosts:
                return 421, "misdirected", "The service does not answer to this host name."
        return None

    def _address(self, scope: Scope, headers: dict[bytes, bytes]) -> str:
        """The caller's address: the nearest one on the way that is no proxy of ours."""
        address: str = scope["client"][0] if scope.get("client") else "-"
        if not self.trusted:
            return address
        way = [
            part.strip() for part in headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",") if part.strip()
        ]
        while way and self._is_trusted(address):
            address = way.pop()
        return address[:64]

    def _is_trusted(self, address: str) -> bool:
        try:
            number = ip_address(address)
        except ValueError:
            return False
        return any(number in network for network in self.trusted)


class _Sending:
    """Adds our headers to the answer and remembers its status."""

    def __init__(self, scope: Scope, send: Send, request_id: str) -> None:
        self.scope = scope
        self._send = send
        self._id = request_id.encode()
        self.status = 0

    async def send(self, message: Message) -> None:
        """Pass one part of the answer on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers: list[tuple[bytes, bytes]] = message["headers"]
            names = {name for name, _ in headers}
            headers += [(b"x-request-id", self._id), *SAFE_HEADERS]
            if b"cache-control" not in names:
                headers.append((b"cache-control", b"no-store"))
            if b"content-security-policy" not in names:
                headers.append((b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"))
            verdict: Verdict | None = self.scope.get("holdfast.limit")
            if verdict is not None and verdict.limit:
                headers.append((b"ratelimit-policy", b'"credential";q=%d;w=60' % verdict.limit))
                headers.append((b"ratelimit", b'"credential";r=%d;t=%d' % (verdict.remaining, verdict.reset)))
        await self._send(message)


def _log_access(scope: Scope, status: int, seconds: float) -> None:
    """One line and one count per request, a warning where the caller was refused.

    The route's template stands for the path, which may hold a secret.
    """
    route = getattr(scope.get("route"), "path", "-")
    principal = scope.get("holdfast.principal")
    count_request(scope["method"], route, status, seconds)
    refused = scope.get("holdfast.refused")
    write, more = (log.info, {}) if refused is None else (log.warning, {"code": refused})
    write(
        "request",
        method=scope["method"],
        route=route,
        status=status or 499,  # nothing was sent: the caller went away
        milliseconds=round(seconds * 1000, 1),
        address=scope["holdfast.address"],
        tenant=str(principal.tenant_id) if principal else None,
        actor=str(principal.id) if principal else None,
        **more,
    )
