"""Overrides: the named, role-bound ways past a gate. Each one is an exception that the auditor sees.

Only a gate with an `override_role` can be overridden, and segregation of duties (G-ALL-11) only where a small
provider has nobody else who could act (rule C13 of the closing rules).
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from domain.changes import Change
from domain.doings import require_reason
from domain.playbooks import gate_rule
from domain.record import FollowUp
from domain.refusals import GateRefused, InputError, Invalid
from domain.verdicts import SEGREGATION, Verdict, enforce, matches

REVIEW_WITHIN = timedelta(days=90)
NEVER_ALONE = ("waived_by_counsel",)  # C13; approving a tool is `never_alone` in its playbook


class Override(Struct, frozen=True, kw_only=True):
    """What a caller gives to pass a gate. The outside reviewer and the date are asked for G-ALL-11 only."""

    gate: str
    reason: str
    outside_reviewer: str | None = None
    review_due_at: datetime | None = None


Again = Callable[[frozenset[str]], Verdict]
"""Judges once more, past the gates of these ids."""


def pass_or_refuse(
    change: Change,
    judged: Verdict,
    overrides: Sequence[Override],
    current: Mapping[str, Any],
    again: Again | None = None,
    **where: Any,
) -> None:
    """Let the operation pass, by an override where one applies, or raise the refusal of the verdict.

    An override lifts its own gate alone: `again` judges anew without the gates lifted so far.
    """
    given = {override.gate: override for override in overrides}
    for gate in given:
        if gate_rule(change.playbook, gate) is None:
            raise Invalid(f"There is no gate {gate}.", errors=[InputError("/overrides", f"unknown gate {gate}")])
    lifted: set[str] = set()
    while judged.permit == "gate" and judged.gate in given and judged.gate not in lifted:
        _override_gate(change, judged, given[judged.gate], current, where)
        lifted.add(judged.gate)
        judged = again(frozenset(lifted)) if again is not None else _without_gate(judged)
    if judged.permit == "allowed" and not matches(judged, change.actor) and SEGREGATION in given:
        _act_alone(change, judged, given[SEGREGATION], current, where)
        return
    enforce(judged, change.actor, current)


def _without_gate(judged: Verdict) -> Verdict:
    return Verdict(
        transition=judged.transition,
        permit="allowed",
        any_role=judged.any_role,
        only_persons=judged.only_persons,
        not_persons=judged.not_persons,
        needs_person=judged.needs_person,
    )


def verify_alone(change: Change, overrides: Sequence[Override]) -> None:
    """C13 for the verifier of a remediation: where nobody else is active, the doer verifies under G-ALL-11."""
    given = next((override for override in overrides if override.gate == SEGREGATION), None)
    if given is not None:
        anybody = [person.id for person in change.around.people.values()]
        judged = Verdict(
            transition=VERIFY, permit="allowed", only_persons=anybody, not_persons=[change.actor.id], needs_person=True
        )
        _act_alone(change, judged, given, {"status": change.record.incident.status}, {})


VERIFY = "verify"


def _override_gate(
    change: Change, judged: Verdict, override: Override, current: Mapping[str, Any], where: Mapping[str, Any]
) -> None:
    rule = gate_rule(change.playbook, override.gate)
    if rule is None or rule.override_role is None or rule.override_role not in change.actor.roles:
        holder = f"only {rule.override_role} can" if rule and rule.override_role else "nobody can"
        raise GateRefused(
            f"{judged.message} {override.gate} was not overridden: {holder} override it.",
            gate=override.gate,
            missing=judged.missing,
            current=current,
        )
    reason = require_reason(override.reason, f"override {override.gate}")
    change.emit("gate.overridden", gate=override.gate, transition=judged.transition, reason=reason, **where)
    _note_override(change, reason, override.gate, {"transition": judged.transition}, where)


def _act_alone(
    change: Change, judged: Verdict, override: Override, current: Mapping[str, Any], where: Mapping[str, Any]
) -> None:
    """C13: a provider with no other eligible active person; an outside review has to be owed."""
    barred = set(judged.not_persons)
    others = [
        person.id
        for person in change.around.people.values()
        if person.id not in barred and (person.roles.intersection(judged.any_role) or person.id in judged.only_persons)
    ]
    refusable = judged.transition in NEVER_ALONE or "risk_owner" not in change.actor.roles or not change.actor.is_person
    if refusable or others:
        raise GateRefused(
            "Another eligible person is active, so G-ALL-11 cannot be overridden: ask one of them."
            if others
            else "G-ALL-11 can be overridden by risk_owner only, and never for this.",
            gate=SEGREGATION,
            current=current,
        )
    reason = require_reason(override.reason, "override G-ALL-11")
    if not (override.outside_reviewer or "").strip() or override.review_due_at is None:
        raise Invalid(
            "Name an outside reviewer and the date of the review.",
            errors=[InputError("/overrides", "outside_reviewer and review_due_at are required for G-ALL-11")],
        )
    if not change.now < override.review_due_at <= change.now + REVIEW_WITHIN:
        raise Invalid(
            "The outside review has to be due within 90 days.",
            errors=[InputError("/overrides", "review_due_at must lie within P90D")],
        )
    follow_up = FollowUp(
        id=change.new_id(),
        title=f"Outside review of what one person did alone: {judged.transition}",
        owner_id=change.actor.id,
        due_at=override.review_due_at,
        outside_reviewer=override.outside_reviewer,
        created_by=change.actor.id,
        created_at=change.now,
    )
    change.record.follow_ups[str(follow_up.id)] = follow_up
    details = {"transition": judged.transition, "follow_up_id": str(follow_up.id)}
    change.emit("gate.overridden", gate=SEGREGATION, transition=judged.transition, reason=reason, **where)
    _note_override(change, reason, SEGREGATION, details, where)


def _note_override(change: Change, reason: str, gate: str, details: dict[str, Any], where: Mapping[str, Any]) -> None:
    """The exception of an override; what `where` says beside step and action joins its details."""
    place = {name: value for name, value in where.items() if name != "details"}
    change.deviate("override", reason, gate=gate, details={**details, **where.get("details", {})}, **place)
