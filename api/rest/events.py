"""The events of a tenant in one order: for receivers behind firewalls, for audit streams, and for catching up."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import Query
from pydantic import StringConstraints
from starlette.responses import Response

from api.calls import Call, check_operation
from api.event_streams import MEDIA_TYPE, EventStreams
from api.fields import JsonObject, Out
from api.routing import declares, router
from app.authentication import Principal
from app.database import Db
from app.event_log import LogPage, Wanted, read_log
from domain.event_types import check_types
from domain.refusals import InputError, Invalid
from domain.timeline import instant_text

routes = router("Events")

EventType = Annotated[str, StringConstraints(max_length=121)]
LOG_INDEX_MAX = 2**53 - 1


class EventOrigin(Out):
    """Who did it; with `source` and `connection` a service account did, through the one that is named."""

    kind: Literal["person", "service_account", "system", "source", "connection"]
    id: UUID
    source_id: UUID | None
    connection_id: UUID | None
    external_event_id: str | None


class EventIncident(Out):
    """The incident that an event belongs to, as it is now."""

    id: UUID
    number: str
    url: str
    status: str
    severity: str | None


class LoggedEvent(Out):
    """An event. `log_index` is its place among all events of the organisation, from 1 and without a gap, `seq` the one
    in its stream. `data` is null where it was erased."""

    id: str
    type: str
    timestamp: datetime
    log_index: int
    stream: str
    stream_id: UUID
    seq: int
    incident: EventIncident | None
    origin: EventOrigin
    data: JsonObject | None


class EventsPage(Out):
    """Events in the order of the log. Read on from `next_after`; with `has_more` at once, although a page may be empty
    where nothing passed the filters."""

    items: list[LoggedEvent]
    next_after: int
    has_more: bool
    server_time: datetime


ANSWERS: dict[str, Any] = declares("event.read", answer=EventsPage)
ANSWERS["responses"][200]["content"] = {MEDIA_TYPE: {"schema": {"type": "string"}}}
LAST_EVENT_ID = "last-event-id"


@routes.get("/events", **ANSWERS)
async def read_events(
    call: Call,
    after: Annotated[int, Query(ge=0, le=LOG_INDEX_MAX)] = 0,
    types: Annotated[list[EventType] | None, Query(max_length=100)] = None,
    stream: Annotated[str | None, Query(max_length=60)] = None,
    client_id: UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """All events that the caller may see, after a place in the log.

    `types` are types such as `step.completed`, all of one thing as in `step.*`, or `*`. With
    `Accept: text/event-stream` the answer goes on as server-sent events: `id` is the `log_index`, and `Last-Event-ID`
    stands for `after`.
    """
    if types is not None:
        check_types(types, "/query/types")
    goes_on = _wants_stream(call.request.headers.get("accept", ""))
    start = _last_event_id(call.request.headers.get(LAST_EVENT_ID), after) if goes_on else after

    async def read(db: Db, principal: Principal, after: int) -> LogPage:
        check_operation("event.read", principal)
        base_url, wanted = call.settings.base_url, Wanted(types=types, stream=stream, client_id=client_id)
        return await read_log(db, principal, base_url, wanted, after=after, limit=limit)

    async def query(db: Db, principal: Principal) -> bytes | Response:
        found = await read(db, principal, start)
        if goes_on:
            streams: EventStreams = call.request.app.state.event_streams
            return streams.open(call.request, principal, found, read)
        page = {"items": found.items, "next_after": found.next_after, "has_more": found.has_more}
        return orjson.dumps(page | {"server_time": instant_text(datetime.now(UTC))})

    return await call.read("event.read", query)


def _wants_stream(accept: str) -> bool:
    """Whether a header names the media type of streams, and not to refuse it (RFC 9110 12.5.1)."""
    for one in accept.casefold().split(","):
        name, *parameters = (part.strip() for part in one.split(";"))
        if name == MEDIA_TYPE:
            return not any(part.startswith("q=") and not part[2:].strip("0.") for part in parameters)
    return False


def _last_event_id(given: str | None, after: int) -> int:
    """Where a reader goes on that was cut off. Raises Invalid for what is no place."""
    if not given:
        return after
    if not (given.isascii() and given.isdigit() and int(given[:17]) <= LOG_INDEX_MAX and len(given) < 17):
        told = "the `id` of the last event that arrived"
        raise Invalid(f"`Last-Event-ID` is {told}.", errors=[InputError("/headers/last-event-id", told)])
    return int(given)
