"""Incidents: the one way in which each is opened and changed.

A door hands over a pure change (`apply`); here it meets the record under its lock, the rules settle what follows, and
rows, events, filters and queue are written in one statement.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import msgspec

from app.authentication import Principal, lifted
from app.database import Db
from app.directory import directory
from app.ids import new_id
from app.incident_tools import load_tools, register_tools, save_tools
from app.nouns.incidents import NUMBER
from app.playbooks import asked_for, pinned
from app.record import Stored, lock_record, save_new_rows, save_record, tell_new_record
from app.reevaluation import queue_reevaluation
from domain.actors import Actor
from domain.changes import Change, Opening
from domain.incident_tools import tool_ids
from domain.openings import open_linked
from domain.permissions import allows
from domain.playbooks import catalogue, suggest
from domain.record import Record
from domain.refusals import Conflict, Forbidden, GateRefused, InputError, Invalid, NotFound, PreconditionFailed
from domain.relations import relations
from domain.reporting import Intake, Report, open_report
from domain.settling import settle

Apply = Callable[[Change], None]
Read = Callable[[UUID], Awaitable[str | None]]


class ReferenceTaken(Conflict):
    """Another incident carries this external reference: `current` names it."""

    code = "external-reference-exists"


def incident_ref(text: str) -> UUID | str:
    """An id or a number as a door receives it. Raises NotFound for what can be neither."""
    if NUMBER.fullmatch(text):
        return text
    try:
        return UUID(text)
    except ValueError:
        raise NotFound from None


async def visible_incident(db: Db, ref: UUID | str) -> UUID:
    """The id of an incident that the caller may see. Raises NotFound."""
    column = "id" if isinstance(ref, UUID) else "number"
    found: UUID | None = await db.value(
        f"SELECT id FROM incidents WHERE tenant_id = $1 AND {column} = $2",
        db.tenant_id,
        ref,
    )
    if found is None:
        raise NotFound
    return found


async def change_incident(db: Db, principal: Principal, ref: UUID | str, apply: Apply) -> Record:
    """Lock an incident, let `apply` change it, settle, write. The record as it stands afterwards.

    Raises NotFound, what `apply` raises, and ReferenceTaken.
    """
    stored = await lock_record(db, ref)
    change = await begin_change(db, principal, stored)
    try:
        apply(change)
        await register_tools(db, principal, stored, change)
        settle(change)
    except GateRefused as refusal:
        refusal.incident_id = stored.record.incident.id
        raise
    for opening in change.openings:  # before the links to them are written
        await _open_linked(db, principal, stored.record, opening)
    await write_change(db, principal, stored, change)
    await _tell_linked(db, stored)
    return stored.record


async def _tell_linked(db: Db, stored: Stored) -> None:
    """A parent closes after its children (C11): what is linked is settled anew when this one ends or returns."""
    before, after = stored.was, stored.record.incident
    ended = ("closed", "rejected")
    if before is None or (before.status in ended) == (after.status in ended):
        return
    linked = [link.linked_incident_id for link in stored.record.links.values() if link.released_at is None]
    if linked:
        await queue_reevaluation(db, incident_ids=linked)


async def begin_change(db: Db, principal: Principal | None, stored: Stored, actor: Actor | None = None) -> Change:
    """A change of a locked record, with its playbook and surroundings. `actor` when the service itself acts."""
    about = await directory(db, principal, stored.directory_version)
    playbook = await pinned(db, stored.record.incident.playbook_hash)
    around = about.around(head_hash=stored.head_hash, children_open=stored.children_open)
    acting = actor or (principal.actor if principal is not None else None)
    assert acting is not None, "somebody acts"
    change = Change(stored.record, playbook, acting, datetime.now(UTC), around, new_id)
    await load_tools(db, principal, stored, change)
    return change


async def write_change(db: Db, principal: Principal | None, stored: Stored, change: Change) -> None:
    """Write a settled change. The caller's limits are lifted meanwhile: what may be written was decided before."""
    _check_client_wall(principal, stored.record)
    async with _written(db, principal):
        await save_record(db, stored, change)
        await save_tools(db, stored, change)


@asynccontextmanager
async def _written(db: Db, principal: Principal | None) -> AsyncIterator[None]:
    """Around a write: the caller's limits lifted, and the one violation that a caller can cause told in its words."""
    async with lifted(db, principal):
        try:
            yield
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name != "external_references_once":
                raise
            raise ReferenceTaken("Another incident carries this external reference.") from error


def _check_client_wall(principal: Principal | None, record: Record) -> None:
    if principal is None or principal.client_ids is None:
        return
    ids = set(record.incident.client_ids)
    if not ids or not ids <= principal.client_ids:
        text = "has to name only clients that your key is limited to, and at least one"
        raise Invalid(f"/client_ids {text}.", errors=[InputError("/client_ids", text)])


async def open_incident(db: Db, principal: Principal, report: Report) -> UUID:
    """Store a report under the next number, declared where the caller may. Its id. Raises as `open_and_read` does."""
    opened, _ = await open_and_read(db, principal, report, None)
    return opened


async def open_and_read(db: Db, principal: Principal, report: Report, read: Read | None) -> tuple[UUID, str | None]:
    """Store a report under the next number, declared where the caller may: its id, and what `read` says of it.

    Raises ReferenceTaken when a known external reference is given, Invalid for what cannot be.
    """
    for reference in sorted(report.external_references, key=lambda r: (r.system, r.instance, r.id)):
        await lock_reference(db, reference.system, reference.instance, reference.id)
        taken = await find_by_reference(db, reference.system, reference.instance, reference.id)
        if taken is not None:
            raise await _reference_taken(db, taken)
    playbook = asked_for(report.playbook)
    about = await directory(db, principal)
    suggestion = report.suggestion
    if playbook is not None:
        suggestion = {"slug": playbook.slug, "because": "The report asks for this playbook."}
    elif suggestion is None:
        hint = suggest(_mapped(report))
        suggestion = {"slug": hint.slug, "because": hint.because}
    suggested = playbook or catalogue().get(suggestion["slug"])
    intake = Intake(
        id=new_id(),
        playbook=playbook,
        suggestion=suggestion,
        suggested=suggested,
    )
    change = open_report(report, intake, principal.actor, datetime.now(UTC), about.around(), new_id)
    return intake.id, await _write_new(db, principal, change, read=read)


async def _open_linked(db: Db, principal: Principal, origin: Record, opening: Opening) -> None:
    """Open the incident that an action calls for, in the transaction that does the action."""
    playbook = asked_for(opening.playbook)
    assert playbook is not None, "the catalogue holds every playbook that an action opens"
    about = await directory(db, principal)
    change = open_linked(origin, opening, playbook, principal.actor, datetime.now(UTC), about.around(), new_id)
    await _write_new(db, principal, change, origin)


async def _write_new(
    db: Db, principal: Principal, change: Change, origin: Record | None = None, read: Read | None = None
) -> str | None:
    """Write a new incident, and read it with `read`: before its number is taken, which is written in afterwards."""
    stored, incident = Stored(record=change.record), change.record.incident
    await register_tools(db, principal, stored, change, known=tool_ids(origin) if origin is not None else ())
    settle(change)
    _check_client_wall(principal, change.record)
    async with _written(db, principal):
        new = await save_new_rows(db, stored, change)
        await save_tools(db, stored, change)
    text, provisional = await read(incident.id) if read is not None else None, incident.number
    async with _written(db, principal):
        taken = await db.value(_TAKE_EXERCISE if incident.exercise else _TAKE_NUMBER, db.tenant_id)
        number = f"{'EX' if incident.exercise else 'INC'}-{taken}"
        await tell_new_record(db, stored, change, new, number)
    return text.replace(provisional, number) if text is not None else None


_TAKE_NUMBER = "UPDATE tenants SET next_number = next_number + 1 WHERE tenant_id = $1 RETURNING next_number - 1"
_TAKE_EXERCISE = _TAKE_NUMBER.replace("next_number", "next_exercise")


def _mapped(report: Report) -> dict[str, object]:
    """The report as the suggestion rules read it."""
    return {
        "title": report.title or "",
        "summary": report.summary or "",
        "labels": report.labels,
        "ai_systems": [str(s.get("name", "")) for s in report.ai_systems],
        "facts": report.facts,
    }


async def lock_reference(db: Db, system: str, instance: str, external_id: str) -> None:
    """Serialise everything that looks this reference up in order to create it. Held until the transaction ends."""
    name = f"{db.tenant_id}\n{system}\n{instance}\n{external_id}"
    await db.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 1))", name)


async def find_by_reference(db: Db, system: str, instance: str, external_id: str) -> UUID | None:
    """The incident that carries an external reference, if the caller may see it."""
    found: UUID | None = await db.value(
        "SELECT incident_id FROM external_references"
        " WHERE tenant_id = $1 AND system = $2 AND instance = $3 AND external_id = $4",
        db.tenant_id,
        system,
        instance,
        external_id,
    )
    return found


async def _reference_taken(db: Db, incident_id: UUID) -> ReferenceTaken:
    number = await db.value("SELECT number FROM incidents WHERE tenant_id = $1 AND id = $2", db.tenant_id, incident_id)
    return ReferenceTaken(
        f"{number} carries this external reference: update that incident instead.",
        current={"id": str(incident_id), "number": number},
    )


def require(change: Change, *operations: str) -> None:
    """Let pass when the caller may do one of these operations here. Raises Forbidden."""
    actor, steps = change.actor, change.playbook.steps if change.playbook else ()
    held = relations(change.record, actor, tuple(steps))
    if not any(allows(operation, actor.roles, actor.kind, held) for operation in operations):
        raise Forbidden(f"Your roles do not allow {operations[0]} on this incident.")


def header_version(record: Record) -> int:
    """The concurrency token of the header."""
    return record.incident.version


def check_if_match(change: Change, given: str | None) -> None:
    """Raise PreconditionFailed when the caller changes another version than the present one."""
    if given is not None and given != str(change.record.incident.version):
        raise PreconditionFailed(
            "The incident has changed since you read it.",
            current=msgspec.to_builtins(
                {"status": change.record.incident.status, "version": change.record.incident.version}
            ),
        )
