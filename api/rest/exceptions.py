"""Exceptions of an incident: overrides, skips, late entries, corrections. The auditor sees each of them."""

from datetime import datetime
from uuid import UUID

from starlette.responses import Response

from api.calls import Call
from api.fields import JsonObject, Out
from api.routing import declares, router
from api.shapes import shape_of
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
