"""WS /graphql: the protocol graphql-transport-ws, for subscriptions alone.

Nothing is believed of the handshake but its origin: who calls is told by `connection_init`. Every limit has a close
code, see docs/console.md.
"""

import asyncio
import contextlib
import time
from typing import Any

import orjson
import structlog
from graphql import GraphQLError
from pydantic import ValidationError
from starlette.requests import Request
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from api.doorkeeper import Doorkeeper
from api.errors import RateLimited
from api.graphql.answering import error_of
from api.graphql.documents import Refused
from api.graphql.live import Live
from api.graphql.routes import GraphRequest
from api.strict_json import loads
from app.authentication import Principal, Unauthenticated
from app.database import DatabaseAway
from app.secrets import Claim
from app.sign_in import SignIn
from app.tokens import LEEWAY_SECONDS
from domain.refusals import Refusal

PROTOCOL = "graphql-transport-ws"
INIT_SECONDS_MAX = 10.0
IDLE_SECONDS_MAX = 300.0  # without a subscription
SEND_SECONDS_MAX = 10.0  # until there is room for a message
SUBSCRIPTIONS_MAX = 20
ID_CHARACTERS_MAX = 100

BAD_MESSAGE = 4400
NOT_INITIALISED = 4401
FORBIDDEN = 4403
WRONG_PROTOCOL = 4406
INIT_TIMEOUT = 4408
KNOWN_ID = 4409
TOO_SLOW = 4413
IDLE = 4414
RIGHTS_CHANGED = 4415
INITIALISED_TWICE = 4429
TRY_AGAIN = 1013
log = structlog.get_logger("holdfast.access")
Json = dict[str, Any]


class BadMessage(Exception):
    """What came is no message of the protocol."""


class Socket:
    """One open socket. It ends with a close code, whoever gives it."""

    claim: Claim | SignIn
    principal: Principal

    def __init__(self, websocket: WebSocket) -> None:
        state = websocket.app.state
        self._websocket = websocket
        self._keeper: Doorkeeper = state.keeper
        self._live: Live = state.live
        self._request: Request | None = None
        self._following: dict[str, asyncio.Task[None]] = {}
        self._closing: asyncio.Task[None] | None = None
        self._idle_since = time.time()
        self.code = 1006

    async def run(self) -> None:
        """From the handshake to the close."""
        if PROTOCOL not in self._websocket.scope["subprotocols"]:
            await self._websocket.accept()
            self.end(WRONG_PROTOCOL, "Subprotocol not acceptable")
        else:
            await self._websocket.accept(PROTOCOL)
        try:
            with contextlib.suppress(WebSocketDisconnect):
                await self._converse()
        finally:
            self._live.peers.discard(self)
            for task in self._following.values():
                task.cancel()
            await asyncio.gather(*self._following.values(), return_exceptions=True)
            if self._closing is not None:
                await asyncio.gather(self._closing, return_exceptions=True)

    def end(self, code: int, reason: str) -> None:
        """Close with this code, unless it is closing already."""
        if self._closing is None:
            self.code = code
            self._live.peers.discard(self)
            self._closing = asyncio.create_task(self._close(code, reason))

    def refuse(self) -> None:
        """Its credential opens nothing any more."""
        self.end(FORBIDDEN, "Forbidden")

    def renew(self) -> None:
        """What its caller may do or see has changed."""
        self.end(RIGHTS_CHANGED, "Rights changed")

    def check_in(self, now: float) -> None:
        """Look at the end of an access token, and at idleness. `now` is in seconds since the epoch."""
        claim = self.claim
        if isinstance(claim, SignIn) and claim.token.expires_at + LEEWAY_SECONDS <= now:
            self.refuse()
        if self._following:
            self._idle_since = now
        elif now - self._idle_since > IDLE_SECONDS_MAX:
            self.end(IDLE, "Nothing is followed")

    async def _close(self, code: int, reason: str) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            await self._websocket.close(code, reason)

    async def _converse(self) -> None:
        try:
            async with asyncio.timeout(INIT_SECONDS_MAX):
                while self._request is None:
                    await self._hear(await self._receive())
        except TimeoutError:
            self.end(INIT_TIMEOUT, "Connection initialisation timeout")
        except BadMessage as bad:
            self.end(BAD_MESSAGE, str(bad))
        while True:
            try:
                await self._hear(await self._receive())
            except BadMessage as bad:
                self.end(BAD_MESSAGE, str(bad))

    async def _receive(self) -> Json:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            if self._closing is None:
                self.code = message.get("code") or 1006
            raise WebSocketDisconnect(self.code)
        text = message.get("text")
        try:
            found = loads(text.encode()) if text is not None else None
        except Refusal:
            found = None
        if not isinstance(found, dict) or not isinstance(found.get("type"), str):
            raise BadMessage("Invalid message received")
        return found

    async def _hear(self, message: Json) -> None:
        if self._closing is not None:
            return
        kind = message["type"]
        if kind == "connection_init":
            await self._init(message.get("payload"))
        elif kind == "subscribe":
            await self._subscribe(message)
        elif kind == "complete":
            if task := self._following.pop(str(message.get("id")), None):
                task.cancel()
        elif kind == "ping":
            await self._send({"type": "pong"})
        elif kind != "pong":
            raise BadMessage("Invalid message received")

    # -- who calls -----------------------------------------------------------------------------------------------------

    async def _init(self, payload: Any) -> None:
        if self._request is not None:
            self.end(INITIALISED_TWICE, "Too many initialisation requests")
            return
        request = self._as_request(_credential_in(payload))
        try:
            await self._keeper.admit(request)
            self.claim = request.scope["holdfast.claim"]
            async with self._keeper.database.transaction(self.claim.tenant_id, read_only=True) as db:
                self.principal, _ = await self._keeper.authenticate(db, request)
        except Unauthenticated:
            self.end(FORBIDDEN, "Forbidden")
        except (RateLimited, DatabaseAway):
            self.end(TRY_AGAIN, "Try again later")
        else:
            same = sum(peer.claim.tenant_id == self.claim.tenant_id for peer in self._live.peers)
            if same >= self._keeper.settings.tenant_sockets_max:
                self.end(TRY_AGAIN, "Too many sockets")
                return
            self._request = request
            self._live.peers.add(self)
            await self._send({"type": "connection_ack"})

    def _as_request(self, credential: str) -> Request:
        """What the doorkeeper is used to: a request with this credential."""
        scope = self._websocket.scope
        kept = {name: scope[name] for name in ("app", "client", "server", "holdfast.address", "holdfast.request_id")}
        headers = [(b"authorization", credential.encode("latin-1", "replace"))] if credential else []
        fixed = {"type": "http", "method": "POST", "path": "/graphql", "query_string": b"", "headers": headers}
        return Request({**kept, **fixed})

    # -- what is followed ----------------------------------------------------------------------------------------------

    async def _subscribe(self, message: Json) -> None:
        if self._request is None:
            self.end(NOT_INITIALISED, "Unauthorized")
            return
        id, payload = message.get("id"), message.get("payload")
        if not isinstance(id, str) or not 0 < len(id) <= ID_CHARACTERS_MAX or not isinstance(payload, dict):
            raise BadMessage("A subscription has an id and a payload")
        try:
            asked = GraphRequest.model_validate(payload)
        except ValidationError:
            raise BadMessage("A payload is what POST /graphql takes") from None
        if id in self._following:
            self.end(KNOWN_ID, f"Subscriber for {id} already exists")
        elif len(self._following) >= SUBSCRIPTIONS_MAX:
            detail = f"A socket follows at most {SUBSCRIPTIONS_MAX} things at once. Complete one, or open another."
            await self._fail(id, [GraphQLError(detail, extensions={"code": "too-many-subscriptions"})])
        else:
            self._following[id] = asyncio.create_task(self._follow(id, asked))

    async def _follow(self, id: str, asked: GraphRequest) -> None:
        assert self._request is not None
        head = b'{"id":' + orjson.dumps(id) + b',"type":"next","payload":'
        request = Request({**self._request.scope})  # a refused credential is taken out of it
        try:
            await self._keeper.admit(request)
            find, variables = lambda: asked.text(self._keeper.settings), asked.variables or {}
            messages = self._live.follow(request, find, variables)
            async with contextlib.aclosing(messages):
                async for result in messages:
                    await self._send_text((head + result + b"}").decode())
        except Refused as refused:
            await self._fail(id, refused.errors)
        except Unauthenticated:
            self.refuse()
        except GraphQLError as error:
            await self._fail(id, [error])
        except Refusal as refusal:
            await self._fail(id, [GraphQLError(refusal.detail, original_error=refusal)])
        except DatabaseAway:
            await self._fail(id, [GraphQLError(AWAY, extensions={"code": "unavailable"})])
        except WebSocketDisconnect:
            pass
        except Exception as error:
            await self._fail(id, [GraphQLError("", original_error=error)])
        finally:
            if self._following.get(id) is asyncio.current_task():
                del self._following[id]

    async def _fail(self, id: str, errors: list[GraphQLError]) -> None:
        assert self._request is not None
        request = self._request
        with contextlib.suppress(WebSocketDisconnect):
            await self._send({"id": id, "type": "error", "payload": [error_of(one, request) for one in errors]})

    async def _send(self, message: Json) -> None:
        await self._send_text(orjson.dumps(message).decode())

    async def _send_text(self, text: str) -> None:
        if self._closing is not None:
            raise WebSocketDisconnect(self.code)
        try:
            async with asyncio.timeout(SEND_SECONDS_MAX):
                await self._websocket.send_text(text)
        except TimeoutError:
            self.end(TOO_SLOW, "Too slow")
            raise WebSocketDisconnect(self.code) from None
        except RuntimeError:
            raise WebSocketDisconnect(self.code) from None  # it closed meanwhile


AWAY = "The service cannot answer now. Subscribe again in a moment."


def _credential_in(payload: Any) -> str:
    """The credential of `connection_init`, as the header would have it; empty for none."""
    given = payload if isinstance(payload, dict) else {}
    found = next((value for name, value in given.items() if name.lower() == "authorization"), "")
    return found if isinstance(found, str) else ""


async def _open(websocket: WebSocket) -> None:
    settings, live = websocket.app.state.settings, websocket.app.state.live
    origin = websocket.headers.get("origin")
    if origin is not None and origin not in (*settings.cors_origins, settings.base_url):
        await websocket.close()  # before the handshake ends: 403
        return
    socket, started = Socket(websocket), time.perf_counter()
    if len(live.opened) >= settings.sockets_max:
        await websocket.close()
        return
    live.opened.add(socket)
    try:
        await socket.run()
    finally:
        live.opened.discard(socket)
        by = getattr(socket, "principal", None)
        log.info(
            "socket",
            code=socket.code,
            seconds=round(time.perf_counter() - started, 1),
            address=websocket.scope["holdfast.address"],
            tenant=str(by.tenant_id) if by else None,
            actor=str(by.id) if by else None,
        )


ROUTES = [WebSocketRoute("/graphql", _open)]
