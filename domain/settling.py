"""What follows from a change: one closing of the rules over the record, run after every command.

Order matters and is all there is to know: facts from documents -> obligations -> requirements of actions ->
briefings -> severity -> escalations -> documents -> steps -> the incident's own status -> control occurrences ->
deadlines -> allowed transitions.
It is idempotent: settling a settled record changes nothing and emits nothing.
"""

from datetime import datetime
from typing import Any

from msgspec import json

from domain.actions import OPEN, offers_of
from domain.assessment_alarms import alarm_at, open_assessment_step
from domain.briefings import settle_briefings
from domain.changes import Change
from domain.documentation import settle_document
from domain.duties import offers_of_duty, settle_duties
from domain.escalations import settle_escalations
from domain.fact_sheet import put_derived
from domain.facts import derive, known_values
from domain.gating import View, is_settled
from domain.incidents import judge_incident
from domain.inputs import uncovered
from domain.links import has_linked_incident
from domain.notifications import judge_notification
from domain.obligation_plan import settle_order
from domain.obligation_rules import contract_rules
from domain.playbooks import Action
from domain.record import UNOFFERED, ActionRun, StepRun
from domain.relations import step_actors
from domain.reviews import settle_review, settle_texts
from domain.severity import LEVELS, highest, severity
from domain.steps import FINISHED, judge_step, settle_steps
from domain.verdicts import stored

SENT = ("sent", "acknowledged")
INCIDENT_TRANSITIONS = ("acknowledge", "declare", "reclassify", "hold", "resume", "reject", "reopen")


def settle(change: Change) -> None:
    """Bring everything that follows from the record into line with it."""
    record = change.record
    if record.incident.status in ("closed", "rejected"):
        _offer(View(change))
        return
    _settle_facts(change)
    settle_duties(change)
    settle_order(change.record.obligations.values())
    view = View(change)
    declared = record.incident.declared_at is not None
    if declared:
        _settle_requirements(view)
        settle_briefings(change)
    _settle_severity(change)
    settle_escalations(change)
    for item_id in record.documents:
        if item_id != "D06":
            settle_document(change, item_id)
    if declared:
        view.touch()
        settle_texts(view)
        _settle_derived_actions(view)
        view.touch()
        settle_steps(change, view)
        _settle_status(change)
        _settle_workflow(change)
    settle_document(change, "D06")
    _settle_deadlines(change)
    view.touch()
    _offer(view)


def _settle_facts(change: Change) -> None:
    record = change.record
    derived = derive({"D04": record.documents["D04"].value, "D05": record.documents["D05"].value})
    impacted = [str(c) for c in derived.get("clients_affected", ())]
    known = {str(c) for c in record.incident.client_ids}
    record.incident.client_ids += [c for c in change.around.clients if str(c) in impacted and str(c) not in known]
    if "clients_affected" not in derived and record.incident.client_ids:
        derived["clients_affected"] = sorted(str(c) for c in record.incident.client_ids)
    put_derived(record.incident.facts, derived, at=change.now)


def _settle_requirements(view: View) -> None:
    change = view.change
    assert change.playbook is not None
    for step in change.playbook.steps:
        added = [role for role, text in step.owner_roles_if.items() if view.holds(text)]
        change.record.steps[step.id].added_roles = added
        for action in step.actions:
            if action.required_if is None:
                continue
            run = change.record.actions[action.id]
            holds = view.holds(action.required_if)
            requirement = "pending_fact" if holds is None else "required" if holds else "not_applicable"
            if requirement != run.requirement:
                run.requirement = requirement
                if run.status not in ("done", "skipped", "unavailable"):
                    _follow_requirement(change, run)
                view.touch()


def _follow_requirement(change: Change, run: ActionRun) -> None:
    run.status, run.reason = {"required": "pending"}.get(run.requirement, run.requirement), None
    if change.record.incident.declared_at != change.now:  # the first requirement is part of the declaration
        change.emit("action.requirement_changed", action_id=run.id, requirement=run.requirement)


def _settle_derived_actions(view: View) -> None:
    """Tick the actions that something else fulfils: a notification drafted, approved or sent, complete documents."""
    change = view.change
    assert change.playbook is not None
    for step in change.playbook.steps:
        for action in step.actions:
            run = change.record.actions[action.id]
            if run.status in ("skipped", "not_applicable"):
                continue
            at = None
            if action.type in ("notify_internal", "notify_external"):
                at = _told_at(change, action.id)
            elif action.drafts is not None or action.reviews is not None:
                at = settle_review(view, action, run)
            elif action.fulfilled_by is not None:
                documents = (change.record.documents[d] for d in action.fulfilled_by)
                at = change.now if all(d.state in ("complete", "not_applicable") for d in documents) else None
            elif action.id not in change.playbook.undoable or run.status != "done" or not _undone(change, action, run):
                continue
            _tick(change, run, at)


def _undone(change: Change, action: Action, run: ActionRun) -> bool:
    """Whether what a person did is open again: its linked incident was released, or the list it answers has grown."""
    if action.opens_with(run.outcome) and not has_linked_incident(change.record, action.id):
        return True
    return any(uncovered(change.record, w, (run.values or {}).get(w.name)) for w in action.inputs if w.one_per)


def _told_at(change: Change, action_id: str) -> datetime | None:
    """When the last notification of this action went out; None while one is unsent or none exists."""
    of_it = [n for n in change.record.notifications.values() if n.action_id == action_id]
    waiting = [n for n in of_it if n.status in ("draft", "in_review", "approved", "failed")]
    ended = [n for n in of_it if n.status in SENT or (n.status == "not_required" and n.approved_by is not None)]
    if waiting or not ended:
        return None
    return max(n.sent_at or n.approved_at or change.now for n in ended)


def _tick(change: Change, run: ActionRun, at: datetime | None) -> None:
    if at is not None and run.status in ("pending", "pending_fact"):
        run.status, run.occurred_at, run.recorded_at = "done", at, change.now
        run.recorded_by = run.performed_by = change.person_id
        change.emit("action.completed", occurred_at=at, action_id=run.id, step_id=run.step_id, derived=True)
    elif at is None and run.status == "done":
        run.status, run.occurred_at, run.recorded_at, run.recorded_by, run.performed_by = (
            "pending",
            None,
            None,
            None,
            None,
        )
        run.outcome = None
        change.emit("action.reopened", action_id=run.id, step_id=run.step_id, derived=True)


def _settle_severity(change: Change) -> None:
    record, incident = change.record, change.record.incident
    live = [o for o in record.obligations.values() if o.outcome == "required" and o.decision in ("open", "notify")]
    value = record.documents["D04"].value or {}
    computed = severity(
        known_values(incident.facts),
        playbook=incident.playbook_slug or (incident.suggested_playbook or {}).get("slug"),
        affected_data=value.get("entries") or ([] if value.get("none") else None),
        regulator_duty=any(o.toward == "regulator" for o in live),
        contract_duty=any(o.rule_id in contract_rules() for o in live),
        harm_cost_threshold=change.around.settings.harm_cost_threshold,
    )
    level = _adjusted(incident.severity_adjustment, computed.level)
    incident.severity_basis = json.decode(json.encode(computed))  # lists, as they are read back
    if level != incident.severity:
        change.emit("severity.changed", before=incident.severity, after=level, provisional=computed.provisional)
        incident.severity = level
    if incident.declared_at is not None:
        peak = highest(computed.level, level)
        incident.severity_highest = highest(incident.severity_highest or peak, peak)


def _adjusted(adjustment: Any, computed: str) -> str:
    """A raise is a least level; a lowering takes one level off a computed one that stays above it, and never adds."""
    if not adjustment:
        return computed
    wanted: str = adjustment["level"]
    if LEVELS.index(wanted) < LEVELS.index(adjustment["computed"]):
        return highest(computed, wanted)
    if LEVELS.index(wanted) <= LEVELS.index(computed):
        return computed
    return LEVELS[LEVELS.index(computed) + 1]


def _settle_status(change: Change) -> None:
    incident = change.record.incident
    assert change.playbook is not None
    review = change.record.steps[change.playbook.post_incident_step.id]
    contained = all(r.status in FINISHED for r in change.record.steps.values() if r.position < review.position)
    status = "in_progress"
    if contained:
        incident.contained_at = incident.contained_at or change.now
        status = "post_incident" if review.started_at is not None else "contained"
    if status == "post_incident":
        incident.post_incident_at = incident.post_incident_at or change.now
    current = incident.status_before_hold if incident.status == "on_hold" else incident.status
    just_reopened = not change.events or any(event.kind == "incident.reopened" for event in change.events)
    if status == current or (current == "reopened" and just_reopened):
        return
    if incident.status == "on_hold":
        incident.status_before_hold = status
    else:
        incident.status = status
    change.emit(f"incident.{status}", before=current)


def _settle_workflow(change: Change) -> None:
    """The status of the automated workflow the incident is about: it follows from two actions and is never set."""
    record, incident = change.record, change.record.incident
    workflow = change.playbook.workflow if change.playbook is not None else None
    status = None
    if workflow is not None:
        returned = record.actions[workflow.returned_by]
        suspended = record.actions[workflow.suspended_by].status == "done"
        status = "suspended" if suspended else "running"
        if returned.status == "done":
            status = workflow.outcomes[returned.outcome or ""]
    if status != incident.workflow_status:
        before, incident.workflow_status = incident.workflow_status, status
        change.emit("incident.workflow_changed", before=before, after=status)


def _settle_deadlines(change: Change) -> None:
    record, incident = change.record, change.record.incident
    waiting = [run for run in record.steps.values() if run.status not in FINISHED]
    incident.current_step = waiting[0].id if waiting else None
    extra = [a.due_at for a in record.actions.values() if a.due_at is not None and not is_settled(a)]
    dues = [run.due_at for run in waiting] + extra
    if incident.declared_at is None:
        dues = [incident.triage_due_at] if incident.acknowledged_at is None else []
    incident.next_due_at = min(dues, default=None)
    incident.next_at_risk_at = min((run.at_risk_at for run in waiting), default=None)
    incident.next_breach_at = min((run.breach_at for run in waiting), default=None)
    if incident.declared_at is None:
        incident.next_breach_at = incident.next_due_at
    incident.next_alarm_at = min(_alarms(change, waiting), default=None)


def _alarms(change: Change, waiting: list[StepRun]) -> list[datetime]:
    alarms: list[datetime] = []
    for run in waiting:
        if run.breached_announced_at is None:
            alarms.append(run.breach_at if run.at_risk_announced_at else min(run.at_risk_at, run.breach_at))
    for occurrence in change.record.occurrences.values():
        settled = occurrence.met_at or occurrence.skipped_at or occurrence.voided_at or occurrence.breached_announced_at
        if not settled:
            alarms.append(occurrence.breach_at)
    for duty in change.record.obligations.values():
        undone = duty.outcome != "not_triggered" and duty.notified_at is None and duty.decision in ("open", "notify")
        if undone and duty.due_at is not None and duty.overdue_announced_at is None:
            alarms.append(duty.due_at)
    if open_assessment_step(change) is not None:
        alarms += [at for duty in change.record.obligations.values() if (at := alarm_at(change, duty)) is not None]
    return alarms


def _offer(view: View) -> None:
    """Store what each transition would answer, the person part left open."""
    record, playbook = view.record, view.change.playbook
    record.incident.allowed = stored([judge_incident(view, name) for name in INCIDENT_TRANSITIONS])
    for notification in record.notifications.values():
        notification.allowed = stored(judge_notification(view, notification))
    for duty in record.obligations.values():
        duty.allowed = offers_of_duty(view, duty)
    if playbook is None or not record.steps:
        return
    working = record.incident.status in OPEN
    for step in playbook.steps:
        who = step_actors(record, step, taking_part=view.members)
        steps = [judge_step(view, step, name, who=who) for name in ("complete", "skip")] if working else []
        record.steps[step.id].allowed = stored(steps)
        for action in step.actions:
            record.actions[action.id].allowed = offers_of(view, step, action, who) if working else UNOFFERED
