"""Obligations of one incident: run over its facts, and the decisions people make on them.

Decision support, not legal advice: no rule ever ends in "not required" without a person's decision.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from msgspec import Raw, Struct, field

from domain.changes import Change
from domain.deadlines import clock_start
from domain.facts import FACTS, known_values
from domain.gating import View
from domain.glossary import Phase
from domain.obligation_decisions import decide
from domain.obligation_delays import DelayRequest, delayed, is_delayed, resumed
from domain.obligation_merging import merge
from domain.obligations import evaluate
from domain.overrides import Override, pass_or_refuse
from domain.record import FollowUp, Obligation
from domain.refusals import InputError, Invalid, NotFound
from domain.verdicts import Verdict, Who, enforce, stored, verdict

TRANSITIONS: dict[tuple[str, str], str] = {
    (before, decision): decision
    for before in ("open", "notify", "not_required", "waived_by_counsel")
    for decision in ("notify", "not_required", "waived_by_counsel")
}
DECIDERS = {
    "notify": Who(frozenset({"risk_owner"})),
    "not_required": Who(frozenset({"risk_owner"})),
    "waived_by_counsel": Who(frozenset({"legal_counsel"})),
}
DELAYERS = Who(frozenset({"risk_owner", "legal_counsel"}))
OFFERED = (*DECIDERS, "delay", "lift_delay")


class DutyDecision(Struct, frozen=True, kw_only=True):
    """What a person decides about one obligation. `carry` hands a notice that falls due later to a follow-up (C4)."""

    decision: str
    rationale: str | None = None
    opinion_reference: str | None = None
    carry_owner_id: UUID | None = None
    carry_due_at: datetime | None = None
    overrides: list[Override] = field(default_factory=list)


def settle_duties(change: Change) -> None:
    """Run the rules over the facts known now, unless nothing they read has changed; new or changed rows are events."""
    if not change.duties_may_differ:
        return
    incident = change.record.incident
    known = known_values(incident.facts)
    unknown = frozenset(FACTS.keys() - known.keys())
    calendar = change.around.settings.calendar
    clocks = clock_events(known)
    clocks |= _submissions(change.record.obligations.values())
    clocks["discovered_at"] = clock_start(incident.discovered_at, incident.discovered_at_precision, calendar)
    clocks["assess_due_at"] = _assess_due_at(change)
    clients = [change.around.clients[c] for c in incident.client_ids if c in change.around.clients]
    outcomes = evaluate(
        facts=known,
        unknown=unknown,
        clients=clients,
        organisation=change.around.settings.organisation,
        instants=clocks,
        now=change.now,
        calendar=calendar,
        guideline=change.around.settings.notice_guideline,
        playbook=incident.playbook_slug,
        stored={row.rule_id for row in change.record.obligations.values()},
    )
    merged = merge(change.record.obligations, outcomes, change.now, new_id=change.new_id)
    for duty in merged.new:
        change.record.obligations[str(duty.id)] = duty
        if duty.outcome == "not_triggered":  # kept to show why nobody is told; nothing is raised
            continue
        change.emit("obligation.raised", obligation_id=duty.id, rule=duty.rule_id, outcome=duty.outcome)
    for duty in merged.changed:
        change.emit("obligation.changed", obligation_id=duty.id, rule=duty.rule_id, outcome=duty.outcome)
    for duty in merged.reopened:
        change.emit("obligation.reopened", obligation_id=duty.id, rule=duty.rule_id, outcome=duty.outcome)


CLOCK_EVENTS = tuple(name for name, fact in FACTS.items() if fact.type == "instant")


def clock_events(known: Mapping[str, Any]) -> dict[str, datetime | None]:
    """The instants among known facts, from which clocks of law and contract run."""
    return {name: datetime.fromisoformat(known[name]) for name in CLOCK_EVENTS if name in known}


def _submissions(duties: Iterable[Obligation]) -> dict[str, datetime | None]:
    """When the notice of each rule went out: the clocks of later reports run from it. Of several the first counts."""
    told: dict[str, datetime | None] = {}
    for duty in duties:
        earlier = told.get(duty.rule_id)
        if duty.notified_at is not None and (earlier is None or duty.notified_at < earlier):
            told[duty.rule_id] = duty.notified_at
    return told


def _assess_due_at(change: Change) -> datetime | None:
    """When the assessment is due: counsel is engaged inside that step (OB-S-4)."""
    for step in change.playbook.steps if change.playbook else ():
        if step.phase == Phase.ASSESS and step.id in change.record.steps:
            return change.record.steps[step.id].due_at
    return None


def judge_duty(view: View, duty: Obligation, transition: str) -> Verdict:
    """What deciding this, or delaying its notice, would answer now, persons left open."""
    return _judged(transition, _state_against(view, duty, transition))


def offers_of_duty(view: View, duty: Obligation) -> Raw:
    """All verdicts on a duty, as they are stored."""
    return _offers(tuple(_state_against(view, duty, name) for name in OFFERED))


@lru_cache(maxsize=128)
def _offers(states: tuple[str | None, ...]) -> Raw:
    return stored([_judged(name, state) for name, state in zip(OFFERED, states, strict=True)])


def _judged(transition: str, state: str | None) -> Verdict:
    return verdict(transition, DECIDERS.get(transition, DELAYERS), state=state)


def _state_against(view: View, duty: Obligation, transition: str) -> str | None:
    if view.record.incident.status in ("closed", "rejected"):
        return f"The incident is {view.record.incident.status}: its record does not change."
    if transition == "lift_delay":
        return None if is_delayed(duty) else "No request of law enforcement holds this notice back."
    if duty.notified_at is not None:
        return "The notice has been sent: there is nothing left to decide or to hold back."
    return None


def decide_duty(change: Change, obligation_id: str, decision: DutyDecision) -> None:
    """Record a person's decision. Raises NotFound, Invalid without rationale or opinion, Conflict, Forbidden."""
    duty = change.record.obligations.get(obligation_id)
    if duty is None:
        raise NotFound
    judged = judge_duty(View(change), duty, decision.decision)
    current = {"decision": duty.decision, "outcome": duty.outcome}
    pass_or_refuse(change, judged, decision.overrides, current, details={"obligation_id": obligation_id})
    duty = decide(
        duty,
        decision.decision,
        person_id=change.actor.id,
        now=change.now,
        rationale=decision.rationale,
        opinion_reference=decision.opinion_reference,
    )
    change.record.obligations[obligation_id] = duty
    change.emit("obligation.decided", obligation_id=duty.id, rule=duty.rule_id, decision=duty.decision)
    if decision.carry_owner_id is not None:
        _carry(change, duty, decision, decision.carry_owner_id)


def delay_duty(change: Change, obligation_id: str, request: DelayRequest) -> None:
    """Record that law enforcement asks to hold a notice back. Raises NotFound, Conflict, Invalid, Forbidden."""
    duty = _permitted(change, obligation_id, "delay")
    assert change.person_id is not None, "the permission table lets persons alone do this"
    duty = delayed(duty, request, person_id=change.person_id, now=change.now)
    change.record.obligations[obligation_id] = duty
    change.emit("obligation.delayed", obligation_id=duty.id, rule=duty.rule_id, until=request.until)


def resume_duty(change: Change, obligation_id: str) -> None:
    """Record that the request no longer holds the notice back. Raises NotFound, Conflict, Forbidden."""
    duty = _permitted(change, obligation_id, "lift_delay")
    assert change.person_id is not None, "the permission table lets persons alone do this"
    duty = resumed(duty, person_id=change.person_id, now=change.now)
    change.record.obligations[obligation_id] = duty
    change.emit("obligation.delay_lifted", obligation_id=duty.id, rule=duty.rule_id, due_at=duty.due_at)


def _permitted(change: Change, obligation_id: str, transition: str) -> Obligation:
    duty = change.record.obligations.get(obligation_id)
    if duty is None:
        raise NotFound
    current = {"decision": duty.decision, "outcome": duty.outcome, "status": change.record.incident.status}
    enforce(judge_duty(View(change), duty, transition), change.actor, current)
    return duty


def _carry(change: Change, duty: Obligation, decision: DutyDecision, owner_id: UUID) -> None:
    """A duty decided `notify` that falls due after the last step may outlive the closing as a follow-up (C4)."""
    last = max((run.due_at for run in change.record.steps.values()), default=None)
    due = decision.carry_due_at or duty.due_at or duty.guideline_due_at
    latest = duty.due_at or duty.guideline_due_at
    if decision.decision != "notify" or last is None or latest is None or latest <= last:
        text = "can be carried only for a duty decided `notify` that falls due after the last step"
        raise Invalid(f"A notice {text}.", errors=[InputError("/carry_owner_id", text)])
    if due is None or due > latest or owner_id not in change.around.people:
        text = "needs an active person, and a date no later than the duty's own"
        raise Invalid(f"Carrying {text}.", errors=[InputError("/carry_owner_id", text)])
    follow_up = FollowUp(
        id=change.new_id(),
        title=f"Send the notice owed under {duty.rule_id}",
        owner_id=owner_id,
        due_at=due,
        obligation_id=duty.id,
        created_by=change.person_id,
        created_at=change.now,
    )
    change.record.follow_ups[str(follow_up.id)] = follow_up
    duty.carried_follow_up_id = follow_up.id
    change.emit("follow_up.added", follow_up_id=follow_up.id, owner_id=follow_up.owner_id)
