"""Reports: the first that anybody says of an incident, by POST or by the reference a system knows it under."""

from functools import partial
from typing import Annotated, Any
from uuid import UUID

import msgspec
from pydantic import Field, StringConstraints, model_validator
from starlette.responses import Response

from api.calls import Call
from api.fields import In, Instant, JsonObject, Name, Text, Url, Word
from api.rest.incidents import Incident, IncidentEdit, answer_incident, apply_edit, read_incident
from api.routing import declares, router
from app.answers import Answer, answer
from app.authentication import Principal
from app.database import Db
from app.incidents import change_incident, find_by_reference, lock_reference, open_and_read
from domain.changes import Change
from domain.glossary import DiscoveryMethod, Precision
from domain.refusals import Conflict
from domain.reporting import Reference as KnownReference
from domain.reporting import Report, add_reference

routes = router("Incidents")


class ReferenceIn(In):
    """A ticket or alert elsewhere."""

    system: Word
    id: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    instance: Word = "-"
    key: Annotated[str, StringConstraints(max_length=500)] | None = None
    url: Url | None = None


class ReportIn(In):
    """A report. Only `title` or `summary` is required; with a playbook that the caller may declare, it is declared."""

    title: Name | None = None
    summary: Text | None = None
    playbook: Word | None = None
    discovered_at: Instant | None = None
    discovered_at_precision: Precision | None = None
    discovered_by: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    discovery_method: DiscoveryMethod | None = None
    client_ids: Annotated[list[UUID], Field(default_factory=list, max_length=200)]
    ai_systems: Annotated[list[JsonObject], Field(default_factory=list, max_length=50)]
    ai_elements: Annotated[list[Name], Field(default_factory=list, max_length=50)]
    facts: Annotated[dict[str, Any], Field(default_factory=dict, max_length=60)]
    labels: Annotated[list[Word], Field(default_factory=list, max_length=50)]
    person_concerned_id: UUID | None = None
    primary_risk: Word | None = None
    external_references: Annotated[list[ReferenceIn], Field(default_factory=list, max_length=20)]
    exercise: bool = False

    @model_validator(mode="after")
    def _says_something(self) -> "ReportIn":
        if self.title is None and self.summary is None:
            raise ValueError("give a title or a summary")
        return self


@routes.post(
    "/incidents",
    **declares(("incident.report", "incident.report_declaring"), answer=Incident, status=201, refuses=[409]),
)
async def report(call: Call, body: ReportIn) -> Response:
    """Report an incident."""
    given = msgspec.convert(body.model_dump(), Report)

    async def use_case(db: Db, principal: Principal) -> Answer:
        return await _opened(db, principal, given)

    return await call.write("incident.report", use_case)


@routes.put(
    "/incidents/by-reference/{system}/{instance}/{external_id:path}",
    **declares(("incident.report", "incident.edit", "incident.edit_facts"), answer=Incident, also=201, refuses=[409]),
)
async def upsert(call: Call, system: str, instance: str, external_id: str, body: ReportIn) -> Response:
    """Create or update the incident that carries this external reference; absent members stay as they are."""
    named = ReferenceIn(system=system, instance=instance, id=external_id)

    async def use_case(db: Db, principal: Principal) -> Answer:
        await lock_reference(db, system, instance, external_id)
        found = await find_by_reference(db, system, instance, external_id)
        if found is None:
            others = [
                r for r in body.external_references if (r.system, r.instance, r.id) != (system, instance, external_id)
            ]
            whole = body.model_copy(update={"external_references": [named, *others]})
            return await _opened(db, principal, msgspec.convert(whole.model_dump(), Report))
        record = await change_incident(db, principal, found, lambda change: _update(change, body))
        return await answer_incident(db, principal, found, record.incident.version)

    return await call.write("incident.report", use_case)


async def _opened(db: Db, principal: Principal, given: Report) -> Answer:
    """Open an incident; the whole of it as the answer."""
    incident_id, text = await open_and_read(db, principal, given, partial(read_incident, db, principal))
    return answer(text, status=201, location=f"/v1/incidents/{incident_id}", version=1)


def _update(change: Change, body: ReportIn) -> None:
    incident = change.record.incident
    if incident.status in ("closed", "rejected"):
        current = {"id": str(incident.id), "number": incident.number, "status": incident.status}
        raise Conflict(f"{incident.number} is {incident.status}.", code="incident-closed", current=current)
    sent = body.model_fields_set
    apply_edit(change, IncidentEdit(**{n: getattr(body, n) for n in sent if n in IncidentEdit.model_fields}))
    known = {(r.system, r.instance, r.external_id) for r in change.record.external_references.values()}
    for reference in body.external_references:
        if (reference.system, reference.instance, reference.id) not in known:
            add_reference(change, msgspec.convert(reference.model_dump(), KnownReference))
