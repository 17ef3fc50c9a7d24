"""Incidents: report, list, read, edit, move."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from fastapi import Query
from pydantic import Field, StringConstraints
from starlette.responses import Response

from api.calls import Call
from api.fields import AllowedTransition, In, Instant, JsonObject, Name, Out, Overrides, Reason, Text, Word
from api.lists import answer_page, with_parts
from api.rest.steps import Step
from api.routing import declares, router
from api.shapes import shape_of
from app.answers import Answer, answer
from app.authentication import Principal
from app.database import Db
from app.incidents import (
    change_incident,
    check_if_match,
    incident_ref,
    require,
)
from app.listing import read_counts
from app.playbooks import asked_for
from app.reading import read_one
from domain.changes import Change
from domain.discovery import move_discovery
from domain.documentation import set_document
from domain.doings import require_reason
from domain.glossary import DiscoveryMethod, DocumentState, IncidentStatus, Involvement, Precision, Severity
from domain.incidents import HeaderEdit, IncidentCommand, edit_header, transition_incident
from domain.participants import name_person_concerned
from domain.severities import adjust_severity
from domain.workflows import WorkflowStatus

routes = router("Incidents")

Number = Annotated[str, StringConstraints(max_length=60)]


class PersonOrText(Out):
    """A person of the tenant by id, or somebody else in words."""

    id: UUID | None
    name: str | None


class PlaybookOf(Out):
    """The playbook version an incident pins."""

    slug: str
    version: str
    title: str
    hash: str


class AssigneeOf(Out):
    """The person an incident is assigned to."""

    id: UUID
    name: str


class ParticipantOf(Out):
    """Somebody with a part in the incident."""

    person_id: UUID
    name: str | None
    roles: list[str]
    involvement: Involvement


class Reference(Out):
    """A ticket or alert elsewhere that is this incident."""

    system: str
    instance: str
    id: str
    key: str | None
    url: str | None


class DocumentationOf(Out):
    """The state of one documentation item."""

    id: str
    name: str
    state: DocumentState
    missing: list[JsonObject]


class Summary(Out):
    """An incident in a list."""

    id: UUID
    number: str
    version: int
    exercise: bool
    status: IncidentStatus
    severity: Severity
    title: str
    playbook_slug: str | None
    suggested_playbook: JsonObject | None
    discovered_at: datetime
    reported_at: datetime
    declared_at: datetime | None
    closed_at: datetime | None
    client_ids: list[UUID]
    labels: list[str]
    assignee_id: UUID | None
    current_step: str | None
    next_due_at: datetime | None
    sla_state: str | None


class Incident(Out):
    """One incident, whole."""

    id: UUID
    number: str
    version: int
    exercise: bool
    status: IncidentStatus
    severity: Severity
    severity_basis: JsonObject | None
    severity_highest: Severity | None
    severity_adjustment: JsonObject | None
    severity_hint: str | None
    playbook: PlaybookOf | None
    suggested_playbook: JsonObject | None
    primary_risk: str | None
    title: str
    summary: str | None
    impact_types: list[str]
    ai_elements: list[str]
    labels: list[str]
    discovered_at: datetime
    discovered_at_precision: Precision
    discovered_by: PersonOrText
    discovery_method: DiscoveryMethod | None
    reported_at: datetime
    triage_due_at: datetime
    acknowledged_at: datetime | None
    declared_at: datetime | None
    contained_at: datetime | None
    closed_at: datetime | None
    rejected_at: datetime | None
    disposition: str | None
    workflow_status: WorkflowStatus | None
    hold: JsonObject | None
    close_asked: JsonObject | None
    client_ids: list[UUID]
    assignee: AssigneeOf | None
    participants: list[ParticipantOf]
    person_concerned: str | None
    person_concerned_id: UUID | None
    facts: dict[str, JsonObject]
    external_references: list[Reference]
    current_step: str | None
    next_due_at: datetime | None
    sla_state: str | None
    provisional_deadlines: list[JsonObject]
    server_time: datetime
    allowed_transitions: list[AllowedTransition]
    steps: list[Step]
    documentation: list[DocumentationOf]


EXPANSIONS = ("steps", "documentation", "participants", "external_references")


class IncidentPage(Out):
    """A page of incidents."""

    items: list[Summary]
    next_cursor: str | None
    server_time: datetime


async def read_incident(db: Db, principal: Principal, incident_id: UUID | str) -> str | None:
    """The whole incident as JSON text."""
    by = "number" if isinstance(incident_id, str) else ""
    return await read_one(db, "incident", shape_of(Incident, "incident"), incident_id, principal, by=by)


async def answer_incident(db: Db, principal: Principal, incident_id: UUID, version: int) -> Answer:
    """The whole incident as the answer of a write."""
    return answer(await read_incident(db, principal, incident_id), version=version)


class IncidentEdit(In):
    """What may change in the header; absent members stay. `facts` are merged, `ai_systems` replaces D03."""

    title: Name | None = None
    summary: Text | None = None
    client_ids: Annotated[list[UUID], Field(max_length=200)] | None = None
    ai_systems: Annotated[list[JsonObject], Field(max_length=50)] | None = None
    ai_elements: Annotated[list[Name], Field(max_length=50)] | None = None
    impact_types: Annotated[list[Name], Field(max_length=50)] | None = None
    facts: Annotated[dict[str, Any], Field(max_length=60)] | None = None
    labels: Annotated[list[Word], Field(max_length=50)] | None = None
    person_concerned: Literal["person", "outside", "none", "unknown"] | None = None
    person_concerned_id: UUID | None = None
    person_concerned_note: Reason | None = None
    discovered_at: Instant | None = None
    discovered_at_precision: Precision | None = None
    severity: Severity | None = None
    reason: Reason | None = None


HEADER = ("title", "summary", "client_ids", "labels", "ai_elements", "impact_types")


def apply_edit(change: Change, body: IncidentEdit) -> None:
    """Make the changes a caller sent. Raises Forbidden, Conflict or Invalid."""
    declared = change.record.incident.declared_at is not None
    facts_only = body.model_fields_set <= {"facts", "summary", "reason"}
    before = "incident.edit_reported" if not declared else "incident.edit"
    require(change, before, *(["incident.edit_facts"] if facts_only else []))
    given = {name: value for name in HEADER if (value := getattr(body, name)) is not None}
    edit_header(change, HeaderEdit(**given, facts=body.facts or {}, reason=body.reason))
    if body.ai_systems is not None:
        set_document(change, "D03", {"entries": body.ai_systems}, "/ai_systems")
    if body.discovered_at is not None or body.discovered_at_precision is not None:
        at = body.discovered_at or change.record.incident.discovered_at
        move_discovery(change, at, body.discovered_at_precision, body.reason)
    if body.person_concerned is not None or body.person_concerned_id is not None:
        who = body.person_concerned or "person"
        name_person_concerned(change, who, body.person_concerned_id, body.person_concerned_note, body.reason)
    if body.severity is not None:
        require(change, "severity.raise")
        adjust_severity(change, body.severity, require_reason(body.reason, "set a severity"))


@routes.patch(
    "/incidents/{incident_id}",
    **declares(("incident.edit_reported", "incident.edit", "incident.edit_facts"), answer=Incident, refuses=[409, 412]),
)
async def edit(call: Call, incident_id: str, body: IncidentEdit) -> Response:
    """Edit the header and the facts; severity, requirements, obligations and deadlines follow."""

    def apply(change: Change) -> None:
        check_if_match(change, call.if_match)
        apply_edit(change, body)

    async def use_case(db: Db, principal: Principal) -> Answer:
        record = await change_incident(db, principal, incident_ref(incident_id), apply)
        return await answer_incident(db, principal, record.incident.id, record.incident.version)

    return await call.write(None, use_case)


class IncidentTransition(In):
    """What to do with the incident. `declare` and `reclassify` take a playbook; `reject` a disposition and a reason."""

    transition: Literal["acknowledge", "declare", "reclassify", "hold", "resume", "reject", "reopen"]
    playbook: Word | None = None
    primary_risk: Word | None = None
    disposition: Word | None = None
    reason: Reason | None = None
    waiting_for: Name | None = None
    action_ids: Annotated[list[Word], Field(default_factory=list, max_length=100)]
    overrides: Overrides


@routes.post(
    "/incidents/{incident_id}/transitions",
    **declares(
        tuple(f"incident.{t}" for t in ("acknowledge", "declare", "reclassify", "hold", "resume", "reject", "reopen")),
        answer=Incident,
        refuses=[409],
    ),
)
async def transition(call: Call, incident_id: str, body: IncidentTransition) -> Response:
    """Acknowledge, declare, hold, resume, reject, reclassify or reopen."""
    given = body.model_dump(exclude={"playbook"})

    def apply(change: Change) -> None:
        suggested = (change.record.incident.suggested_playbook or {}).get("slug")
        slug = body.playbook or (suggested if body.transition == "declare" else None)
        command = msgspec.structs.replace(msgspec.convert(given, IncidentCommand), playbook=asked_for(slug))
        transition_incident(change, command)

    async def use_case(db: Db, principal: Principal) -> Answer:
        record = await change_incident(db, principal, incident_ref(incident_id), apply)
        return await answer_incident(db, principal, record.incident.id, record.incident.version)

    return await call.write(None, use_case)


class Counts(Out):
    """How many there are, in all and for each combination of the groups asked for."""

    total: int
    counts: list[JsonObject]


@routes.get("/incidents/counts", **declares("incident.read", answer=Counts))
async def counts(call: Call, group_by: Annotated[str, Query(max_length=100)] = "status") -> Response:
    """How many incidents there are, by status, severity, playbook or client."""
    return await call.read("incident.read", lambda db, principal: read_counts(db, "incident", group_by.split(",")))


@routes.get("/incidents/{incident_id}", **declares("incident.read", answer=Incident))
async def read(call: Call, incident_id: str) -> Response:
    """One incident, whole."""
    ref = incident_ref(incident_id)
    return await call.read("incident.read", lambda db, principal: read_incident(db, principal, ref))


@routes.get("/incidents", **declares("incident.read", answer=IncidentPage))
async def page(
    call: Call,
    status: Annotated[list[IncidentStatus] | None, Query(max_length=20)] = None,
    severity: Annotated[list[Severity] | None, Query(max_length=10)] = None,
    playbook: Annotated[list[str] | None, Query(max_length=20)] = None,
    client_id: UUID | None = None,
    control: Annotated[str | None, Query(max_length=10)] = None,
    sla_state: Annotated[list[str] | None, Query(max_length=5)] = None,
    assignee: UUID | None = None,
    label: Annotated[list[str] | None, Query(max_length=10)] = None,
    q: Annotated[str | None, Query(max_length=500)] = None,
    discovered_from: Instant | None = None,
    discovered_to: Instant | None = None,
    reported_from: Instant | None = None,
    reported_to: Instant | None = None,
    external_id: Annotated[str | None, Query(max_length=500)] = None,
    exercise: bool | None = None,
    sort: Annotated[str | None, Query(max_length=30)] = None,
    cursor: Annotated[str | None, Query(max_length=1_000)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    expand: Annotated[list[str] | None, Query(max_length=10)] = None,
) -> Response:
    """A page of incidents, newest number first. `expand` adds steps, documentation, participants, references."""
    filters = {name: value for name, value in locals().items() if name in FILTERS and value is not None}
    shape = with_parts(shape_of(Summary, "incident"), shape_of(Incident, "incident"), expand or (), EXPANSIONS)
    return await answer_page(
        call, "incident.read", "incident", Summary, filters, sort=sort, cursor=cursor, limit=limit, shape=shape
    )


FILTERS = frozenset(
    [
        "status",
        "severity",
        "playbook",
        "client_id",
        "control",
        "sla_state",
        "assignee",
        "label",
        "q",
        "discovered_from",
        "discovered_to",
        "reported_from",
        "reported_to",
        "external_id",
        "exercise",
    ]
)
