"""The door of deliveries: one address per source, whose token is the first credential and often the only one.

Many senders stop for good after an error, so content never leads to one: 401 for a stranger, 413 for a body that is too
large, 429 for a flood, else 202 with what became of it. A sender that only asks whether the address works is answered
as it wishes.
"""

import re
import time
from collections.abc import Callable, Coroutine
from typing import Any, Literal
from urllib.parse import parse_qsl
from uuid import UUID

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.bodies import declared_length, read_parts
from api.calls import JSON
from api.doorkeeper import MALFORMED_FACTOR, Doorkeeper
from api.errors import BodyTimeout, RateLimited, TooLarge, request_id
from api.fields import Out
from api.problems import problem_of
from api.routing import StrictRoute
from app.certificates import Certificates
from app.deliveries import NotAuthentic, Receipt, knows, receive
from app.limits import Limiter
from app.secrets import Claim, parse_hook_token
from app.settings import Settings
from app.source_files import Keeping
from app.source_lookups import SourceLookups
from app.sources import Source
from domain.signatures import Received


class HookRoute(StrictRoute):
    """A route that takes whatever comes: what it means is for the source to say."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint with the token of the address, and nothing else read before it."""
        endpoint = self.endpoint

        async def answer(request: Request) -> Response:
            response: Response = await endpoint(request, request.path_params["token"])
            return response

        return answer


routes = APIRouter(tags=["Hooks"], redirect_slashes=False, route_class=HookRoute)

QUERY_MAX = 100  # parameters
OWN_MAX = 10_000  # sources with a limit of their own that are remembered
KNOWN_MAX = 20_000
ORIGIN = re.compile(r"[A-Za-z0-9.:*-]{1,253}")


class IncidentOf(Out):
    """The incident that a delivery reached."""

    id: UUID
    number: str
    url: str


class Taken(Out):
    """What became of a delivery."""

    delivery_id: UUID
    result: Literal["created", "updated", "noted", "duplicate", "ignored", "unmapped"]
    because: str
    incident: IncidentOf | None


class HookLimits:
    """What this process counts and remembers: wrong addresses per caller, deliveries per source, certificates."""

    def __init__(self, settings: Settings) -> None:
        self.sources = Limiter(settings.source_requests_per_minute)
        self.own: dict[tuple[UUID, int], Limiter] = {}
        self.known: dict[bytes, None] = {}  # hashes of tokens that were right: no wrong neighbour locks them out
        self.refused = Limiter(settings.refused_credentials_per_minute)
        self.certificates = Certificates()
        self.keeping = Keeping.of(settings)
        self.lookups = SourceLookups()
        self.malformed = Limiter(settings.refused_credentials_per_minute * MALFORMED_FACTOR)

    def admit(self, source: Source) -> None:
        """Count a delivery of a source that proved itself. Raises RateLimited."""
        now, limit = time.monotonic(), source.limits.get("per_minute")
        limiter = self.sources
        if limit is not None and limit < self.sources.limit:
            if len(self.own) > OWN_MAX:
                self.own.clear()
            limiter = self.own.setdefault((source.id, limit), Limiter(limit))
        verdict = limiter.take(source.id, now)
        if not verdict.allowed:
            raise RateLimited(verdict.retry_after)

    def remember(self, claim: Claim) -> None:
        """Note that a token was right."""
        if claim.hash not in self.known:
            if len(self.known) >= KNOWN_MAX:
                self.known.pop(next(iter(self.known)))
            self.known[claim.hash] = None


@routes.post(
    "/hooks/{token}",
    name="take",
    summary="Send a delivery",
    status_code=202,
    response_model=None,
    response_class=Response,
    responses={202: {"model": Taken}, 401: {"description": "No source has this address, or the proof is wrong."}},
    operation_id="hooks.take",
    openapi_extra={
        "x-public": True,
        "x-streamed": True,
        "x-refuses": [401],
        "requestBody": {"description": "What the system sends.", "content": {"*/*": {"schema": {}}}},
    },
)
async def take(request: Request, token: str) -> Response:
    """Take a delivery of a source. The body is whatever the system sends; what it means is the source's mapping."""
    keeper: Doorkeeper = request.app.state.keeper
    limits = _limits(request, keeper.settings)
    claim = _claim(request, token, limits)
    body = await _body(request, keeper.settings)
    received = Received(body=body, headers=_headers(request), query=_query(request))

    def admitted(source: Source) -> None:
        request.scope["holdfast.principal"] = source.principal
        limits.admit(source)
        limits.remember(claim)
        limits.lookups.remember(claim, source)

    try:
        if await limits.lookups.is_forged(keeper.database, keeper.vault, claim, received):
            raise NotAuthentic
        receipt = await receive(
            keeper.database,
            keeper.vault,
            claim,
            received,
            certificates=limits.certificates,
            keeping=limits.keeping,
            admitted=admitted,
        )
    except NotAuthentic as error:
        _count_refused(request, limits, claim)
        # Answered here: a flood of forged deliveries does not climb through every layer as an exception.
        request.scope["holdfast.refused"] = error.code
        return problem_of(error, 401, request_id(request))
    if receipt.handshake is not None:
        return Response(receipt.handshake, 200, None, "text/plain; charset=utf-8")
    if receipt.reply:
        return Response(_reply(receipt, keeper.settings), 200, None, JSON)
    return Response(_answer(receipt, keeper.settings), 202, None, JSON)


@routes.options("/hooks/{token}", name="ask", include_in_schema=False)
async def ask(request: Request, token: str) -> Response:
    """Whether a sender may send, as the webhook specification of CloudEvents asks it before the first delivery."""
    keeper: Doorkeeper = request.app.state.keeper
    limits = _limits(request, keeper.settings)
    claim = _claim(request, token, limits)
    source = await knows(keeper.database, keeper.vault, claim)
    if source is None:
        _count_refused(request, limits, claim)
        raise NotAuthentic
    limits.remember(claim)
    headers = {"Allow": "POST"}
    origin, rate = request.headers.get("webhook-request-origin", ""), request.headers.get("webhook-request-rate", "")
    if ORIGIN.fullmatch(origin):
        allowed = int(source.limits.get("per_minute") or limits.sources.limit)
        asked = int(rate) if rate.isascii() and rate.isdigit() and len(rate) < 10 else allowed
        headers |= {"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": str(max(min(asked, allowed), 1))}
    return Response(None, 200, headers)


def _count_refused(request: Request, limits: HookLimits, claim: Claim) -> None:
    """Note a stranger. Raises RateLimited when there were too many."""
    limits.known.pop(claim.hash, None)
    verdict = limits.refused.take(request.scope["holdfast.address"], time.monotonic())
    if not verdict.allowed:
        raise RateLimited(verdict.retry_after)


def _limits(request: Request, settings: Settings) -> HookLimits:
    state = request.app.state
    found: HookLimits | None = getattr(state, "hook_limits", None)
    if found is None:
        found = state.hook_limits = HookLimits(settings)
    return found


def _claim(request: Request, token: str, limits: HookLimits) -> Claim:
    """The token as a claim; nothing has been looked up yet. Raises NotAuthentic and RateLimited."""
    address, now = request.scope["holdfast.address"], time.monotonic()
    claim = parse_hook_token(token)
    if claim is None:
        verdict = limits.malformed.take(address, now)
        if not verdict.allowed:
            raise RateLimited(verdict.retry_after)
        raise NotAuthentic
    if claim.hash not in limits.known and (wait := limits.refused.blocked(address, now)):
        raise RateLimited(wait)
    return claim


async def _body(request: Request, settings: Settings) -> bytes:
    """The bytes as they come, whatever they claim to be. Raises TooLarge and BodyTimeout."""
    bytes_max = settings.hook_body_bytes_max
    length = declared_length(request)
    if length is not None and length > bytes_max:
        raise TooLarge(bytes_max)
    parts, size, ends_at = [], 0, time.monotonic() + settings.body_total_seconds
    async for part in read_parts(request, settings.body_stall_seconds):
        size += len(part)
        if size > bytes_max:
            raise TooLarge(bytes_max)
        if time.monotonic() > ends_at:
            raise BodyTimeout
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _headers(request: Request) -> dict[str, str]:
    """Header names in lower case; one that is given twice counts joined, as HTTP says."""
    found: dict[str, str] = {}
    for name, value in request.headers.raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _query(request: Request) -> dict[str, str]:
    raw: bytes = request.scope["query_string"]
    if not raw:
        return {}
    try:
        return dict(parse_qsl(raw.decode("latin-1"), keep_blank_values=True, max_num_fields=QUERY_MAX))
    except ValueError:
        return {}


def _reply(receipt: Receipt, settings: Settings) -> bytes:
    """What the sender shows to its user."""
    url = f"{settings.base_url}/v1/incidents/{receipt.incident_id}" if receipt.incident_id is not None else ""
    words = {"number": receipt.number or "", "result": receipt.result, "because": receipt.because, "url": url}
    members = {}
    for name, text in receipt.reply.items():
        for word, meaning in words.items():
            text = text.replace(f"{{{word}}}", meaning)
        members[name] = text.strip()
    return orjson.dumps(members)


def _answer(receipt: Receipt, settings: Settings) -> bytes:
    incident = None
    if receipt.incident_id is not None:
        url = f"{settings.base_url}/v1/incidents/{receipt.incident_id}"
        incident = {"id": str(receipt.incident_id), "number": receipt.number, "url": url}
    return orjson.dumps(
        {
            "delivery_id": str(receipt.delivery_id),
            "result": receipt.result,
            "because": receipt.because,
            "incident": incident,
        }
    )
