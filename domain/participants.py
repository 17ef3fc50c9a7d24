"""The people of an incident: participants, and the person concerned."""

from uuid import UUID

from domain.changes import Change
from domain.doings import require_reason
from domain.record import Participant
from domain.refusals import Conflict, Forbidden, InputError, Invalid


def name_person_concerned(
    change: Change, who: str, person_id: UUID | None, note: str | None, reason: str | None
) -> None:
    """Answer whom it concerns: a person, an `outside` party, `none`, or `unknown` with a reason.

    Once set, only a `risk_owner` who is not that person changes it, with a reason. The person becomes `subject`.
    """
    incident = change.record.incident
    if incident.person_concerned is not None:
        allowed = "risk_owner" in change.actor.roles and change.actor.id != incident.person_concerned_id
        if not allowed:
            raise Forbidden("Once answered, only a risk_owner who is not the person concerned changes it.")
        require_reason(reason, "change the person concerned")
    if who == "unknown":
        note = require_reason(note or reason, "leave the person concerned unknown")
    if who == "person" and person_id not in change.around.people:
        raise Invalid("Unknown person.", errors=[InputError("/person_concerned_id", "is nobody of this tenant")])
    incident.person_concerned, incident.person_concerned_note = who, note
    incident.person_concerned_id = person_id if who == "person" else None
    change.emit("incident.person_concerned_set", answer=who, person_id=incident.person_concerned_id)
    if incident.person_concerned_id is not None:
        set_participant(change, incident.person_concerned_id, [], "subject")


def set_participant(change: Change, person_id: UUID, roles: list[str], involvement: str) -> None:
    """Add somebody to the incident or change the part they have. `hr` is added by risk_owner alone (G-ALL-8)."""
    found = change.record.participants.get(str(person_id))
    added = found.added_at if found else change.now
    participant = Participant(
        person_id=person_id, roles=roles, involvement=involvement, added_by=change.actor.id, added_at=added
    )
    change.record.participants[str(person_id)] = participant
    change.emit("participant.set", person_id=person_id, involvement=involvement, roles=roles)


def add_participant(change: Change, person_id: UUID, roles: list[str], involvement: str, reason: str | None) -> None:
    """Add somebody as asked. `hr` needs a reason (G-ALL-8). Raises Conflict on a closed record, Invalid otherwise."""
    status = change.record.incident.status
    if status in ("closed", "rejected"):
        raise Conflict(f"The incident is {status}.", current={"status": status})
    if person_id not in change.around.people:
        raise Invalid("Unknown person.", errors=[InputError("/person_id", "is not an active person of this tenant")])
    if "hr" in roles:
        change.emit("participant.hr_added", person_id=person_id, reason=require_reason(reason, "add hr"))
    set_participant(change, person_id, roles, involvement)
