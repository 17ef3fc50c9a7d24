"""Exceptions: overrides, skips, late entries, corrections of incidents, and late reviews of the registers."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query
from starlette.responses import Response

from api.calls import Call
from api.fields import Instant, JsonObject, Out
from api.routing import declares, router
from api.shapes import shape_of
from api.showing import inside
from api.showing import listed as listed_page
from app.authentication import Principal
from app.database import Db
from app.incidents import incident_ref, visible_incident
from app.reading import read_all

routes = router("Exceptions")


class ExceptionEntry(Out):
    """A deviation with who, when and why."""

    id: UUID
    kind: str
    gate: str | None
    step_id: str | None
    action_id: str | None
    person_id: UUID | None
    reason: str
    at: datetime
    details: JsonObject | None


@routes.get("/incidents/{incident_id}/exceptions", **declares("incident.read", answer=list[ExceptionEntry]))  # type: ignore[arg-type]
async def listed(call: Call, incident_id: str) -> Response:
    """Every deviation of an incident, in time order."""

    async def query(db: Db, principal: Principal) -> str:
        found = await visible_incident(db, incident_ref(incident_id))
        return await read_all(db, "exception", shape_of(ExceptionEntry, "exception"), {"incident": found}, principal)

    return await call.read("incident.read", query)


class ExceptionIncident(Out):
    """The incident of an exception; both null for a late review."""

    id: UUID | None
    number: str | None


class AuditException(Out):
    """A deviation of an incident, or a late review (`late_review`) of an entry of the register of risks or tools."""

    id: str
    kind: str
    source: Literal["incident", "risk", "tool"]
    exercise: bool
    incident: ExceptionIncident
    risk_id: UUID | None
    tool_id: UUID | None
    gate: str | None
    step_id: str | None
    action_id: str | None
    person_id: UUID | None
    reason: str
    details: JsonObject | None
    at: datetime


class AuditExceptionPage(Out):
    """A page of exceptions, oldest first."""

    items: list[AuditException]
    next_cursor: str | None


@routes.get("/audit/exceptions", **declares("audit.read", answer=AuditExceptionPage))
async def page(
    call: Call,
    period_start: Instant | None = None,
    period_end: Instant | None = None,
    kind: Annotated[list[str] | None, Query(max_length=20)] = None,
    source: Annotated[list[Literal["incident", "risk", "tool"]] | None, Query(max_length=3)] = None,
    exercises: bool = False,
    cursor: Annotated[str | None, Query(max_length=1_000)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Every deviation of a half-open period, by when it happened: those of incidents, and reviews of the registers that
    fell due undone. Drills are left out without `exercises`. CSV by `Accept`."""
    filters = {
        "from": period_start,
        "to": period_end,
        "kind": kind,
        "source": source,
        "exercise": None if exercises else False,
    }
    return await listed_page(
        call, "audit.read", "audit_exception", AuditException, filters, cursor=cursor, limit=limit, narrow=inside
    )
