"""Obligations: candidate duties to notify, their clocks, and the decisions people made. Not legal advice."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from fastapi import Query
from starlette.responses import Response

from api.calls import Call, CallOfRequest
from api.fields import AllowedTransition, In, IncidentBrief, Instant, JsonObject, Name, Out, Overrides, Reason
from api.routing import declares, router
from api.shapes import shape_of
from app.answers import Answer, answer
from app.authentication import Principal
from app.database import Db
from app.incidents import Apply, change_incident, incident_ref, visible_incident
from app.reading import read_all, read_matching
from domain.duties import DutyDecision, decide_duty, delay_duty, resume_duty
from domain.glossary import ObligationDecision, ObligationOutcome, Toward
from domain.obligation_delays import DelayRequest

routes = router("Obligations")


class Obligation(Out):
    """One candidate duty. Decision support, not legal advice: a person decides, whatever `outcome` says.

    `owed_by` is `client` where the duty is the client's and not ours. While law enforcement delays the notice, `delay`
    tells who asked and `original_due_at` keeps the date that the law gives.
    """

    id: UUID
    rule_id: str
    rule_version: str
    client_id: UUID | None
    toward: Toward
    owed_by: Literal["us", "client"]
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
    original_due_at: datetime | None
    delay: JsonObject | None
    decision: ObligationDecision
    state: str
    rationale: str | None
    opinion_reference: str | None
    decided_by: UUID | None
    decided_at: datetime | None
    notified_at: datetime | None
    carried_follow_up_id: UUID | None
    allowed_transitions: list[AllowedTransition]
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
async def listed(
    call: Call,
    incident_id: str,
    include: Annotated[list[Literal["not_triggered"]] | None, Query(max_length=5)] = None,
) -> Response:
    """Candidate duties of an incident; with `include=not_triggered` those too that were looked at and not triggered."""
    wanted = [o for o in ObligationOutcome if include or o != ObligationOutcome.NOT_TRIGGERED]
    outcomes = [o.value for o in wanted]

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

    return await _changed(
        call, incident_id, obligation_id, lambda change: decide_duty(change, str(obligation_id), decision)
    )


class DelayIn(In):
    """A request of law enforcement to hold a notice back: who asked, under which reference, until when if they said."""

    requested_by: Name
    reference: Name | None = None
    until: Instant | None = None


@routes.put(
    "/incidents/{incident_id}/obligations/{obligation_id}/delay",
    summary="Delay a notice for law enforcement",
    **declares("obligation.delay", answer=ObligationAnswer, refuses=[409]),
)
async def delay(call: Call, incident_id: str, obligation_id: UUID, body: DelayIn) -> Response:
    """Record the request: the date is suspended, or moved to the end of the delay; the original one stays on record."""
    asked = msgspec.convert(body.model_dump(), DelayRequest)

    return await _changed(
        call, incident_id, obligation_id, lambda change: delay_duty(change, str(obligation_id), asked)
    )


@routes.delete(
    "/incidents/{incident_id}/obligations/{obligation_id}/delay",
    summary="Lift the delay of a notice",
    **declares("obligation.delay", answer=ObligationAnswer, refuses=[409]),
)
async def lift_delay(call: Call, incident_id: str, obligation_id: UUID) -> Response:
    """Record that law enforcement no longer holds the notice back: it is due now, or on its own later date."""
    return await _changed(call, incident_id, obligation_id, lambda change: resume_duty(change, str(obligation_id)))


async def _changed(call: CallOfRequest, incident_id: str, obligation_id: UUID, apply: Apply) -> Response:
    """Change the incident and answer the obligation as it stands afterwards."""

    async def use_case(db: Db, principal: Principal) -> Answer:
        record = await change_incident(db, principal, incident_ref(incident_id), apply)
        filters = {"incident": record.incident.id, "id": obligation_id}
        shape = shape_of(ObligationAnswer, "obligation")
        return answer(await read_matching(db, "obligation", shape, filters, principal))

    return await call.write(None, use_case)
