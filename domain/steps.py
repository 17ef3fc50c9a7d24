"""Steps: strict order, completing and skipping, and the state each one is in."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct, field

from domain.actions import OPEN, RISK_OWNER, skip_action
from domain.changes import Change
from domain.deadlines import sla_state
from domain.doings import Claim, require_reason, settle_claim
from domain.gating import View, is_fulfilled, is_settled, refusal_of, speaking
from domain.overrides import Override, pass_or_refuse
from domain.playbooks import Step
from domain.record import ActionRun, StepRun
from domain.refusals import Conflict, InputError, Invalid, Missing, NotFound
from domain.relations import step_actors
from domain.timeline import instant_text
from domain.verdicts import Verdict, Who, verdict

FINISHED = ("completed", "skipped")
TRANSITIONS: dict[tuple[str, str], str] = {
    (status, transition): result
    for status in ("locked", "ready", "in_progress", "blocked")
    for transition, result in (("complete", "completed"), ("skip", "skipped"))
}
"""A locked or blocked step is refused by a gate that says what is in the way, not by its state."""


class StepCommand(Struct, frozen=True, kw_only=True):
    """One transition of one step, as asked for."""

    transition: str
    reason: str | None = None
    occurred_at: datetime | None = None
    performed_by: UUID | None = None
    overrides: list[Override] = field(default_factory=list)


def judge_step(
    view: View, step: Step, transition: str, lifted: frozenset[str] = frozenset(), who: Who | None = None
) -> Verdict:
    """What `transition` of this step would answer now, persons and the gates in `lifted` left open.

    `who` are its actors, if known already.
    """
    run = view.record.steps[step.id]
    who = RISK_OWNER if transition == "skip" else who or step_actors(view.record, step)
    state = None
    if view.record.incident.status not in OPEN:
        state = f"The incident is {view.record.incident.status}; its steps are not open."
    elif (run.status, transition) not in TRANSITIONS:
        state = f"{step.id} is {run.status}."
    gate = None if state else _gate_against(view, step, transition, lifted)
    return verdict(transition, who, state=state, gate=gate)


def _gate_against(
    view: View, step: Step, transition: str, lifted: frozenset[str]
) -> tuple[str, str, list[Missing]] | None:
    playbook = view.change.playbook
    if playbook is None:
        return None
    if step.id == playbook.last_step.id:
        message = f"{step.id} is the last step: the sign-off completes it."
        return "G-ALL-2", message, [Missing("signature", "D11", message)]
    earlier = [s for s in playbook.steps if s.position < step.position]
    still_open = [s.id for s in earlier if view.record.steps[s.id].status not in FINISHED]
    if still_open and "G-ALL-1" not in lifted:
        message = f"Still open: {', '.join(still_open)}. Steps complete strictly in order."
        return "G-ALL-1", message, [Missing("action", ref, f"Complete {ref} first.") for ref in still_open]
    if transition == "skip":
        return _named_by_a_gate(view, step)
    open_actions = [a for a in view.runs_of(step.id) if not is_settled(a) and a.id not in view.exempt]
    gates = [g for g in speaking(view, {"kind": "step.complete", "step": step.id}) if g.id not in lifted]
    if gates:
        gate, message, missing = refusal_of(view, gates[0])
        return gate, message, missing or _missing(view, open_actions)
    if open_actions and "G-ALL-4" in lifted:
        return _named_by_a_gate(view, step)
    if open_actions:
        message = f"{step.id} has open actions: {', '.join(a.id for a in open_actions)}."
        return "G-ALL-4", message, _missing(view, open_actions)
    return None


def _missing(view: View, open_actions: list[ActionRun]) -> list[Missing]:
    incident_id = view.record.incident.id
    found = []
    for action in open_actions:
        href = f"/v1/incidents/{incident_id}/actions/{action.id}/transitions"
        if action.requirement == "pending_fact":
            found.append(Missing("fact", action.id, f"Whether {action.id} is required hangs on an unknown fact.", href))
        elif action.status == "unavailable":
            found.append(
                Missing("approval", action.id, f"{action.id} is unavailable; risk_owner has to approve that.", href)
            )
        else:
            found.append(Missing("action", action.id, f"{action.id} is not done.", href))
    return found


def _named_by_a_gate(view: View, step: Step) -> tuple[str, str, list[Missing]] | None:
    """A step cannot be skipped while it holds an unfulfilled action that a gate without override names."""
    for action in view.runs_of(step.id):
        if is_fulfilled(action) or action.status == "not_applicable":
            continue
        for gate in view.change.playbook.gates if view.change.playbook else ():
            if gate.override_role is None and action.id in gate.names_actions:
                return (
                    gate.id,
                    f"{step.id} cannot be skipped: {gate.message}",
                    [Missing("action", action.id, gate.message)],
                )
    return None


def transition_step(change: Change, step_id: str, command: StepCommand) -> None:
    """Complete or skip a step. Raises NotFound, Conflict, GateRefused, Forbidden or Invalid."""
    playbook = change.playbook
    step = playbook.step(step_id) if playbook and playbook.has_step(step_id) else None
    if step is None or step_id not in change.record.steps:
        raise NotFound
    view, run = View(change), change.record.steps[step_id]

    def judged(lifted: frozenset[str] = frozenset()) -> Verdict:
        return judge_step(view, step, command.transition, lifted)

    pass_or_refuse(change, judged(), command.overrides, step_state(change, run), judged, step_id=step_id)
    if command.transition == "skip":
        skip_step(change, view, run, require_reason(command.reason, "skip a step"))
        return
    lifting = next((override for override in command.overrides if override.gate == "G-ALL-4"), None)
    if lifting is not None:
        _skip_open_actions(change, view, run, lifting.reason)
    _complete(change, view, run, command)


def _skip_open_actions(change: Change, view: View, run: StepRun, reason: str) -> None:
    """What a step leaves undone by an override is skipped, and says so: open, it would hold the closing back."""
    for action in view.runs_of(run.id):
        if not is_settled(action) and action.id not in view.exempt:
            skip_action(change, action, reason)


def step_state(change: Change, run: StepRun) -> Mapping[str, Any]:
    """What a refusal tells about the present: status of the step and version of the incident."""
    return {"status": run.status, "version": change.record.incident.version}


def _complete(change: Change, view: View, run: StepRun, command: StepCommand) -> None:
    claim = Claim(occurred_at=command.occurred_at, performed_by=command.performed_by, reason=command.reason)
    doing = settle_claim(change, claim, breach_at=run.breach_at, is_result=True)
    latest = max((a.occurred_at for a in view.runs_of(run.id) if a.occurred_at), default=None)
    if latest is not None and doing.occurred_at < latest:
        reason = f"lies before {latest.isoformat()}, when the last of its actions was done"
        raise Invalid(f"/occurred_at {reason}.", errors=[InputError("/occurred_at", reason)])
    finish_step(change, run, doing.occurred_at, doing.performed_by, late_entry=doing.late_entry)


def finish_step(
    change: Change, run: StepRun, occurred_at: datetime, performed_by: UUID | None, *, late_entry: bool = False
) -> None:
    """Mark a step completed, with its result by occurrence and by record, and meet its control occurrences."""
    now = change.now
    run.status, run.completed_at, run.completed_occurred_at = "completed", now, occurred_at
    run.completed_by, run.late_entry = performed_by, late_entry
    run.started_at = run.started_at or occurred_at
    result = {
        "state": sla_state(run.at_risk_at, run.breach_at, occurred_at, now),
        "recorded_state": sla_state(run.at_risk_at, run.breach_at, now, now),
    }
    instants = {"completed_at": instant_text(now), "completed_occurred_at": instant_text(occurred_at)}
    run.first_result = run.first_result or {**result, **instants}
    change.emit("step.completed", occurred_at=occurred_at, step_id=run.id, late_entry=late_entry, sla=result)
    if run.breached_announced_at is not None and result["state"] == "met":
        change.emit("sla.revised", occurred_at=occurred_at, step_id=run.id, state="met")
    for occurrence in change.record.occurrences.values():
        if occurrence.step_id == run.id and occurrence.met_at is None and occurrence.voided_at is None:
            occurrence.met_at, occurrence.met_occurred_at = now, occurred_at


def skip_step(change: Change, view: View, run: StepRun, reason: str) -> None:
    """Skip a step and its open actions by override: an exception; its control occurrences read `skipped`."""
    _skip_open_actions(change, view, run, reason)
    run.status, run.skipped_at, run.completed_by = "skipped", change.now, change.person_id
    change.emit("step.skipped", step_id=run.id, reason=reason)
    change.deviate("skip", reason, gate="G-ALL-4", step_id=run.id)
    for occurrence in change.record.occurrences.values():
        if occurrence.step_id == run.id and occurrence.met_at is None and occurrence.voided_at is None:
            occurrence.skipped_at = change.now


def assign_step(change: Change, step_id: str, person_id: UUID) -> None:
    """Give a step to a person.

    Raises NotFound for an unknown step, Invalid for somebody who is not of the tenant, Conflict on a closed incident.
    """
    run = change.record.steps.get(step_id)
    if run is None:
        raise NotFound
    if person_id not in change.around.people:
        raise Invalid(
            "The assignee has to be an active person of this tenant.",
            errors=[InputError("/person_id", "is not an active person of this tenant")],
        )
    status = change.record.incident.status
    if status in ("closed", "rejected"):
        raise Conflict(f"The incident is {status}.", current=step_state(change, run))
    run.assignee_id = person_id
    change.emit("step.assigned", step_id=step_id, person_id=person_id)


def settle_steps(change: Change, view: View) -> None:
    """Reopen steps whose work is open again, start those that began, and name each one's state."""
    playbook = change.playbook
    if playbook is None:
        return
    earlier_open = False
    for step in playbook.steps:
        run = change.record.steps[step.id]
        runs = view.runs_of(step.id)
        reopen = [a for a in runs if not is_settled(a) and a.id not in view.exempt]
        if run.status == "completed" and reopen:
            _reopen(change, run, reopen)
        if run.status in FINISHED:
            continue
        if earlier_open:
            run.status = "locked"
            continue
        earlier_open = True
        _start(change, run, runs, view.exempt)
        waits = any(a.requirement == "pending_fact" and not is_settled(a) for a in runs)
        blocked = waits or bool(speaking(view, {"kind": "step.complete", "step": step.id}))
        run.status = "blocked" if blocked else "in_progress" if run.started_at else "ready"


def _reopen(change: Change, run: StepRun, reopened: list[ActionRun]) -> None:
    by_fact = any(a.reason is None and a.status != "unavailable" for a in reopened)
    run.reopened_by = "fact_change" if by_fact else "action_reopened"
    window = run.due_at - run.clock_started_at
    for action in reopened:
        if action.recorded_at is None and action.due_at is None:
            action.due_at = change.now + window
    run.status = "in_progress"
    run.completed_at = run.completed_occurred_at = run.completed_by = None
    run.late_entry = False
    change.emit("step.reopened", step_id=run.id, because=run.reopened_by, action_ids=[a.id for a in reopened])


def _start(change: Change, run: StepRun, runs: list[ActionRun], exempt: frozenset[str]) -> None:
    done = [a.occurred_at or change.now for a in runs if is_fulfilled(a) and a.id not in exempt]
    if run.started_at is None and done:
        run.started_at = min(done)
        change.emit("step.started", occurred_at=run.started_at, step_id=run.id)
