"""Obligations: candidate duties to notify, their clocks, and the decisions people made. Not legal advice."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from starlette.responses import Response

from api.calls import Call
from api.fields import In, IncidentBrief, Instant, JsonObject, Name, Out, Overrides, Reason
from api.routing import declares, router
from api.shapes import shape_of
from app.answers import Answer, answer
from app.authentication import Principal
from app.database import Db
from app.incidents import change_incident, incident_ref, visible_incident
from app.reading import read_all, read_matching
from domain.duties import DutyDecision, decide_duty
from domain.glossary import ObligationDecision, ObligationOutcome

routes = router("Obligations")


class Obligation(Out):
    """One candidate duty. Decision support, not legal advice: a person decides, whatever `outcome` says."""

    id: UUID
    rule_id: str
    rule_version: str
    client_id: UUID | None
    toward: str
    outcome: ObligationOutcome
    because: list[str | JsonObject]
    missing_facts: list[str]
    recipient: str
    channel: str | None
    content_requirements: list[str]
    citation: str
    as_of: str
    confidence: str
    clock_event: str | None
    clock_started_at: datetime | None
    pending_clock: bool
    due_at: datetime | None
    guideline_due_at: datetime | None
    decision: ObligationDecision
    state: str
    rationale: str | None
    opinion_reference: str | None
    decided_by: UUID | None
    decided_at: datetime | None
    notified_at: datetime | None
    carried_follow_up_id: UUID | None
    disclaimer: str


class ObligationAnswer(Obligation):
    """A decided obligation with its incident."""

    incident: IncidentBrief


class DecisionIn(In):
    """What a person decides. `notify` may be carried to a follow-up where it falls due after the last step (C4)."""

    decision: Literal["notify", "not_required", "waived_by_counsel"]
    rationale: Reason | None = None
    opinion_reference: Name | None = None
    carry_owner_id: UUID | None = None
    carry_due_at: Instant | None = None
    overrides: Overrides


@routes.get("/incidents/{incident_id}/obligations", **declares("obligation.read", answer=list[Obligation]))  # type: ignore[arg-type]
async def listed(call: Call, incident_id: str, not_triggered: bool = False) -> Response:
    """Candidate duties of an incident; those not triggered only on request."""
    outcomes = [o.value for o in ObligationOutcome if not_triggered or o != ObligationOutcome.NOT_TRIGGERED]

    async def query(db: Db, principal: Principal) -> str:
        found = await visible_incident(db, incident_ref(incident_id))
        filters = {"incident": found, "outcome": outcomes}
        return await read_all(db, "obligation", shape_of(Obligation, "obligation"), filters, principal)

    return await call.read("obligation.read", query)


@routes.post(
    "/incidents/{incident_id}/obligations/{obligation_id}/decision",
    **declares(
        ("obligation.notify", "obligation.not_required", "obligation.waive"), answer=ObligationAnswer, refuses=[409]
    ),
)
async def decide(call: Call, incident_id: str, obligation_id: UUID, body: DecisionIn) -> Response:
    """Decide an obligation: notify, not required (with rationale), or waived by counsel (with the opinion)."""
    decision = msgspec.convert(body.model_dump(), DutyDecision)

    async def use_case(db: Db, principal: Principal) -> Answer:
        record = await change_incident(
            db, principal, incident_ref(incident_id), lambda change: decide_duty(change, str(obligation_id), decision)
        )
        filters = {"incident": record.incident.id, "id": obligation_id}
        shape = shape_of(ObligationAnswer, "obligation")
        return answer(await read_matching(db, "obligation", shape, filters, principal))

    return await call.write(None, use_case)
