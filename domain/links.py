"""Links between incidents. Both sides hold one, so that each record tells its own story."""

from uuid import UUID

from domain.changes import Change, Opening
from domain.doings import require_reason
from domain.procedures import Action
from domain.record import Link, Record
from domain.refusals import Conflict, InputError, Invalid, NotFound

RELATED = "related"
MIRROR = {
    "parent": "child",
    "child": "parent",
    "duplicate": "duplicate",
    "related": "related",
    "client_part": "client_part",
}


def add_link(change: Change, other_id: UUID, kind: str, reason: str | None, action_id: str | None = None) -> Link:
    """Link this incident to another one of the tenant. Raises Invalid for a link to itself, Conflict for a repeat."""
    if other_id == change.record.incident.id:
        text = "cannot be the incident itself"
        raise Invalid(f"/incident_id {text}.", errors=[InputError("/incident_id", text)])
    for link in change.record.links.values():
        if link.linked_incident_id == other_id and link.type == kind and link.released_at is None:
            raise Conflict("That link exists already.", current={"link_id": str(link.id)})
    made = Link(
        id=change.new_id(),
        linked_incident_id=other_id,
        type=kind,
        action_id=action_id,
        reason=reason,
        created_at=change.now,
    )
    change.record.links[str(made.id)] = made
    change.emit("link.added", link_id=made.id, linked_incident_id=other_id, type=kind, action_id=action_id)
    return made


def related(record: Record, other_id: UUID) -> Link | None:
    """The standing link of type `related` to another incident, or None."""
    standing = (link for link in record.links.values() if link.type == RELATED and link.released_at is None)
    return next((link for link in standing if link.linked_incident_id == other_id), None)


def has_linked_incident(record: Record, action_id: str) -> bool:
    """Whether an incident that this action opened or linked is still tied to the record."""
    return any(link.action_id == action_id and link.released_at is None for link in record.links.values())


def tie_incident(change: Change, action: Action, other_id: UUID | None) -> None:
    """Tie the incident that an action asks for: the one given, the one it opened before, or a new one.

    A new one is opened by the use case in the same transaction. Neither incident waits for the other.
    """
    if action.opens is None or (other_id is None and has_linked_incident(change.record, action.id)):
        return
    reason = f"{action.id}: {action.text}"
    if other_id is None:
        opening = Opening(id=change.new_id(), playbook=action.opens.playbook, action_id=action.id)
        change.openings.append(opening)
        add_link(change, opening.id, RELATED, reason, action.id)
        return
    link = related(change.record, other_id)
    if link is None:
        add_link(change, other_id, RELATED, reason, action.id)
    else:
        link.action_id = action.id


def release_link(change: Change, link_id: str, reason: str | None) -> Link:
    """Release a link with a reason (C11 asks for one before a parent closes). Raises NotFound or Invalid."""
    link = change.record.links.get(link_id)
    if link is None or link.released_at is not None:
        raise NotFound
    link.released_at, link.release_reason = change.now, require_reason(reason, "release a link")
    change.emit("link.released", link_id=link.id, reason=link.release_reason)
    return link
