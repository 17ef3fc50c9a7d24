"""Closing: the rules C1-C13 of the documentation, the signatures, and what commits together with the last one."""

from collections.abc import Mapping, Sequence
from typing import Any

from domain.actions import OPEN
from domain.changes import Change
from domain.documentation import lacking, settle_documents
from domain.gating import View, is_fulfilled, is_settled, refusal_of, speaking
from domain.overrides import Override, pass_or_refuse
from domain.record import Signature
from domain.refusals import Forbidden, GateRefused, Missing
from domain.relations import with_stand_ins
from domain.steps import FINISHED, finish_step
from domain.verdicts import Verdict, Who, verdict

FIRST = Who(frozenset({"risk_owner"}))
SECOND = Who(frozenset({"executive_leadership", "legal_counsel"}))
TWO_SIGNATURES = ("SEV1", "SEV2")
TARGETS = ("technical_controls", "vendor_review", "tool_list", "training", "policy")


class DocumentationIncomplete(GateRefused):
    """The record cannot be signed yet; `missing` lists every reason."""

    code = "documentation-incomplete"


def signatures_needed(change: Change) -> int:
    """Two at SEV1 and SEV2, by the highest level computed since declaration (C6)."""
    return 2 if change.record.incident.severity_highest in TWO_SIGNATURES else 1


def standing(change: Change) -> list[Signature]:
    """Signatures of this round that have not been voided."""
    return [s for s in change.record.signatures.values() if s.voided_at is None]


def judge_sign_off(view: View) -> Verdict:
    """What signing would answer now, persons left open: C7 bars the person concerned and a sole doer."""
    change, incident = view.change, view.record.incident
    signed = standing(change)
    state = None if incident.status in OPEN and incident.status != "on_hold" else f"The incident is {incident.status}."
    first = not signed
    barred = [incident.person_concerned_id, *with_stand_ins(change.around.people, (s.person_id for s in signed))]
    if first and (alone := sole_doer(change)) is not None:
        barred.append(alone)
    gate = None
    missing = [] if state else closing_gaps(change)
    if missing:
        gate = (_gate_against(change, missing), "The record is not complete yet; see what is missing.", missing)
    who = Who(FIRST.roles | SECOND.roles) if state else FIRST if first else SECOND
    return verdict("sign_off", who, state=state, gate=gate, not_persons=barred)


def sole_doer(change: Change) -> Any:
    """The one person who did all remediation, if it is one: recorder and performer both count as doers (C7)."""
    doers: set[Any] = set()
    value = change.record.documents["D09"].value or {}
    for entry in value.get("entries", ()):
        doers.add(entry.get("done_by"))
    for action in change.record.actions.values():
        found = change.playbook.action(action.id) if change.playbook else None
        if found is None or any(wanted.document == "D09" for wanted in found.inputs):
            continue  # confirming what was done is not doing it
        if "D09" in found.fills and not found.closing and action.status == "done":
            doers.update(str(p) for p in (action.recorded_by, action.performed_by) if p is not None)
    doers.discard(None)
    if len(doers) != 1:
        return None
    return next((p for p in change.around.people if str(p) in doers), None)


def closing_gaps(change: Change) -> list[Missing]:
    """Everything that stands against signing: C1-C5, C11, the person concerned. The closing actions count as done."""
    gaps = [*_steps_open(change), *_documents_open(change), *_evidence_open(change)]
    gaps += _targets_open(change)
    if change.record.incident.person_concerned is None:
        incident_id = change.record.incident.id
        message = "Say whom it concerns: a person, an outside party, none, or unknown with a reason."
        gaps.append(Missing("fact", "person_concerned", message, f"/v1/incidents/{incident_id}"))
    if change.around.children_open:
        gaps.append(Missing("approval", "links", "Close the child incidents, or release the links with a reason."))
    gaps += [missing for _, of_gate in _gates_open(change) for missing in of_gate]
    unique: dict[tuple[str, str, str], Missing] = {}
    for gap in gaps:  # an open action is named once, whichever rule speaks of it
        unique.setdefault((gap.kind, gap.ref, "" if gap.kind == "action" else gap.message), gap)
    return list(unique.values())


def _gates_open(change: Change) -> list[tuple[str, list[Missing]]]:
    """The playbook's gates that speak against signing, each with what would satisfy it."""
    view = View(change)
    gates = speaking(view, {"kind": "incident.sign_off", "step": "", "action": "", "notification": {}})
    return [(gate.id, refusal_of(view, gate)[2] or [Missing("approval", gate.id, gate.message)]) for gate in gates]


def _gate_against(change: Change, missing: list[Missing]) -> str:
    """The gate that refuses a signature: the playbook's where nothing else is missing, else the documentation's."""
    gates = _gates_open(change)
    theirs = [gap for _, of_gate in gates for gap in of_gate]
    return gates[0][0] if gates and all(gap in theirs for gap in missing) else "G-ALL-2"


def _steps_open(change: Change) -> list[Missing]:
    """C1: all steps are complete, in order, or skipped; in the last one only what the sign-off fulfils may be open."""
    gaps: list[Missing] = []
    if change.playbook is None:
        return [Missing("action", "declare", "The incident has not been declared.")]
    view = View(change)
    last = change.playbook.steps[-1].id
    for run in change.record.steps.values():
        if run.id != last and run.status not in FINISHED:
            gaps.append(Missing("action", run.id, f"{run.id} is {run.status}."))
    for action in change.record.actions.values():
        found = change.playbook.action(action.id)
        closing = action.id in view.closing
        if (
            action.step_id == last
            and not closing
            and not is_settled(action)
            and found is not None
            and found.blocks_step
        ):
            gaps.append(Missing("action", action.id, f"{action.id} is {action.status}: {found.text}"))
    return gaps


def _documents_open(change: Change) -> list[Missing]:
    """C2 and C4: D01-D10 and D12 complete; D07 holds the obligations."""
    items = [d for d in change.record.documents if d != "D11"]
    return [missing for item in items for missing in lacking(change, item, as_if_signed=True)]


def _evidence_open(change: Change) -> list[Missing]:
    """C3: every evidence action holds an item, or is unavailable with an approval."""
    if change.playbook is None:
        return []
    gaps = []
    for action in change.record.actions.values():
        found = change.playbook.action(action.id)
        if found is None or found.type != "evidence" or action.status == "not_applicable" or is_fulfilled(action):
            continue
        gaps.append(
            Missing("evidence", action.id, f"{action.id} needs an evidence item, or an approved reason why not.")
        )
    return gaps


def _targets_open(change: Change) -> list[Missing]:
    """C5: the five improvement targets are answered."""
    answers = (change.record.documents["D12"].value or {}).get("improvements") or {}
    return [
        Missing("document", "D12", f"Answer the improvement target {name}: updated, or no_change_needed with a reason.")
        for name in TARGETS
        if not (answers.get(name) or {}).get("answer")
    ]


def sign_off(change: Change, statement: str, overrides: Sequence[Override] = ()) -> bool:
    """Sign; the signature that suffices closes the incident. Returns whether it is closed now.

    Raises DocumentationIncomplete with everything that is missing, GateRefused for the person concerned, a sole doer
    or a second signature by the same person, Forbidden without the role, Conflict in another state.
    """
    settle_documents(change, as_if_signed=True)
    judged = judge_sign_off(View(change))
    if judged.permit == "gate":
        if not overrides and not change.actor.roles.intersection(judged.any_role):
            raise Forbidden(f"Your roles do not allow sign_off here. It takes: {', '.join(judged.any_role)}.")
        raise DocumentationIncomplete(
            f"{len(judged.missing)} thing(s) are missing before this can be signed off.",
            gate=judged.gate,
            missing=judged.missing,
            current=_state(change),
        )
    exceptions = set(change.record.exceptions)
    pass_or_refuse(change, judged, overrides, _state(change))
    signed = standing(change)
    role = "risk_owner" if not signed else next(iter(sorted(change.actor.roles & SECOND.roles)), "risk_owner")
    made = sorted(set(change.record.exceptions) - exceptions)
    signature = Signature(
        id=change.new_id(),
        round=1 + sum(1 for s in change.record.signatures.values() if s.voided_at and s.role == "risk_owner"),
        person_id=change.actor.id,
        role=role,
        statement=statement,
        signed_at=change.now,
        record_hash=signed[0].record_hash if signed else change.around.head_hash,
        override={"exception_ids": made} if made else None,
    )
    change.record.signatures[str(signature.id)] = signature
    change.emit("sign_off.signed", signature_id=signature.id, role=role, record_hash=signature.record_hash)
    if len(signed) + 1 < signatures_needed(change):
        return False
    _close(change)
    return True


def _state(change: Change) -> Mapping[str, Any]:
    incident = change.record.incident
    return {
        "status": incident.status,
        "version": incident.version,
        "signatures": len(standing(change)),
        "signatures_needed": signatures_needed(change),
    }


def _close(change: Change) -> None:
    """The closing actions, the last step and the incident itself, all in one commit with the final signature."""
    record, incident = change.record, change.record.incident
    incident.status, incident.closed_at = "closed", change.now
    view = View(change)
    for action_id in sorted(view.closing):
        run = record.actions[action_id]
        if run.status != "done":
            run.status, run.occurred_at, run.recorded_at = "done", change.now, change.now
            run.performed_by = run.recorded_by = change.person_id
            change.emit("sign_off.action_completed", action_id=action_id)
    last = list(record.steps.values())[-1]
    if last.status not in FINISHED:
        finish_step(change, last, change.now, change.person_id)
    for occurrence in record.occurrences.values():
        if occurrence.purpose == "documentation" and occurrence.met_at is None and occurrence.voided_at is None:
            occurrence.met_at = occurrence.met_occurred_at = change.now
    incident.current_step = incident.next_due_at = incident.next_alarm_at = None
    incident.next_at_risk_at = incident.next_breach_at = None
    settle_documents(change, as_if_signed=True)
    change.emit("incident.closed", severity=incident.severity, signatures=len(standing(change)))
