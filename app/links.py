"""Links between incidents: both records change in one transaction, locked in the order of their ids."""

from collections.abc import Callable
from uuid import UUID

from msgspec import structs

from app.authentication import Principal
from app.database import Db
from app.incidents import change_incident, require, visible_incident
from domain.actions import ActionCommand, transition_action
from domain.changes import Change
from domain.links import MIRROR, RELATED, add_link, related, release_link
from domain.record import Record
from domain.refusals import Forbidden, InputError, Invalid, NotFound


async def link_incidents(
    db: Db, principal: Principal, ref: UUID | str, other: UUID | str, kind: str, reason: str | None
) -> tuple[Record, UUID]:
    """Link two incidents; the record of the first and the id of its link.

    Raises NotFound when either is not visible, Forbidden, Conflict for a repeat, Invalid for a link to itself.
    """
    one, two = await visible_incident(db, ref), await visible_incident(db, other)
    made: dict[UUID, UUID] = {}
    records: dict[UUID, Record] = {}
    sides = {one: (two, kind), two: (one, MIRROR[kind])} if one != two else {one: (two, kind)}
    for incident_id in sorted(sides):
        that, its_kind = sides[incident_id]

        def apply(change: Change, this: UUID = incident_id, that: UUID = that, its_kind: str = its_kind) -> None:
            if this == one:
                require(change, "link.write")
            made[this] = add_link(change, that, its_kind, reason).id

        records[incident_id] = await change_incident(db, principal, incident_id, apply)
    return records[one], made[one]


async def transition_and_tie(
    db: Db, principal: Principal, ref: UUID | str, other: UUID | str, action_id: str, command: ActionCommand
) -> Record:
    """Do an action that ties an incident which exists already, the mirror of the link included.

    Raises NotFound when either incident is not the caller's to read, and what the transition raises.
    """
    one, two = await visible_incident(db, ref), await visible_incident(db, other)
    if one == two:
        text = "cannot be the incident itself"
        raise Invalid(f"/linked_incident {text}.", errors=[InputError("/linked_incident", text)])
    command = structs.replace(command, linked_incident_id=two)

    def mirror(change: Change) -> None:
        try:
            require(change, "incident.read")
        except Forbidden:
            raise NotFound from None
        if related(change.record, one) is None:
            add_link(change, one, RELATED, command.reason)

    sides: dict[UUID, Callable[[Change], None]] = {
        one: lambda change: transition_action(change, action_id, command),
        two: mirror,
    }
    records = {
        incident_id: await change_incident(db, principal, incident_id, sides[incident_id])
        for incident_id in sorted(sides)
    }
    return records[one]


async def release(db: Db, principal: Principal, ref: UUID | str, link_id: UUID, reason: str | None) -> Record:
    """Release a link on both sides. Raises NotFound, Forbidden, Invalid without a reason."""
    one = await visible_incident(db, ref)
    other = await db.value(
        "SELECT linked_incident_id FROM incident_links WHERE tenant_id = $1 AND incident_id = $2 AND id = $3",
        db.tenant_id,
        one,
        link_id,
    )
    records: dict[UUID, Record] = {}
    for incident_id in sorted({one, other} - {None}):

        def apply(change: Change, this: UUID = incident_id) -> None:
            if this == one:
                require(change, "link.write")
                release_link(change, str(link_id), reason)
                return
            for mirrored in list(change.record.links.values()):
                if mirrored.linked_incident_id == one and mirrored.released_at is None:
                    release_link(change, str(mirrored.id), reason)

        records[incident_id] = await change_incident(db, principal, incident_id, apply)
    return records[one]
