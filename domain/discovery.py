"""The instant of discovery: every clock counts from it, so correcting it is an event of its own."""

from datetime import UTC, datetime

from domain.changes import Change
from domain.deadlines import clock_start, deadline
from domain.doings import require_reason
from domain.playbooks import Playbook, catalogue
from domain.refusals import Forbidden, InputError, Invalid
from domain.timeline import instant_text

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)  # anything earlier is a slip, and calendars end somewhere


def move_discovery(change: Change, discovered_at: datetime | str, precision: str | None, reason: str | None) -> None:
    """Correct the instant of discovery. After declaration: `risk_owner`, a reason, new deadlines, an exception."""
    incident = change.record.incident
    at = discovery_instant(discovered_at)
    if at > incident.reported_at:
        raise _bad("lies after the report")
    wanted = precision or incident.discovered_at_precision
    if (at, wanted) == (incident.discovered_at, incident.discovered_at_precision):
        return
    before = incident.discovered_at
    incident.discovered_at, incident.discovered_at_precision = at, wanted
    for occurrence in change.record.occurrences.values():
        occurrence.discovered_at = at
    if incident.declared_at is None:
        suggested = catalogue().get((incident.suggested_playbook or {}).get("slug", ""))
        incident.provisional_deadlines = provisional(change, suggested) if suggested else []
        return
    if "risk_owner" not in change.actor.roles:
        raise Forbidden("After declaration only risk_owner corrects the instant of discovery.")
    why = require_reason(reason, "correct the instant of discovery")
    change.deviate("discovery_corrected", why, details={"before": instant_text(before), "after": instant_text(at)})
    _recompute_deadlines(change, why)


def discovery_instant(given: datetime | str) -> datetime:
    """The instant in UTC. Raises Invalid without a time zone, for one that no calendar has, and before 2000."""
    try:
        at = datetime.fromisoformat(given.upper()) if isinstance(given, str) else given
        if at.tzinfo is None:
            raise _bad("needs a time zone")
        at = at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _bad("is no instant; write it as 2026-11-20T02:00:00Z") from None
    if at < EARLIEST:
        raise _bad("lies before 2000")
    return at


def _bad(text: str) -> Invalid:
    return Invalid(f"/discovered_at {text}.", errors=[InputError("/discovered_at", text)])


def provisional(change: Change, playbook: Playbook) -> list[dict[str, str]]:
    """The deadlines that would run if the suggestion were declared: clocks do not wait for triage."""
    incident, settings = change.record.incident, change.around.settings
    start = clock_start(incident.discovered_at, incident.discovered_at_precision, settings.calendar)
    due = ((step.id, deadline(step.sla, start, settings.calendar, settings.grace).due_at) for step in playbook.steps)
    return [{"step_id": step_id, "due_at": instant_text(at)} for step_id, at in due]


def _recompute_deadlines(change: Change, reason: str) -> None:
    assert change.playbook is not None
    settings, incident = change.around.settings, change.record.incident
    start = clock_start(incident.discovered_at, incident.discovered_at_precision, settings.calendar)
    for step in change.playbook.steps:
        run = change.record.steps[step.id]
        times = deadline(step.sla, start, settings.calendar, settings.grace)
        kept = {"due_at": instant_text(run.due_at), "replaced_at": instant_text(change.now), "reason": reason}
        run.earlier_deadlines = [*run.earlier_deadlines, kept]
        run.clock_started_at, run.at_risk_at = times.clock_started_at, times.at_risk_at
        run.due_at, run.breach_at = times.due_at, times.breach_at
        is_last = step.id == change.playbook.last_step.id
        for occurrence in change.record.occurrences.values():
            is_due_with = occurrence.step_id == step.id or (is_last and occurrence.purpose == "documentation")
            if is_due_with and occurrence.voided_at is None:
                occurrence.due_at, occurrence.breach_at = times.due_at, times.breach_at
    change.emit("incident.deadlines_recomputed", reason=reason)
