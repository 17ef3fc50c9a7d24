"""Actions: what may be done with each, and doing it."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Raw, Struct, field, structs

from domain.approvals import approver_role, next_approvers, wanted_roles
from domain.changes import Change
from domain.documentation import self_verified
from domain.doings import Claim, Doing, require_reason, settle_claim
from domain.evidence import restrict_evidence
from domain.gating import View, is_fulfilled, refusal_of, speaking
from domain.incident_tools import check_tools, decide_tools
from domain.inputs import check_inputs, take_inputs
from domain.links import tie_incident
from domain.overrides import Override, pass_or_refuse, verify_alone
from domain.playbooks import Action, Gate, Step
from domain.record import ActionRun
from domain.refusals import InputError, Invalid, Missing, NotFound
from domain.relations import step_actors, with_stand_ins
from domain.timeline import instant_text
from domain.verdicts import SEGREGATION, Verdict, Who, stored, verdict

OPEN = frozenset({"in_progress", "contained", "post_incident", "on_hold", "reopened"})
"""Incident states in which the playbook is worked on; a hold never stops what has to be done."""

TRANSITIONS: dict[tuple[str, str], str] = {
    ("pending", "complete"): "done",
    ("pending_fact", "complete"): "done",
    ("pending", "skip"): "skipped",
    ("pending", "unavailable"): "unavailable",
    ("pending", "approve"): "done",
    ("pending_fact", "approve"): "done",
    ("unavailable", "approve"): "unavailable",
    ("done", "reopen"): "pending",
    ("skipped", "reopen"): "pending",
    ("unavailable", "reopen"): "pending",
}
RISK_OWNER = Who(frozenset({"risk_owner"}))


class ActionCommand(Struct, frozen=True, kw_only=True):
    """One transition of one action, as asked for."""

    transition: str
    inputs: dict[str, Any] = field(default_factory=dict)
    outcome: str | None = None
    note: str | None = None
    evidence_ids: list[UUID] = field(default_factory=list)
    reason: str | None = None
    occurred_at: datetime | None = None
    performed_by: UUID | None = None
    overrides: list[Override] = field(default_factory=list)
    linked_incident_id: UUID | None = None  # ties an incident that exists, where the action would open one


def offered(action: Action) -> tuple[str, ...]:
    """The transitions that exist for this kind of action at all."""
    if action.closing or is_derived(action):
        return ()
    names = ["complete"] if not action.approvals_from or action.approvals_when else []
    if action.approvals_from:
        names.append("approve")
    if action.type == "evidence":
        names += ["unavailable", "approve"]
    return (*names, "skip", "reopen")


def is_derived(action: Action) -> bool:
    """Fulfilled by something else than a tick: a notification drafted, approved or sent, or a document."""
    by_text = action.drafts is not None or action.reviews is not None
    return by_text or action.type in ("notify_internal", "notify_external") or action.fulfilled_by is not None


def judge_action(
    view: View,
    step: Step,
    action: Action,
    transition: str,
    who: Who | None = None,
    lifted: frozenset[str] = frozenset(),
    said: Mapping[str, Any] | None = None,
) -> Verdict:
    """What `transition` of this action would answer now, persons and the gates in `lifted` left open.

    `who` are its actors, if known already; `said` is the outcome and the inputs that gates may look at.
    """
    run = view.record.actions[action.id]
    if transition == "skip":
        who = RISK_OWNER
    elif who is None:
        who = step_actors(view.record, step, action)
    barred: list[UUID] = []
    if transition == "approve" and run.status == "unavailable":
        who, barred = RISK_OWNER, with_stand_ins(view.change.around.people, [run.recorded_by, run.performed_by])
    elif transition == "approve" and action.approvals_from:
        given = [UUID(str(a["person_id"])) for a in run.approvals]
        who, barred = next_approvers(view, action), with_stand_ins(view.change.around.people, given)
    state = _state_against(view, action, run, transition)
    gate = None if state else _gate_against(view, action, run, transition, lifted, said or {})
    return verdict(transition, who, state=state, gate=gate, not_persons=barred)


def offers_of(view: View, step: Step, action: Action, who: Who) -> Raw:
    """All verdicts on an action, stored. Remembered by everything that they depend on; `who` are the step's actors."""
    run, playbook = view.record.actions[action.id], view.change.playbook
    assert playbook is not None
    if action.role:
        who = step_actors(view.record, step, action, view.members)
    gates = playbook.gates_on_completing[action.id]
    is_plain = not (gates or run.approvals or action.approvals_from or action.type == "evidence")
    more = () if is_plain and run.status != "unavailable" else _peculiar(view, action, run, gates)
    key = (playbook.hash, action.id, view.record.incident.status, run.status, who, more)
    found = _offers.get(key)
    if found is None:
        found = stored([judge_action(view, step, action, name, who) for name in offered(action)])
        if len(_offers) >= OFFERS_AT_MOST:
            _offers.clear()
        _offers[key] = found
    return found


def _peculiar(view: View, action: Action, run: ActionRun, gates: Collection[Gate]) -> tuple[Any, ...]:
    """What verdicts on an action depend on beside its status and its actors: gates, evidence and who approved."""
    people = view.change.around.people
    barred = [run.recorded_by, run.performed_by]
    if run.status != "unavailable":
        barred = [UUID(str(a["person_id"])) for a in run.approvals]
    refusing = speaking(view, {"kind": "action.complete", "action": action.id}) if gates else ()
    return (
        tuple(with_stand_ins(people, barred)),
        tuple((a["person_id"], a["role"]) for a in run.approvals),
        wanted_roles(view, action),
        action.type == "evidence" and _usable_evidence(view, action),
        tuple((gate.id, tuple(m.ref for m in refusal_of(view, gate)[2])) for gate in refusing),
    )


OFFERS_AT_MOST = 20_000
_offers: dict[tuple[Any, ...], Raw] = {}


def _state_against(view: View, action: Action, run: ActionRun, transition: str) -> str | None:
    status = view.record.incident.status
    if status not in OPEN:
        return f"The incident is {status}; its actions are not open."
    if transition not in offered(action):
        return f"{action.id} does not take {transition}: {_fulfilment(action)}"
    if (run.status, transition) not in TRANSITIONS:
        return f"{action.id} is {run.status}."
    if transition == "approve" and run.status == "unavailable" and run.approvals:
        return f"{action.id} has been approved as unavailable."
    if transition == "approve" and run.status != "unavailable" and not action.approvals_from:
        return f"{action.id} needs no approval."
    return None


def _fulfilment(action: Action) -> str:
    if action.closing:
        return "the sign-off fulfils it."
    if is_derived(action):
        return "it is done by itself when what it asks for exists (a notification, a complete document)."
    return f"an action of type {action.type} has no such transition."


def _gate_against(
    view: View, action: Action, run: ActionRun, transition: str, lifted: frozenset[str], said: Mapping[str, Any]
) -> tuple[str, str, list[Missing]] | None:
    if transition == "skip":
        for gate in view.change.playbook.gates if view.change.playbook else ():
            if gate.override_role is None and action.id in gate.names_actions:
                return gate.id, f"{action.id} cannot be skipped: {gate.message}", []
        if action.type == "evidence":
            message = f"{action.id} cannot be skipped: attach the evidence, or mark it unavailable with a reason."
            return "G-ALL-3", message, [Missing("evidence", action.id, message)]
        return None
    if transition not in ("complete", "approve") or run.status == "unavailable":
        return None
    event = {"kind": "action.complete", "action": action.id, **said}
    gates = [g for g in speaking(view, event) if g.id not in lifted]
    if gates:
        return refusal_of(view, gates[0])
    if action.type == "evidence" and not _usable_evidence(view, action):
        message = f"{action.id} needs at least one evidence item: attach it first, or mark it unavailable."
        return "G-ALL-3", message, [Missing("evidence", action.id, message)]
    return None


def _usable_evidence(view: View, action: Action) -> bool:
    usable = (action.id, None, *action.evidence_of)
    return any(item.action_id in usable for item in view.record.evidence.values())


def transition_action(change: Change, action_id: str, command: ActionCommand) -> None:
    """Apply one transition.

    Raises NotFound for an unknown action, Conflict, GateRefused or Forbidden as the verdict says, Invalid for inputs
    that do not fit.
    """
    playbook = change.playbook
    found = playbook.action(action_id) if playbook else None
    if playbook is None or found is None or action_id not in change.record.actions:
        raise NotFound
    step, run = playbook.step(found.step_id), change.record.actions[action_id]
    if command.transition == "approve" and run.approvals and run.status != "unavailable":
        # What the first approver filled in need not be typed again.
        command = structs.replace(command, inputs={**(run.values or {}), **command.inputs})
    view, current, said = View(change), action_state(change, run), _said(found, command)

    def judged(lifted: frozenset[str] = frozenset()) -> Verdict:
        return judge_action(view, step, found, command.transition, lifted=lifted, said=said)

    overrides = command.overrides
    if found.never_alone and command.transition == "approve":
        overrides = [override for override in overrides if override.gate != SEGREGATION]
    pass_or_refuse(change, judged(), overrides, current, judged, action_id=action_id, step_id=step.id)
    _EFFECTS[command.transition](change, step, found, run, command)


def action_state(change: Change, run: ActionRun) -> Mapping[str, Any]:
    """What a refusal tells about the present: status of the action and version of the incident."""
    return {"status": run.status, "requirement": run.requirement, "version": change.record.incident.version}


def _do(change: Change, step: Step, run: ActionRun, command: ActionCommand) -> Doing:
    breach_at = change.record.steps[step.id].breach_at
    claim = Claim(occurred_at=command.occurred_at, performed_by=command.performed_by, reason=command.reason)
    doing = settle_claim(change, claim, breach_at=breach_at)
    run.occurred_at, run.recorded_at = doing.occurred_at, doing.recorded_at
    run.performed_by, run.recorded_by, run.late_entry = doing.performed_by, doing.recorded_by, doing.late_entry
    run.note = command.note or run.note
    return doing


def _complete(change: Change, step: Step, action: Action, run: ActionRun, command: ActionCommand) -> None:
    _check_outcome(action, command.outcome)
    if command.outcome in action.approvals_when:
        roles = " and ".join(action.approvals_from)
        raise _unfit_outcome(f"{command.outcome} is approved by {roles}: use the transition approve")
    run.approvals = []
    _carry_out(change, step, action, run, command)


def _carry_out(change: Change, step: Step, action: Action, run: ActionRun, command: ActionCommand) -> None:
    if command.linked_incident_id is not None and not action.opens_with(command.outcome):
        raise Invalid(
            f"{action.id} ties no incident.", errors=[InputError("/linked_incident", "this action ties no incident")]
        )
    _attach(change, action, run, command)
    doing = _do(change, step, run, command)
    run.status, run.outcome, run.reason = "done", command.outcome, command.reason
    change.emit(
        "action.completed",
        occurred_at=doing.occurred_at,
        action_id=action.id,
        step_id=step.id,
        outcome=command.outcome,
        performed_by=doing.performed_by,
        late_entry=doing.late_entry,
        note=command.note,
    )
    run.values = take_inputs(change, action, command.inputs)
    if action.restricts is not None:
        restrict_evidence(change)
    if action.opens_with(command.outcome):
        tie_incident(change, action, command.linked_incident_id)
    if action.decides == "tool":
        decide_tools(change, action, run, str(command.inputs.get("rationale") or command.note or ""))
    if any(wanted.document == "D09" for wanted in action.inputs) and self_verified(change):
        verify_alone(change, command.overrides)


def _said(action: Action, command: ActionCommand) -> dict[str, Any]:
    """What the caller says, for gates to judge; nothing as long as it does not fit and is refused for that."""
    try:
        _check_outcome(action, command.outcome)
        check_inputs(action, command.inputs)
    except Invalid:
        return {}
    return {"outcome": command.outcome or "", "inputs": dict(command.inputs)}


def _check_outcome(action: Action, outcome: str | None) -> None:
    if action.outcomes and outcome not in action.outcomes:
        choices = ", ".join(action.outcomes)
        raise Invalid(
            f"{action.id} needs an outcome: one of {choices}.",
            errors=[InputError("/outcome", f"must be one of: {choices}")],
        )
    if not action.outcomes and outcome is not None:
        raise Invalid(f"{action.id} has no outcomes.", errors=[InputError("/outcome", "this action takes no outcome")])


def _unfit_outcome(text: str) -> Invalid:
    return Invalid(f"/outcome {text}.", errors=[InputError("/outcome", text)])


def _attach(change: Change, action: Action, run: ActionRun, command: ActionCommand) -> None:
    for index, evidence_id in enumerate(command.evidence_ids):
        item = change.record.evidence.get(str(evidence_id))
        if item is None or item.action_id not in (None, action.id, *action.evidence_of):
            reason = "is no evidence of this incident, or belongs to another action"
            raise Invalid(f"{evidence_id} {reason}.", errors=[InputError(f"/evidence_ids/{index}", reason)])
        item.action_id = item.action_id or action.id
    named = command.evidence_ids
    run.evidence_ids = [e.id for e in change.record.evidence.values() if e.action_id == action.id or e.id in named]
    if action.type == "evidence" and not run.evidence_ids:
        reason = "names no evidence; give the ids of the items that this action is about"
        raise Invalid(f"{action.id} {reason}.", errors=[InputError("/evidence_ids", reason)])


def _approve(change: Change, step: Step, action: Action, run: ActionRun, command: ActionCommand) -> None:
    if run.status == "unavailable":
        _note_approval(change, step, run, command, "risk_owner")
        return
    _check_outcome(action, command.outcome)
    if action.approvals_when and command.outcome not in action.approvals_when:
        raise _unfit_outcome(f"{command.outcome} takes no approval: use the transition complete")
    if action.decides == "tool":
        check_tools(change, action, command.outcome or "")
    if run.approvals and _decides_otherwise(action, run, command):
        run.approvals = []  # those who approved what was there before are asked again
    view = View(change)
    _note_approval(change, step, run, command, approver_role(view, action))
    if {a["role"] for a in run.approvals} >= set(wanted_roles(view, action)):
        _carry_out(change, step, action, run, command)
        return
    check_inputs(action, command.inputs)
    run.values = dict(command.inputs) or None


def _decides_otherwise(action: Action, run: ActionRun, command: ActionCommand) -> bool:
    """Whether it is another outcome, or another content of what takes effect beyond the action; reasons may differ."""
    values = run.values or {}
    effects = [wanted.name for wanted in action.inputs if wanted.document or wanted.fact or wanted.tool]
    changed = any(command.inputs.get(name) != values.get(name) for name in effects)
    return changed or run.approvals[-1]["outcome"] != command.outcome


def _note_approval(change: Change, step: Step, run: ActionRun, command: ActionCommand, role: str) -> None:
    approval = {
        "person_id": str(change.actor.id),
        "role": role,
        "outcome": command.outcome,
        "note": command.note,
        "at": instant_text(change.now),
    }
    run.approvals = [*run.approvals, approval]
    change.emit("action.approved", action_id=run.id, step_id=step.id, role=role, outcome=command.outcome)


def _skip(change: Change, step: Step, action: Action, run: ActionRun, command: ActionCommand) -> None:
    reason = require_reason(command.reason, "skip an action")
    skip_action(change, run, reason)
    change.deviate("skip", reason, gate="G-ALL-4", action_id=action.id, step_id=step.id)


def skip_action(change: Change, run: ActionRun, reason: str) -> None:
    """Mark an action as skipped. The caller records the exception."""
    run.status, run.reason = "skipped", reason
    run.recorded_at, run.recorded_by = change.now, change.person_id
    change.emit("action.skipped", action_id=run.id, step_id=run.step_id, reason=reason)


def _unavailable(change: Change, step: Step, action: Action, run: ActionRun, command: ActionCommand) -> None:
    reason = require_reason(command.reason, "mark evidence unavailable")
    _do(change, step, run, command)
    run.status, run.reason, run.approvals = "unavailable", reason, []
    change.emit("action.unavailable", action_id=action.id, step_id=step.id, reason=reason)
    change.deviate("evidence_unavailable", reason, gate="G-ALL-3", action_id=action.id, step_id=step.id)


def _reopen(change: Change, step: Step, action: Action, run: ActionRun, command: ActionCommand) -> None:
    reason = require_reason(command.reason, "reopen an action")
    reopen_action(change, run, reason)


def reopen_action(change: Change, run: ActionRun, reason: str) -> None:
    """Put a done action back to what its requirement asks for; what was written stays where it was written."""
    run.status, run.reason = {"required": "pending"}.get(run.requirement, run.requirement), reason
    run.outcome, run.approvals = None, []
    run.occurred_at = run.recorded_at = run.performed_by = run.recorded_by = None
    change.emit("action.reopened", action_id=run.id, step_id=run.step_id, reason=reason)


_EFFECTS = {
    "complete": _complete,
    "approve": _approve,
    "skip": _skip,
    "unavailable": _unavailable,
    "reopen": _reopen,
}

__all__ = ["ActionCommand", "is_fulfilled", "judge_action", "offered", "transition_action"]
