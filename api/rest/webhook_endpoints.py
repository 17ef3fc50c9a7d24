"""Webhook endpoints: where events are sent, and what became of each delivery."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Query
from pydantic import Field, StringConstraints
from starlette.responses import Response

from api.calls import Call
from api.fields import In, Instant, JsonObject, Name, Out, Url, Word
from api.routing import declares, router
from api.showing import listed, shown
from api.tickets import EventType, TicketIn
from app.answers import Answer, answer
from app.authentication import Principal
from app.database import Db
from app.webhook_endpoints import (
    change_endpoint,
    check_endpoint,
    create_endpoint,
    replay_deliveries,
    replay_delivery,
    require_delivery,
    retire_endpoint,
    rotate_endpoint,
)
from domain.expressions import TEXT_MAX

routes = router("Webhook endpoints")

EventTypes = Annotated[list[EventType], Field(min_length=1, max_length=100)]
Filter = Annotated[str, StringConstraints(min_length=1, max_length=TEXT_MAX)]
ClientIds = Annotated[list[UUID], Field(min_length=1, max_length=1_000)]
Payload = Literal["thin", "full"]
Format = Literal["standard", "cloudevents", "ocsf", "slack", "teams", "ticket"]
Status = Literal["active", "disabled"]
ShownStatus = Literal["active", "disabled", "retired"]
SettledStatus = Literal["delivered", "failed", "withheld"]
DeliveryStatus = Literal["pending", "delivered", "failed", "withheld"]


class EndpointIn(In):
    """A new endpoint. `event_types` are types such as `step.completed`, all of one thing as in `step.*`, or `*`.

    `filter` is a condition in CEL over `type`, `stream`, `origin` and `incident`; what it says no to is not sent. With
    `client_ids` only incidents are told whose clients are all among these. `payload`: `thin` says what happened to
    what, `full` what the timeline says too. `format` is the form of what is sent and stays as it is. The address of a
    channel (`slack`, `teams`) is a secret: it is kept sealed and shown without its path. With the format `ticket` there
    is `ticket` instead of `url` and `event_types`.
    """

    name: Name
    url: Url | None = None
    format: Format = "standard"
    event_types: EventTypes | None = None
    ticket: TicketIn | None = None
    filter: Filter | None = None
    client_ids: ClientIds | None = None
    payload: Payload = "thin"


class EndpointEdit(In):
    """What to change; members that are absent stay. A disabled endpoint is told nothing that happens meanwhile."""

    name: Name = Field(default="")
    url: Url = Field(default="")
    event_types: EventTypes = Field(default_factory=list)
    ticket: TicketIn | None = None
    filter: Filter | None = None
    client_ids: ClientIds | None = None
    payload: Payload = "thin"
    status: Status = "active"


class EndpointRotationIn(In):
    """How long the former secret signs beside the new one."""

    overlap_seconds: Annotated[int, Field(ge=0, le=7 * 86_400)] = 86_400


class SampleIn(In):
    """Which type of events to send a sample of."""

    event_type: Word


class ReplayIn(In):
    """Which deliveries to send again: those queued from `since` (the first that is kept) to before `until` (now), in
    these states."""

    since: Instant | None = None
    until: Instant | None = None
    statuses: Annotated[list[SettledStatus], Field(min_length=1, max_length=3)] = Field(default=["failed"])


class WebhookEndpoint(Out):
    """An endpoint. `public_key` verifies the signatures `v1a`; the secret of `v1` is never shown again.

    `confirmed_at` is when it took its first test event: before, and again at another `url`, it is told nothing else.
    `failing_since` is the first failure since the last success. `disabled_because`: `asked`, `gone` (it answered 410)
    or `failing` (nothing but failures for the whole schedule of attempts). `pending_count` deliveries wait to be sent,
    `failed_count` have no attempt left; neither is counted beyond 1,000.
    """

    id: UUID
    version: int
    name: str
    url: str
    format: Format
    connection_id: UUID | None
    ticket: JsonObject | None
    event_types: list[str]
    filter: str | None
    client_ids: list[UUID] | None
    payload: Payload
    status: ShownStatus
    disabled_because: Literal["asked", "gone", "failing"] | None
    failing_since: datetime | None
    confirmed_at: datetime | None
    pending_count: int
    failed_count: int
    public_key: str
    previous_secret_until: datetime | None
    created_by: UUID | None
    created_at: datetime
    updated_at: datetime


class EndpointWithSecret(WebhookEndpoint):
    """An endpoint with the secret that its receiver verifies `v1` with: it is shown this once."""

    secret: str


class EndpointsPage(Out):
    """One page of endpoints, oldest first."""

    items: list[WebhookEndpoint]
    next_cursor: str | None


class RequestShown(Out):
    """What was sent, without its signatures and its body: `body_sha256` and `body_bytes` tell which body it was."""

    method: str
    url: str
    headers: dict[str, str]
    body_bytes: int
    body_sha256: str


class WebhookDelivery(Out):
    """One event on its way to one endpoint. `event_id` is its `webhook-id`, the same at every attempt.

    `request` and what follows tell of the newest attempt. `withheld`: the filter or the client limit kept it back.
    `failed`: no attempt is left; it can be replayed.
    """

    id: UUID
    endpoint_id: UUID
    event_id: str
    event_type: str
    stream: str
    stream_id: UUID
    seq: int
    status: DeliveryStatus
    attempts: int
    next_attempt_at: datetime | None
    attempted_at: datetime | None
    delivered_at: datetime | None
    duration_ms: int | None
    request: RequestShown | None
    response_status: int | None
    response_excerpt: str | None
    error: str | None
    created_at: datetime


class WebhookDeliveriesPage(Out):
    """One page of deliveries, newest first."""

    items: list[WebhookDelivery]
    next_cursor: str | None


class Replayed(Out):
    """How many deliveries are sent again: at most 10,000 in one call, the oldest."""

    queued: int


ENDPOINTS = "/webhook-endpoints"


@routes.get(ENDPOINTS, summary="List webhook endpoints", **declares("endpoint.read", answer=EndpointsPage))
async def list_endpoints(
    call: Call,
    status: ShownStatus | None = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Endpoints, oldest first."""
    filters = {"status": status}
    return await listed(call, "endpoint.read", "webhook_endpoint", WebhookEndpoint, filters, cursor=cursor, limit=limit)


@routes.post(
    ENDPOINTS,
    summary="Add a webhook endpoint",
    **declares("endpoint.write", answer=EndpointWithSecret, status=201, refuses=[409]),
)
async def add_endpoint(call: Call, given: EndpointIn) -> Response:
    """Add an endpoint. The answer holds the secret to verify with, which is shown this once."""

    async def work(db: Db, principal: Principal) -> Answer:
        columns = _columns(given)
        id, secret = await create_endpoint(db, principal, columns, call.vault, call.settings)
        location = f"/v1{ENDPOINTS}/{id}"
        return await _shown(db, principal, id, status=201, location=location, more={"secret": secret})

    return await call.write("endpoint.write", work)


@routes.get(
    f"{ENDPOINTS}/{{id}}", summary="Read a webhook endpoint", **declares("endpoint.read", answer=WebhookEndpoint)
)
async def read_endpoint(call: Call, id: UUID) -> Response:
    """One endpoint."""

    async def query(db: Db, principal: Principal) -> Answer:
        return await _shown(db, principal, id)

    return await call.read("endpoint.read", query)


@routes.patch(
    f"{ENDPOINTS}/{{id}}",
    summary="Change a webhook endpoint",
    **declares("endpoint.write", answer=WebhookEndpoint, refuses=[409]),
)
async def edit_endpoint(call: Call, id: UUID, given: EndpointEdit) -> Response:
    """Change an endpoint, disable it, or activate it again. Its secret is changed by rotating it."""

    async def work(db: Db, principal: Principal) -> Answer:
        sent = _columns(given, exclude_unset=True)
        await change_endpoint(db, principal, id, sent, call.if_match, call.vault, call.settings)
        return await _shown(db, principal, id)

    return await call.write("endpoint.write", work)


@routes.delete(
    f"{ENDPOINTS}/{{id}}",
    summary="Retire a webhook endpoint",
    **declares("endpoint.write", answer=WebhookEndpoint, refuses=[409]),
)
async def retire(call: Call, id: UUID) -> Response:
    """Tell an endpoint nothing any more; what waited is `withheld`. It stays listed, as retired, with its log."""

    async def work(db: Db, principal: Principal) -> Answer:
        await retire_endpoint(db, principal, id, call.if_match)
        return await _shown(db, principal, id)

    return await call.write("endpoint.write", work)


@routes.post(
    f"{ENDPOINTS}/{{id}}/rotate",
    summary="Rotate the secret of a webhook endpoint",
    **declares("endpoint.write", answer=EndpointWithSecret, refuses=[409]),
)
async def rotate(call: Call, id: UUID, given: EndpointRotationIn) -> Response:
    """Replace secret and key pair. The former ones sign beside the new ones until the overlap ends."""

    async def work(db: Db, principal: Principal) -> Answer:
        overlap = timedelta(seconds=given.overlap_seconds)
        secret = await rotate_endpoint(db, principal, id, overlap=overlap, vault=call.vault)
        return await _shown(db, principal, id, more={"secret": secret})

    return await call.write("endpoint.write", work)


@routes.post(
    f"{ENDPOINTS}/{{id}}/test",
    summary="Send a test event",
    **declares("endpoint.write", answer=WebhookDelivery, refuses=[409]),
)
async def send_test(call: Call, id: UUID) -> Response:
    """Send an event `webhook_endpoint.tested`, whatever the endpoint listens to. The answer is its delivery."""

    async def work(db: Db, principal: Principal) -> Answer:
        delivery_id = await check_endpoint(db, principal, id)
        return await shown(db, principal, "webhook_delivery", WebhookDelivery, delivery_id)

    return await call.write("endpoint.write", work)


@routes.post(
    f"{ENDPOINTS}/{{id}}/samples",
    summary="Send a sample",
    **declares("endpoint.write", answer=WebhookDelivery, refuses=[409]),
)
async def send_sample(call: Call, id: UUID, given: SampleIn) -> Response:
    """Send a test event that looks like one of a type of the catalogue, of the incident INC-0."""

    async def work(db: Db, principal: Principal) -> Answer:
        delivery_id = await check_endpoint(db, principal, id, given.event_type)
        return await shown(db, principal, "webhook_delivery", WebhookDelivery, delivery_id)

    return await call.write("endpoint.write", work)


@routes.post(
    f"{ENDPOINTS}/{{id}}/replay",
    summary="Replay deliveries",
    **declares("endpoint.write", answer=Replayed, refuses=[409]),
)
async def replay_range(call: Call, id: UUID, given: ReplayIn) -> Response:
    """Send what was queued in a time again, with the ids that it had; unless told otherwise, what failed."""

    async def work(db: Db, principal: Principal) -> Answer:
        until = given.until or datetime.now(UTC)
        queued = await replay_deliveries(db, principal, id, given.since, until, given.statuses)
        return answer(f'{{"queued": {queued}}}')

    return await call.write("endpoint.write", work)


@routes.get(
    f"{ENDPOINTS}/{{id}}/deliveries",
    summary="List deliveries of a webhook endpoint",
    **declares("endpoint.read", answer=WebhookDeliveriesPage),
)
async def list_deliveries(
    call: Call,
    id: UUID,
    status: Annotated[list[DeliveryStatus] | None, Query(max_length=4)] = None,
    event_type: Word | None = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """What an endpoint was and is to be sent, newest first."""
    filters = {"endpoint": id, "status": status, "event_type": event_type}
    parent = ("webhook_endpoint", WebhookEndpoint, id)
    return await listed(
        call, "endpoint.read", "webhook_delivery", WebhookDelivery, filters, cursor=cursor, limit=limit, parent=parent
    )


@routes.get(
    f"{ENDPOINTS}/{{id}}/deliveries/{{delivery_id}}",
    summary="Read a delivery of a webhook endpoint",
    **declares("endpoint.read", answer=WebhookDelivery),
)
async def read_delivery(call: Call, id: UUID, delivery_id: UUID) -> Response:
    """One delivery."""

    async def query(db: Db, principal: Principal) -> Answer:
        await require_delivery(db, id, delivery_id)
        return await shown(db, principal, "webhook_delivery", WebhookDelivery, delivery_id)

    return await call.read("endpoint.read", query)


@routes.post(
    f"{ENDPOINTS}/{{id}}/deliveries/{{delivery_id}}/replay",
    summary="Replay a delivery",
    **declares("endpoint.write", answer=WebhookDelivery, refuses=[409]),
)
async def replay_one(call: Call, id: UUID, delivery_id: UUID) -> Response:
    """Send one delivery again, with the id that it had."""

    async def work(db: Db, principal: Principal) -> Answer:
        await replay_delivery(db, principal, id, delivery_id)
        return await shown(db, principal, "webhook_delivery", WebhookDelivery, delivery_id)

    return await call.write("endpoint.write", work)


def _columns(given: EndpointIn | EndpointEdit, *, exclude_unset: bool = False) -> dict[str, Any]:
    """The members that were sent; what is wanted of tickets as it is stored."""
    columns = given.model_dump(exclude_unset=exclude_unset)
    if given.ticket is not None:
        columns["ticket"] = given.ticket.model_dump(mode="json", exclude_none=True)
    return columns


async def _shown(db: Db, principal: Principal, id: UUID, **more: Any) -> Answer:
    return await shown(db, principal, "webhook_endpoint", WebhookEndpoint, id, **more)
