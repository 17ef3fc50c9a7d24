"""Steps: strict order against the clock."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from starlette.responses import Response

from api.calls import Call
from api.fields import AllowedTransition, In, IncidentBrief, Instant, JsonObject, Out, Overrides, Reason
from api.rest.actions import Action
from api.routing import declares, router
from api.shapes import shape_of
from app.answers import Answer, answer
from app.authentication import Principal
from app.database import Db
from app.incidents import Apply, change_incident, incident_ref, require
from app.reading import read_matching
from domain.changes import Change
from domain.glossary import SlaState, StepStatus
from domain.steps import StepCommand, assign_step, transition_step

routes = router("Steps")


class Sla(Out):
    """A step against its deadline: `state` by when it happened, `recorded_state` by when it was recorded."""

    clock_started_at: datetime
    at_risk_at: datetime
    due_at: datetime
    state: SlaState
    recorded_state: SlaState | None


class Step(Out):
    """One step with its actions. `added_roles` own it beside `owner_roles` while a fact of the incident says so."""

    id: str
    position: int
    phase: str
    title: str
    summary: str
    owner_roles: list[str]
    added_roles: list[str]
    assignee: UUID | None
    status: StepStatus
    sla: Sla
    controls: list[str]
    controls_suggested: list[str]
    started_at: datetime | None
    completed_at: datetime | None
    completed_occurred_at: datetime | None
    completed_by: UUID | None
    skipped_at: datetime | None
    late_entry: bool
    reopened_by: str | None
    first_result: JsonObject | None
    earlier_deadlines: list[JsonObject]
    allowed_transitions: list[AllowedTransition]
    actions: list[Action]


class StepAnswer(Step):
    """A changed step with its incident."""

    incident: IncidentBrief


class StepTransition(In):
    """Complete or skip a step. Work starts a step by itself. `occurred_at` defaults to now."""

    transition: Literal["complete", "skip"]
    reason: Reason | None = None
    occurred_at: Instant | None = None
    performed_by: UUID | None = None
    overrides: Overrides


class StepAssignment(In):
    """Who is to do it."""

    person_id: UUID


@routes.post(
    "/incidents/{incident_id}/steps/{step_id}/transitions",
    **declares(("step.complete", "step.skip"), answer=StepAnswer, refuses=[409]),
)
async def transition(call: Call, incident_id: str, step_id: str, body: StepTransition) -> Response:
    """Complete or skip a step."""
    command = msgspec.convert(body.model_dump(), StepCommand)
    return await _write(call, incident_id, step_id, lambda change: transition_step(change, step_id, command))


@routes.post(
    "/incidents/{incident_id}/steps/{step_id}/assign",
    **declares("step.assign", answer=StepAnswer, refuses=[409]),
)
async def assign(call: Call, incident_id: str, step_id: str, body: StepAssignment) -> Response:
    """Give a step to a person, who becomes an actor of it."""

    def apply(change: Change) -> None:
        require(change, "step.assign")
        assign_step(change, step_id, body.person_id)

    return await _write(call, incident_id, step_id, apply)


async def _write(call: Call, incident_id: str, step_id: str, apply: Apply) -> Response:
    async def use_case(db: Db, principal: Principal) -> Answer:
        record = await change_incident(db, principal, incident_ref(incident_id), apply)
        filters = {"incident": record.incident.id, "id": step_id}
        return answer(await read_matching(db, "step", shape_of(StepAnswer, "step"), filters, principal))

    return await call.write(None, use_case)
