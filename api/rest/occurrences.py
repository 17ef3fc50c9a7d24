"""Control occurrences for the auditor: the population of a control in a period, item by item and counted."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import orjson
from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from api.calls import Call
from api.fields import In, Out
from api.lists import CSV
from api.routing import declares, router
from api.shapes import shape_of
from app.answers import Answer, Page, answer
from app.authentication import Principal
from app.database import Db
from app.listing import csv_of
from app.occurrences import Asked, count_occurrences, list_occurrences
from domain.glossary import OccurrenceState, Severity

routes = router("Audit")

Purpose = Literal["step", "triage", "documentation"]
Basis = Literal["discovered_at", "due_at"]


class StepOfOccurrence(Out):
    """The step whose completion is the operation."""

    id: str
    title: str | None
    status: str
    completed_by: UUID | None
    late_entry: bool


class EvidenceOfOccurrence(Out):
    """A preserved file that an action of the step names; fetch it at `/v1/evidence/{id}/content`."""

    id: UUID
    action_id: str | None
    kind: str
    title: str
    sha256: str
    attached_at: datetime


class EventOfOccurrence(Out):
    """An event that proves the state; `hash` is its place in the chain of the incident's timeline."""

    seq: int
    kind: str
    occurred_at: datetime
    recorded_at: datetime
    hash: str


class Occurrence(Out):
    """One expected operation of the control: of whom, by when, and what happened.

    `purpose` is `step` for a step that cites the control, `triage` for the evaluation of a report, `documentation` for
    the complete record of a declared incident. `met_occurred_at` is when it was done, `met_at` when that was recorded;
    the state is judged by the former. `breach_at` is `due_at` with the grace of an `immediate` step.
    """

    id: UUID
    control: str
    purpose: Purpose
    state: OccurrenceState
    incident_id: UUID
    number: str
    incident_status: str
    disposition: str | None
    severity: Severity
    client_ids: list[UUID]
    exercise: bool
    playbook_slug: str | None
    step_id: str | None
    step: StepOfOccurrence | None
    expected_of: list[str]
    discovered_at: datetime
    due_at: datetime
    breach_at: datetime
    met_at: datetime | None
    met_occurred_at: datetime | None
    skipped_at: datetime | None
    voided_at: datetime | None
    evidence: list[EvidenceOfOccurrence]
    events: list[EventOfOccurrence]


class KeyLimits(Out):
    """What the key itself lets through: less than the tenant has."""

    period_from: datetime | None
    period_to: datetime | None
    client_ids: list[UUID] | None


class Population(Out):
    """Everything that decided who is in: the control, the half-open period, the field and time zone it was read in,
    the filters, and the limits of the key. Null is no limit."""

    control: str
    period_start: datetime | None
    period_end: datetime | None
    time_zone: str
    basis: Basis
    state: list[OccurrenceState] | None
    severity: list[Severity] | None
    client_id: UUID | None
    playbook: list[str] | None
    purpose: list[Purpose] | None
    exercises: bool
    key_limits: KeyLimits | None


class OccurrencePage(Out):
    """A page of the population, in the order of its basis."""

    items: list[Occurrence]
    next_cursor: str | None
    server_time: datetime
    query: Population


class States(Out):
    """How many are in each state."""

    expected: int
    met: int
    met_late: int
    breached: int
    skipped: int
    voided: int


class OccurrenceCounts(Out):
    """The population counted by state at `server_time`."""

    total: int
    states: States
    server_time: datetime
    query: Population


class PopulationQuery(In):
    """What decides who is in: days or instants, the field they are compared with, and filters."""

    period_start: Annotated[str | None, Field(max_length=40)] = None
    period_end: Annotated[str | None, Field(max_length=40)] = None
    time_zone: Annotated[str | None, Field(max_length=60)] = None
    basis: Basis = "discovered_at"
    state: Annotated[list[OccurrenceState] | None, Field(max_length=6)] = None
    severity: Annotated[list[Severity] | None, Field(max_length=4)] = None
    client_id: UUID | None = None
    playbook: Annotated[list[str] | None, Field(max_length=20)] = None
    purpose: Annotated[list[Purpose] | None, Field(max_length=3)] = None
    exercises: bool = False

    def asked(self, control: str) -> Asked:
        """The same for the use case."""
        return Asked(
            control=control,
            period_start=self.period_start,
            period_end=self.period_end,
            time_zone=self.time_zone,
            basis=self.basis,
            state=[one.value for one in self.state] if self.state else None,
            severity=[one.value for one in self.severity] if self.severity else None,
            client_id=self.client_id,
            playbook=self.playbook or None,
            purpose=[*self.purpose] if self.purpose else None,
            exercises=self.exercises,
        )


class PageQuery(PopulationQuery):
    """The same, and which part of it."""

    cursor: Annotated[str | None, Field(max_length=1_000)] = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


@routes.get("/audit/controls/{control_id}/occurrences", **declares("audit.read", answer=OccurrencePage))
async def page(call: Call, control_id: str, given: Annotated[PageQuery, Query()]) -> Response:
    """Every operation that was expected of a control in a period, whatever became of it: met, late, breached, skipped
    or voided. `period_start` and `period_end` are instants or days of `time_zone` (default: that of the tenant's
    calendar); the period is half-open, and `basis` decides who is in it. CSV by `Accept`."""
    wanted, population = call.shape or shape_of(Occurrence, "control_occurrence"), given.asked(control_id)

    async def query(db: Db, principal: Principal) -> Page | Response:
        rows, echo = await list_occurrences(
            db, principal, call.vault, population, wanted, cursor=given.cursor, limit=given.limit
        )
        shown = call.show(rows, "control_occurrence", principal)
        found = Page(f'{shown.body[:-1]},"query":{echo}}}', shown.next_cursor)
        if not call.wants_csv:
            return found
        headers = {"Link": call.next_link(found.next_cursor)} if found.next_cursor else None
        text = csv_of(orjson.loads(found.body)["items"], [part[0] for part in wanted.parts])
        return Response(text, 200, headers, CSV)

    return await call.read("audit.read", query)


@routes.get("/audit/controls/{control_id}/occurrences/counts", **declares("audit.read", answer=OccurrenceCounts))
async def counts(call: Call, control_id: str, given: Annotated[PopulationQuery, Query()]) -> Response:
    """How many of the same population are in each state. Costs as much as the period holds, not as history does."""

    async def query(db: Db, principal: Principal) -> Answer:
        return answer(orjson.dumps(await count_occurrences(db, principal, given.asked(control_id))).decode())

    return await call.read("audit.read", query)
