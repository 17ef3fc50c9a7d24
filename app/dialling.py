"""Calling the systems behind connections: signing in, asking, and reading what an answer means."""

import asyncio
import base64
import ssl
import time
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote_plus, urlencode, urlsplit
from uuid import UUID

import httpx
import orjson
from msgspec import Struct, structs

from app.fetching import FetchFailed, Reply, Request, own_of, send
from app.settings import Settings
from domain.connections import Asked, Auth, Operation, Token, connection_system, known
from domain.expressions import TooCostly
from domain.templates import Unfillable, Written, evaluated

ANSWER_BYTES_MAX = 1024 * 1024
REQUEST_SECONDS_MAX = 15.0
TOKEN_SECONDS = 1_800.0  # where the issuer does not say how long it lasts
TOKEN_SPARE_SECONDS = 60.0  # before its end a token is asked for anew
TOKENS_MAX = 1_000
USER_AGENT = "Holdfast-Connections/1"
READING_SECONDS_MAX = 0.5  # of CPU for a list that is answered: nobody else is served meanwhile
SAID_MAX = 200  # characters of an answer that are kept
SECRET_MIN = 8  # characters that a credential has at least, to be looked for in what is shown


class Connection(Struct, frozen=True, kw_only=True):
    """A connection with its credentials opened. `account` is the name under which the system knows us."""

    id: UUID
    tenant_id: UUID
    version: int
    name: str
    system: str
    instance: str
    base_url: str
    credentials: dict[str, str]
    account: str | None = None
    last_error: str | None = None


class Replied(Struct, frozen=True):
    """What was answered: the values that the operation reads, of one thing or of each."""

    values: dict[str, Any]
    items: list[dict[str, Any]]


class CallFailed(Exception):
    """A system did not do what was asked. `kind`: `retry` may work later, `gone` names what is not there any more,
    `refused` needs a person. The message holds no credential."""

    def __init__(self, kind: Literal["retry", "gone", "refused"], said: str, reply: Reply | None = None) -> None:
        super().__init__(said)
        self.kind = kind
        self.said = said
        self.reply = reply


class Dialler:
    """Calls systems. Keeps what costs to get: the authorities that certificates are checked with, and tokens."""

    def __init__(self, settings: Settings) -> None:
        self._networks = settings.webhook_networks
        self._own = own_of(settings)
        self._authorities: ssl.SSLContext | None = None
        self._tokens: dict[tuple[UUID, UUID, int], tuple[str, float]] = {}

    async def call(self, connection: Connection, operation: str, variables: Mapping[str, Any]) -> Replied:
        """Do an operation of the connection's system. Raises CallFailed. To be called with no transaction open."""
        system = connection_system(connection.system)
        asked = system.operations.get(operation)
        if asked is None:
            raise CallFailed("refused", f"{system.title} cannot be asked for {operation}.")
        auth = system.auth_for(connection.credentials)
        given = {"connection": _told(connection), **variables}
        try:
            return await self._do(connection, auth, asked, system.headers, given)
        except Unfillable as fault:
            raise CallFailed("refused", f"{system.title}: {fault}.") from None
        except TooCostly:
            raise CallFailed("refused", f"{system.title}: its answer takes too long to read.") from None

    async def _do(
        self,
        connection: Connection,
        auth: Auth,
        operation: Operation,
        headers: Mapping[str, str],
        given: Mapping[str, Any],
    ) -> Replied:
        answers: dict[str, Any] = {}
        for asked in operation.requests:
            reply = await self._ask(connection, auth, asked, headers, {**given, **answers})
            if reply.status == httpx.codes.UNAUTHORIZED and self._forget(connection):  # the token ended before its time
                reply = await self._ask(connection, auth, asked, headers, {**given, **answers})
            kind = operation.kind(reply.status)
            if kind != "done":
                raise CallFailed(kind, f"It answered {reply.status}: {_excerpt(reply.body)}"[:SAID_MAX], reply)
            body = _json(reply)
            answers = {**answers, **({asked.name: body} if asked.name else {}), "body": body}
        return _read(operation, given, answers)

    async def _ask(
        self,
        connection: Connection,
        auth: Auth,
        asked: Asked,
        headers: Mapping[str, str],
        given: Mapping[str, Any],
    ) -> Reply:
        scope = known(given)
        query = asked.query.fill(scope) or {}
        body = None if asked.body is None else asked.body.fill(scope)
        whole = {
            **headers,
            **(asked.headers.fill(scope) or {}),
            **await self._signed_in(connection, auth),
            **({} if asked.body is None else {"Content-Type": "application/json"}),
        }
        content = b"" if asked.body is None else orjson.dumps(body)
        reply = await self._send(connection.base_url, asked.method, asked.path.fill(scope), query, whole, content)
        return reply if httpx.codes.is_success(reply.status) else _unrepeated(reply, connection, whole)

    async def _send(
        self,
        base_url: str,
        method: str,
        path: str,
        query: Mapping[str, Any],
        headers: Mapping[str, str],
        body: bytes,
    ) -> Reply:
        url = f"{base_url}{path}" + (f"?{urlencode(query)}" if query else "")
        if self._authorities is None:  # reading them takes a tenth of a second of CPU
            self._authorities = await asyncio.to_thread(httpx.create_ssl_context)
        plain = {"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "identity", **headers}
        request = Request(url=url, headers=plain, body=body, method=method)
        try:
            return await send(
                request,
                bytes_max=ANSWER_BYTES_MAX,
                seconds_max=REQUEST_SECONDS_MAX,
                networks=self._networks,
                authorities=self._authorities,
                own=self._own,
            )
        except FetchFailed as failure:
            raise CallFailed("retry", f"It cannot be reached: {failure}.") from None

    async def _signed_in(self, connection: Connection, auth: Auth) -> dict[str, str]:
        """The headers that say who we are."""
        scope = known({"credentials": connection.credentials, "connection": _told(connection)})
        headers = auth.headers.fill(scope) or {}
        if auth.basic:
            pair = ":".join(str(evaluated(one, scope)) for one in auth.basic)
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        if auth.token is not None:
            headers["Authorization"] = f"Bearer {await self._token(connection, auth.token)}"
        return headers

    async def _token(self, connection: Connection, token: Token) -> str:
        """A token of the connection, the one that is kept or a new one."""
        kept = self._tokens.get(_key(connection))
        if kept is not None and time.monotonic() < kept[1]:
            return kept[0]
        scope = known({"credentials": connection.credentials, "connection": _told(connection)})
        form = urlencode(_texts(token.form, scope)).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        query = _texts(token.query, scope)
        host = connection.base_url if token.host is None else str(evaluated(token.host, scope)).rstrip("/")
        reply = await self._send(host, "POST", token.path.fill(scope), query, headers, form)
        if reply.status != httpx.codes.OK:
            kind: Literal["retry", "refused"] = "retry" if reply.status in (429, *range(500, 600)) else "refused"
            raise CallFailed(kind, f"It gives no token: it answered {reply.status}.", reply)
        body = _json(reply)
        text = body.get("access_token") if isinstance(body, dict) else None
        if not isinstance(text, str) or not text.isascii() or not text.isprintable() or not text:
            raise CallFailed("refused", "It gives no token: its answer holds none.")
        lasts = body.get("expires_in")
        seconds = float(lasts) if isinstance(lasts, int | float) and 0 < lasts < 1e6 else TOKEN_SECONDS
        if len(self._tokens) >= TOKENS_MAX:
            self._tokens.clear()
        self._tokens[_key(connection)] = text, time.monotonic() + seconds - min(TOKEN_SPARE_SECONDS, seconds / 2)
        return text

    def _forget(self, connection: Connection) -> bool:
        """Whether there was a token that was kept, which is not now."""
        return self._tokens.pop(_key(connection), None) is not None


def _read(operation: Operation, given: Mapping[str, Any], answers: Mapping[str, Any]) -> Replied:
    """What the answers of a whole operation say."""
    if operation.each is None:
        scope = known(given, answers)
        return Replied({name: evaluated(one, scope) for name, one in operation.answer.items()}, [])
    ends_at = time.thread_time() + READING_SECONDS_MAX
    found = evaluated(operation.each, known(given, answers))
    items = []
    for item in found if isinstance(found, list) else []:
        scope = known(given, {**answers, "item": item}, ends_at=ends_at)
        if operation.where is None or evaluated(operation.where, scope) is True:
            items.append({name: evaluated(one, scope) for name, one in operation.answer.items()})
    return Replied({}, items)


def _told(connection: Connection) -> dict[str, str]:
    return {"base_url": connection.base_url, "host": urlsplit(connection.base_url).netloc, "name": connection.name}


def _key(connection: Connection) -> tuple[UUID, UUID, int]:
    return connection.tenant_id, connection.id, connection.version


def _texts(written: Written, scope: Any) -> dict[str, Any]:
    found = written.fill(scope)
    return found if isinstance(found, dict) else {}


def _json(reply: Reply) -> Any:
    try:
        return orjson.loads(reply.body) if reply.body else None
    except orjson.JSONDecodeError:
        raise CallFailed("refused", "Its answer is no JSON: is the address right?", reply) from None


def one_line(value: Any, at_most: int) -> str:
    """What somebody else's system said, as a line that may be kept and shown: printable, and no longer than this."""
    text = str(value)[: 4 * at_most]
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())[:at_most]


def _excerpt(body: bytes) -> str:
    return one_line(body[: 4 * SAID_MAX].decode("utf-8", "replace"), SAID_MAX)


def _unrepeated(reply: Reply, connection: Connection, headers: Mapping[str, str]) -> Reply:
    """A complaint without what we signed in with, which some systems repeat in it."""
    sent = [one.rpartition(" ")[2] for name, one in headers.items() if name.casefold() == "authorization"]
    secrets = [one for one in (*connection.credentials.values(), *sent) if len(one) >= SECRET_MIN]
    body = reply.body
    for secret in sorted(secrets, key=len, reverse=True):
        for written in (secret.encode(), orjson.dumps(secret)[1:-1], quote_plus(secret).encode()):
            body = body.replace(written, b"...")
    return structs.replace(reply, body=body)
