"""The incident itself: reporting, declaring, holding, rejecting, reopening, and editing its header."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType, field

from domain.actions import offered, reopen_action
from domain.changes import Change
from domain.deadlines import clock_start, deadline
from domain.documentation import lacking
from domain.doings import require_reason
from domain.fact_sheet import set_fact
from domain.facts import is_derived
from domain.gating import View
from domain.overrides import Override, pass_or_refuse
from domain.playbooks import Playbook
from domain.record import ActionRun, ControlOccurrence, Evidence, FollowUp, Link, Notification, StepRun
from domain.refusals import Conflict, InputError, Invalid
from domain.verdicts import Verdict, Who, verdict

DECLARERS = frozenset(
    {"it_security", "security_lead", "risk_owner", "account_owner", "privacy", "compliance", "vendor_management"}
)
DONE = ("done", "skipped", "unavailable")
LEADERS = frozenset({"risk_owner", "security_lead"})

TRANSITIONS: dict[tuple[str, str], str] = {
    ("reported", "acknowledge"): "triage",
    ("reported", "declare"): "in_progress",
    ("triage", "declare"): "in_progress",
    **{(s, "hold"): "on_hold" for s in ("reported", "triage", "in_progress", "contained", "post_incident", "reopened")},
    ("on_hold", "resume"): "(back)",
    **{
        (s, "reject"): "rejected"
        for s in ("reported", "triage", "in_progress", "contained", "post_incident", "on_hold", "reopened")
    },
    **{(s, "reclassify"): "in_progress" for s in ("in_progress", "contained", "post_incident", "reopened")},
    ("on_hold", "reclassify"): "on_hold",
    ("closed", "reopen"): "reopened",
    ("rejected", "reopen"): "triage",
}
"""The state machine of the glossary; `contained`, `post_incident` and `closed` are reached by the work itself."""


class IncidentCommand(Struct, frozen=True, kw_only=True):
    """One transition of the incident, as asked for. `playbook` is resolved by the use case."""

    transition: str
    playbook: Playbook | None = None
    primary_risk: str | None = None
    disposition: str | None = None
    reason: str | None = None
    waiting_for: str | None = None
    action_ids: list[str] = field(default_factory=list)
    overrides: list[Override] = field(default_factory=list)


class HeaderEdit(Struct, frozen=True, kw_only=True):
    """The header fields a caller may change; what is absent stays."""

    title: str | UnsetType = UNSET
    summary: str | UnsetType | None = UNSET
    client_ids: list[UUID] | UnsetType = UNSET
    labels: list[str] | UnsetType = UNSET
    ai_elements: list[str] | UnsetType = UNSET
    impact_types: list[str] | UnsetType = UNSET
    severity_hint: str | UnsetType = UNSET
    facts: dict[str, Any] = field(default_factory=dict)
    reason: str | None = None


def judge_incident(view: View, transition: str) -> Verdict:
    """What `transition` of this incident would answer now, persons left open."""
    incident = view.record.incident
    state = None
    if (incident.status, transition) not in TRANSITIONS:
        state = f"The incident is {incident.status}."
    who, needs_person = _WHO[transition]
    gate = None
    if transition == "reject" and state is None:
        missing = [m for d in ("D01", "D02") for m in lacking(view.change, d)]
        if missing:
            gate = ("G-ALL-2", "Rejecting needs who discovered it, when and how (D01, D02).", missing)
    return verdict(transition, who, state=state, gate=gate, needs_person=needs_person)


_WHO: dict[str, tuple[Who, bool]] = {
    "acknowledge": (Who(DECLARERS), False),
    "declare": (Who(DECLARERS), False),
    "hold": (Who(LEADERS), False),
    "resume": (Who(LEADERS), False),
    "reject": (Who(LEADERS), True),
    "reclassify": (Who(LEADERS), True),
    "reopen": (Who(frozenset({"risk_owner"})), True),
}


def incident_state(change: Change) -> Mapping[str, Any]:
    """What a refusal tells about the present."""
    return {"status": change.record.incident.status, "version": change.record.incident.version}


def transition_incident(change: Change, command: IncidentCommand) -> None:
    """Apply one transition. Raises Conflict, GateRefused, Forbidden or Invalid."""
    if command.transition == "declare" and command.playbook is not None:
        change.playbook = command.playbook
    judged = judge_incident(View(change), command.transition)
    pass_or_refuse(change, judged, command.overrides, incident_state(change))
    _EFFECTS[command.transition](change, command)


def acknowledge(change: Change, command: IncidentCommand | None = None) -> None:
    """Somebody evaluates it now: the triage occurrence is met."""
    incident = change.record.incident
    incident.status = "triage"
    meet_triage(change)
    change.emit("incident.acknowledged")


def meet_triage(change: Change) -> None:
    """The first touch, whichever it was."""
    incident = change.record.incident
    if incident.acknowledged_at is not None:
        return
    incident.acknowledged_at, incident.acknowledged_by = change.now, change.person_id
    for occurrence in change.record.occurrences.values():
        if occurrence.purpose == "triage" and occurrence.met_at is None:
            occurrence.met_at = occurrence.met_occurred_at = change.now


def declare(change: Change, command: IncidentCommand) -> None:
    """Pin the playbook, start its clocks, and expect its controls to operate."""
    incident, playbook = change.record.incident, command.playbook or change.playbook
    if playbook is None:
        raise Invalid("Say which playbook to run.", errors=[InputError("/playbook", "is required to declare")])
    change.playbook = playbook
    risk = command.primary_risk or incident.primary_risk or playbook.primary_risk
    if risk is None:
        text = f"is asked for {playbook.slug}: the risk register entry this incident belongs to"
        raise Invalid(f"/primary_risk {text}.", errors=[InputError("/primary_risk", text)])
    meet_triage(change)
    incident.status, incident.declared_at = "in_progress", change.now
    incident.playbook_slug, incident.playbook_version = playbook.slug, playbook.version
    incident.playbook_hash, incident.primary_risk = playbook.hash, risk
    incident.provisional_deadlines = []
    change.emit("incident.declared", playbook=playbook.slug, version=playbook.version, hash=playbook.hash, risk=risk)
    instantiate(change, playbook)


def instantiate(change: Change, playbook: Playbook) -> None:
    """Create step runs, action runs and the control occurrences they should produce."""
    record, settings = change.record, change.around.settings
    incident = record.incident
    start = clock_start(incident.discovered_at, incident.discovered_at_precision, settings.calendar)
    for step in playbook.steps:
        times = deadline(step.sla, start, settings.calendar, settings.grace)
        record.steps[step.id] = StepRun(
            generation=incident.generation,
            id=step.id,
            position=step.position,
            clock_started_at=times.clock_started_at,
            at_risk_at=times.at_risk_at,
            due_at=times.due_at,
            breach_at=times.breach_at,
            playbook_hash=playbook.hash,
        )
        for action in step.actions:
            record.actions[action.id] = ActionRun(
                generation=incident.generation,
                id=action.id,
                step_id=step.id,
                position=action.position,
                playbook_hash=playbook.hash,
            )
        for control in step.controls:
            _expect(change, control, "step", step.id, list(step.owner_roles), times.due_at, times.breach_at)
    last = record.steps[playbook.steps[-1].id]
    _expect(change, "CC7.3", "documentation", None, ["risk_owner"], last.due_at, last.breach_at)


def _expect(
    change: Change,
    control: str,
    purpose: str,
    step_id: str | None,
    of: list[str],
    due_at: datetime,
    breach_at: datetime,
) -> None:
    incident = change.record.incident
    made = ControlOccurrence(
        id=change.new_id(),
        control=control,
        generation=incident.generation,
        playbook_slug=None if purpose == "triage" else incident.playbook_slug,
        discovered_at=incident.discovered_at,
        exercise=incident.exercise,
        step_id=step_id,
        purpose=purpose,
        expected_of=of,
        due_at=due_at,
        breach_at=breach_at,
    )
    change.record.occurrences[str(made.id)] = made


def expect_triage(change: Change) -> None:
    """Every report is an event to evaluate: CC7.3 `triage`, due with the triage deadline."""
    due = change.record.incident.triage_due_at
    _expect(change, "CC7.3", "triage", None, sorted(DECLARERS), due, due)


def _hold(change: Change, command: IncidentCommand) -> None:
    if not command.waiting_for:
        raise Invalid("Say who or what is waited for.", errors=[InputError("/waiting_for", "is required to hold")])
    incident = change.record.incident
    reason = require_reason(command.reason, "hold an incident")
    incident.status_before_hold, incident.status = incident.status, "on_hold"
    incident.hold = {"reason": reason, "waiting_for": command.waiting_for}
    change.emit("incident.held", reason=reason, waiting_for=command.waiting_for)


def _resume(change: Change, command: IncidentCommand) -> None:
    incident = change.record.incident
    incident.status, incident.status_before_hold = incident.status_before_hold or "triage", None
    incident.hold = None
    change.emit("incident.resumed", status=incident.status)


DISPOSITIONS = ("false_positive", "duplicate", "test", "out_of_scope")


def _reject(change: Change, command: IncidentCommand) -> None:
    """C10: not an incident. It stays in the population with its disposition; expected controls become voided."""
    if command.disposition not in DISPOSITIONS:
        text = f"must be one of {', '.join(DISPOSITIONS)}"
        raise Invalid(f"/disposition {text}.", errors=[InputError("/disposition", text)])
    reason = require_reason(command.reason, "reject")
    incident = change.record.incident
    meet_triage(change)
    incident.status, incident.disposition, incident.rejected_at = "rejected", command.disposition, change.now
    incident.next_due_at = incident.next_alarm_at = incident.current_step = None
    incident.next_at_risk_at = incident.next_breach_at = None
    incident.hold = incident.status_before_hold = None
    for occurrence in change.record.occurrences.values():
        if occurrence.met_at is None and occurrence.skipped_at is None and occurrence.voided_at is None:
            occurrence.voided_at = change.now
    change.emit("incident.rejected", disposition=command.disposition, reason=reason)


def _reopen(change: Change, command: IncidentCommand) -> None:
    incident, reason = change.record.incident, require_reason(command.reason, "reopen")
    if incident.status == "rejected":
        for occurrence in change.record.occurrences.values():
            if occurrence.voided_at == incident.rejected_at:  # what an earlier playbook left stays voided
                occurrence.voided_at = None
        incident.status, incident.disposition, incident.rejected_at = "triage", None, None
        change.emit("incident.reopened", reason=reason, action_ids=[])
        if incident.declared_at is not None:
            incident.status = "in_progress"
        return
    unfit = [a for a in command.action_ids if not _can_be_done_again(change, a)]
    if unfit or not command.action_ids:
        text = "names the actions to do again" if not command.action_ids else f"cannot be reopened: {', '.join(unfit)}"
        raise Invalid(f"/action_ids {text}.", errors=[InputError("/action_ids", text)])
    incident.status, incident.closed_at = "reopened", None
    incident.reopened = {"reason": reason, "action_ids": command.action_ids}
    change.emit("incident.reopened", reason=reason, action_ids=command.action_ids)
    for signature in change.record.signatures.values():
        signature.voided_at = signature.voided_at or change.now
    for action_id in command.action_ids:
        reopen_action(change, change.record.actions[action_id], reason)


def _can_be_done_again(change: Change, action_id: str) -> bool:
    run, action = change.record.actions.get(action_id), change.playbook.action(action_id) if change.playbook else None
    return run is not None and action is not None and "reopen" in offered(action) and run.status in DONE


def _reclassify(change: Change, command: IncidentCommand) -> None:
    """Another playbook: number, evidence, documents and every action whose id or `same_as` exists there stay."""
    playbook, record = command.playbook, change.record
    if playbook is None:
        raise Invalid("Say which playbook to change to.", errors=[InputError("/playbook", "is required")])
    if playbook.hash == record.incident.playbook_hash:
        raise Conflict(f"The incident already runs {playbook.slug}.", current=incident_state(change))
    reason, before = require_reason(command.reason, "reclassify"), record.incident.playbook_slug
    done, old = dict(record.actions), change.playbook
    for occurrence in record.occurrences.values():
        if occurrence.purpose != "triage":
            occurrence.voided_at = occurrence.voided_at or change.now
    record.steps, record.actions = {}, {}
    incident = record.incident
    incident.generation += 1
    incident.playbook_slug, incident.playbook_version = playbook.slug, playbook.version
    incident.playbook_hash, change.playbook = playbook.hash, playbook
    incident.primary_risk = command.primary_risk or playbook.primary_risk or incident.primary_risk
    change.emit("incident.reclassified", before=before, after=playbook.slug, reason=reason, hash=playbook.hash)
    instantiate(change, playbook)
    _carry_over(change, playbook, old, done)


def _carry_over(change: Change, playbook: Playbook, old: Playbook | None, done: dict[str, ActionRun]) -> None:
    roots = {a.same_as or a.id: a.id for s in old.steps for a in s.actions} if old else {}
    for run in change.record.actions.values():
        action = playbook.action(run.id)
        source = done.get(run.id) or done.get(roots.get((action.same_as if action else None) or run.id, ""))
        if source is not None and source.id != run.id:
            _rename(change, source.id, run.id)
        if source is None or source.status not in DONE:
            continue
        for name in ("status", "outcome", "values", "note", "reason", "occurred_at", "recorded_at"):
            setattr(run, name, getattr(source, name))
        run.recorded_by, run.performed_by = source.recorded_by, source.performed_by
        run.evidence_ids, run.approvals, run.late_entry = source.evidence_ids, source.approvals, source.late_entry


def _rename(change: Change, before: str, after: str) -> None:
    """What belongs to an action follows it to its new id."""
    record = change.record
    belongings: list[Evidence | Notification | FollowUp | Link] = [*record.evidence.values(), *record.links.values()]
    for item in (*belongings, *record.notifications.values(), *record.follow_ups.values()):
        if item.action_id == before:
            item.action_id = after


_EFFECTS = {
    "acknowledge": acknowledge,
    "declare": declare,
    "hold": _hold,
    "resume": _resume,
    "reject": _reject,
    "reclassify": _reclassify,
    "reopen": _reopen,
}


def edit_header(change: Change, edit: HeaderEdit) -> None:
    """Change header fields and facts. Raises Conflict on a closed record, Invalid for a derived fact."""
    incident = change.record.incident
    if incident.status in ("closed", "rejected"):
        raise Conflict(
            f"The incident is {incident.status}: reopen it, or add an amendment.", current=incident_state(change)
        )
    changed = []
    for name in ("title", "summary", "labels", "ai_elements", "impact_types", "severity_hint"):
        value = getattr(edit, name)
        if value is not UNSET and value != getattr(incident, name):
            setattr(incident, name, value)
            changed.append(name)
    if edit.client_ids is not UNSET:
        unknown = [c for c in edit.client_ids if c not in change.around.clients]
        if unknown:
            raise Invalid("Unknown client.", errors=[InputError("/client_ids", f"no such client: {unknown[0]}")])
        if set(edit.client_ids) != set(incident.client_ids):
            incident.client_ids = list(dict.fromkeys(edit.client_ids))
            changed.append("client_ids")
    for name, value in edit.facts.items():
        if is_derived(name):
            text = f"{name} follows from the documentation; write it there"
            raise Invalid(f"/facts/{name} {text}.", code="fact-derived", errors=[InputError(f"/facts/{name}", text)])
        if set_fact(incident.facts, name, value, set_by=change.actor.id, at=change.now):
            changed.append(f"facts.{name}")
    if changed:
        change.emit("incident.edited", fields=changed)


def assign_incident(change: Change, person_id: UUID) -> None:
    """Give the incident to a person; the first assignment of a report is its triage."""
    if person_id not in change.around.people:
        raise Invalid("Unknown person.", errors=[InputError("/person_id", "is not an active person of this tenant")])
    incident = change.record.incident
    if incident.status in ("closed", "rejected"):
        raise Conflict(f"The incident is {incident.status}.", current=incident_state(change))
    incident.assignee_id = person_id
    change.emit("incident.assigned", person_id=person_id)
    if incident.status == "reported":
        acknowledge(change)
