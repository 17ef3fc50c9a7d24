"""Actions: the checklist of each step, with typed inputs, outcomes and what may be done next."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from pydantic import Field
from starlette.responses import Response

from api.calls import Call
from api.fields import AllowedTransition, In, IncidentBrief, Instant, JsonObject, Out, Overrides, Reason, Text
from api.routing import declares, router
from api.shapes import shape_of
from app.answers import Answer, answer
from app.authentication import Principal
from app.database import Db
from app.incidents import change_incident, incident_ref
from app.links import transition_and_tie
from app.proposed_inputs import read_proposed_inputs
from app.reading import read_matching
from domain.actions import ActionCommand, transition_action
from domain.glossary import ActionStatus, ActionType, Requirement

routes = router("Actions")


class Approval(Out):
    """Who approved an outcome, in which role."""

    person_id: UUID
    role: str
    outcome: str | None
    note: str | None
    at: datetime


class Action(Out):
    """One action of a step. `inputs` carry a JSON Schema each, so that a form draws itself.

    `approvals_from` are the roles that each have to approve, by different persons, and `approvals_when` the outcomes
    for which they are asked (none named: for all). `opens` names the playbook of the incident that completing it opens.
    """

    id: str
    text: str
    type: ActionType
    requirement: Requirement
    status: ActionStatus
    inputs: list[JsonObject]
    outcomes: list[str]
    outcome: str | None
    fills: list[str]
    role: str | None
    closing: bool
    approvals_from: list[str]
    approvals_when: list[str]
    opens: JsonObject | None
    source: str
    basis: str | None
    values: JsonObject | None
    note: str | None
    reason: str | None
    due_at: datetime | None
    occurred_at: datetime | None
    recorded_at: datetime | None
    performed_by: UUID | None
    recorded_by: UUID | None
    late_entry: bool
    evidence_ids: list[UUID]
    approvals: list[JsonObject]
    allowed_transitions: list[AllowedTransition]


class StepOfAction(Out):
    """The step of an action, as a transition answers it."""

    id: str
    status: str
    allowed_transitions: list[AllowedTransition]


class LinkedIncident(Out):
    """An incident that an action opened or tied."""

    linked_incident_id: UUID
    number: str
    status: str


class ActionAnswer(Action):
    """A changed action with its step, its incident, and the incidents it opened or tied."""

    linked_incidents: list[LinkedIncident]
    step: StepOfAction
    incident: IncidentBrief


class ActionTransition(In):
    """What to do with an action. `inputs` are named in the action; `outcome` is one of its outcomes.

    `linked_incident` (id or number) ties an incident that exists already, where the action would open a new one.
    """

    transition: Literal["complete", "approve", "skip", "unavailable", "reopen"]
    inputs: Annotated[dict[str, Any], Field(default_factory=dict, max_length=50)]
    outcome: Annotated[str, Field(max_length=100)] | None = None
    note: Text | None = None
    evidence_ids: Annotated[list[UUID], Field(default_factory=list, max_length=100)]
    reason: Reason | None = None
    occurred_at: Instant | None = None
    performed_by: UUID | None = None
    overrides: Overrides
    linked_incident: Annotated[str, Field(min_length=1, max_length=60)] | None = None


class ProposedInput(Out):
    """What the directory of AI services proposes for one input; of an object the members that are known. `service` is
    the entry it comes from, known `as_of` then with that confidence."""

    action_id: str
    input: str
    value: Any
    service: str
    as_of: str
    confidence: Literal["high", "medium", "low"]


class ProposedInputs(Out):
    """Proposals for the actions that are still open."""

    items: list[ProposedInput]


OPERATIONS = ("action.complete", "decision.approve", "action.skip", "action.unavailable", "action.reopen")


@routes.post(
    "/incidents/{incident_id}/actions/{action_id}/transitions",
    **declares(OPERATIONS, answer=ActionAnswer, refuses=[409]),
)
async def transition(call: Call, incident_id: str, action_id: str, body: ActionTransition) -> Response:
    """Complete, approve, skip or reopen an action, or mark evidence as unavailable."""
    command = msgspec.convert(body.model_dump(exclude={"linked_incident"}), ActionCommand)

    async def use_case(db: Db, principal: Principal) -> Answer:
        ref = incident_ref(incident_id)
        if body.linked_incident is not None:
            other = incident_ref(body.linked_incident)
            record = await transition_and_tie(db, principal, ref, other, action_id, command)
        else:
            record = await change_incident(
                db, principal, ref, lambda change: transition_action(change, action_id, command)
            )
        filters = {"incident": record.incident.id, "id": action_id}
        return answer(await read_matching(db, "action", shape_of(ActionAnswer, "action"), filters, principal))

    return await call.write(None, use_case)


@routes.get("/incidents/{incident_id}/proposed-inputs", **declares("incident.read", answer=ProposedInputs))
async def proposed_inputs(call: Call, incident_id: str) -> Response:
    """What may be filled in beforehand, from the AI services that D03 names: nothing is written until a person sends
    it."""
    return await call.read("incident.read", lambda db, _: read_proposed_inputs(db, incident_ref(incident_id)))
