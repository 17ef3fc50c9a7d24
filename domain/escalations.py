"""Escalations that the rules open by themselves: severity (severity.md section 1) and harm to a client (G-ALL-6)."""

from datetime import datetime, timedelta

from domain.changes import Change
from domain.record import Notification

BY_SEVERITY: dict[str, dict[str, timedelta]] = {
    "SEV1": {
        "executive_leadership": timedelta(0),
        "legal_counsel": timedelta(0),
        "security_lead": timedelta(0),
    },
    "SEV2": {
        "risk_owner": timedelta(hours=1),
        "security_lead": timedelta(hours=1),
        "legal_counsel": timedelta(hours=1),
        "executive_leadership": timedelta(hours=4),
    },
}
"""Who is told within which time; SEV3 and SEV4 reach risk_owner through the playbook's own steps."""
BY_HARM = {"executive_leadership": timedelta(0), "legal_counsel": timedelta(0)}


def settle_escalations(change: Change) -> None:
    """Draft the escalations that are new. One per role: a higher level only adds those not yet told."""
    incident = change.record.incident
    if incident.declared_at is None:
        return
    wanted = dict(BY_SEVERITY.get(incident.severity, {}))
    harm = incident.facts.get("client_harm", {})
    if harm.get("value") is True:
        wanted |= BY_HARM
    told = {n.audience: n for n in change.record.notifications.values() if n.kind == "escalation"}
    for role, within in wanted.items():
        if role in told:
            _hasten(change, told[role], change.now + within)
            continue
        escalation = Notification(
            id=change.new_id(),
            kind="escalation",
            audience=role,
            channel="to be chosen",
            subject=f"{incident.severity} escalation to {role}",
            body=f"An incident is {incident.severity}. Please take note and say how to keep you informed.",
            author_id=change.person_id or incident.opened_by_id,
            created_at=change.now,
            due_at=change.now + within,
        )
        change.record.notifications[str(escalation.id)] = escalation
        change.emit("escalation.opened", notification_id=escalation.id, audience=role, due_at=escalation.due_at)


def _hasten(change: Change, escalation: Notification, due_at: datetime) -> None:
    """One that still waits is due as soon as what happened since asks for it."""
    if escalation.sent_at is None and escalation.due_at is not None and due_at < escalation.due_at:
        escalation.due_at = due_at
        change.emit("escalation.hastened", notification_id=escalation.id, audience=escalation.audience, due_at=due_at)
