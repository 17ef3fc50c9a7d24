"""The events of a tenant in one order: for receivers behind firewalls, for audit streams, and for catching up."""

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

import orjson
from fastapi import Query
from pydantic import StringConstraints
from starlette.responses import Response

from api.calls import Call
from api.fields import JsonObject, Out
from api.routing import declares, router
from app.authentication import Principal
from app.database import Db
from app.event_log import read_log
from domain.timeline import instant_text
from domain.webhook_endpoints import check_types

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


@routes.get("/events", **declares("event.read", answer=EventsPage))
async def read_events(
    call: Call,
    after: Annotated[int, Query(ge=0, le=LOG_INDEX_MAX)] = 0,
    types: Annotated[list[EventType] | None, Query(max_length=100)] = None,
    stream: Annotated[str | None, Query(max_length=60)] = None,
    client_id: UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """All events that the caller may see, after a place in the log.

    `types` are types such as `step.completed`, all of one thing as in `step.*`, or `*`.
    """
    if types is not None:
        check_types(types, "/query/types")

    async def query(db: Db, principal: Principal) -> bytes:
        found = await read_log(
            db,
            principal,
            call.settings.base_url,
            after=after,
            limit=limit,
            types=types,
            stream=stream,
            client_id=client_id,
        )
        page = {"items": found.items, "next_after": found.next_after, "has_more": found.has_more}
        return orjson.dumps(page | {"server_time": instant_text(datetime.now(UTC))})

    return await call.read("event.read", query)
