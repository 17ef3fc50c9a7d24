"""Links between incidents. Both sides hold one, so that each record tells its own story."""

from uuid import UUID

from domain.changes import Change
from domain.doings import require_reason
from domain.record import Link
from domain.refusals import Conflict, InputError, Invalid, NotFound

MIRROR = {
    "parent": "child",
    "child": "parent",
    "duplicate": "duplicate",
    "related": "related",
    "client_part": "client_part",
}


def add_link(change: Change, other_id: UUID, kind: str, reason: str | None) -> Link:
    """Link this incident to another one of the tenant. Raises Invalid for a link to itself, Conflict for a repeat."""
    if other_id == change.record.incident.id:
        text = "cannot be the incident itself"
        raise Invalid(f"/incident_id {text}.", errors=[InputError("/incident_id", text)])
    for link in change.record.links.values():
        if link.linked_incident_id == other_id and link.type == kind and link.released_at is None:
            raise Conflict("That link exists already.", current={"link_id": str(link.id)})
    made = Link(id=change.new_id(), linked_incident_id=other_id, type=kind, reason=reason, created_at=change.now)
    change.record.links[str(made.id)] = made
    change.emit("link.added", link_id=made.id, linked_incident_id=other_id, type=kind)
    return made


def release_link(change: Change, link_id: str, reason: str | None) -> Link:
    """Release a link with a reason (C11 asks for one before a parent closes). Raises NotFound or Invalid."""
    link = change.record.links.get(link_id)
    if link is None or link.released_at is not None:
        raise NotFound
    link.released_at, link.release_reason = change.now, require_reason(reason, "release a link")
    change.emit("link.released", link_id=link.id, reason=link.release_reason)
    return link
