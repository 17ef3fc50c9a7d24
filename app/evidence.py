"""Evidence: attaching a received file to an incident, and handing it out again.

Bytes arrive while no transaction is open. `check_attachable` asks before them, `attach_file` decides after them.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from msgspec import Struct

from app.authentication import Principal, wall
from app.database import Db
from app.evidence_store import EvidenceStore
from app.ids import new_id
from app.incidents import begin_change, change_incident, require
from app.record import lock_record
from app.settings import Settings
from domain.changes import Change
from domain.evidence import NewEvidence, attach_evidence, read_restricted
from domain.evidence_access import require_restricted
from domain.record import Evidence
from domain.refusals import Conflict, Refusal

FILE_BYTES_MOST = 2**31 - 1  # what the column of sizes holds
# Whoever records a hash and whoever removes a file of that hash cannot do so at the same time.
LOCK_NAME = "hashtextextended($1, 2)"


class QuotaExceeded(Refusal):
    """The evidence of the incident or of the tenant has reached what it may hold. Counted in received bytes."""

    code = "evidence-quota-exceeded"


class FileGone(Exception):
    """The file was swept between its arrival and its recording: the upload has to be repeated."""


@dataclass(frozen=True, slots=True)
class Room:
    """How many bytes may still arrive: of one file, and what the incident and the tenant have left."""

    file: int
    incident: int
    tenant: int

    @property
    def bytes_max(self) -> int:
        """The smallest of them."""
        return max(0, min(self.file, self.incident, self.tenant))


class Attached(Struct, frozen=True):
    """Where an attached file is. `is_new` is false when the same person had attached the same before."""

    id: UUID
    is_new: bool


class FileOfEvidence(Struct, frozen=True):
    """What a download needs to know."""

    id: UUID
    incident_id: UUID
    sha256: str
    size: int
    filename: str
    media_type: str
    sensitivity: str


def may_attach(change: Change) -> None:
    """Raise Forbidden unless the caller may attach here; before declaration whoever may edit the report may too."""
    if change.record.incident.declared_at is None:
        require(change, "evidence.attach", "incident.edit_reported")
    else:
        require(change, "evidence.attach")


async def check_attachable(db: Db, principal: Principal, ref: UUID | str, settings: Settings) -> Room:
    """Whether a file may arrive for this incident, and how large it may be.

    Spares a caller who would be refused the upload, and us the bytes; `attach_file` decides again. Raises NotFound,
    Forbidden, Conflict on a closed record, and QuotaExceeded.
    """
    stored = await lock_record(db, ref)
    change = await begin_change(db, principal, stored)
    may_attach(change)
    status = stored.record.incident.status
    if status in ("closed", "rejected"):
        raise Conflict(f"The incident is {status}.", current={"status": status})
    room = await find_room(db, principal, stored.record.incident.id, settings)
    _check_room(room)
    return room


async def attach_file(
    db: Db, principal: Principal, ref: UUID | str, item: NewEvidence, store: EvidenceStore, settings: Settings
) -> Attached:
    """Record a file that lies in the store. A repetition by the same person of the same file answers the first one.

    Raises FileGone, QuotaExceeded and what `domain.evidence.attach_evidence` raises.
    """
    await db.execute(f"SELECT pg_advisory_xact_lock_shared({LOCK_NAME})", lock_name(db.tenant_id, item.sha256))
    if not await store.has(db.tenant_id, item.sha256):
        raise FileGone
    found: list[Attached] = []

    def apply(change: Change) -> None:
        may_attach(change)
        same = _same(change, item)
        found[:] = [Attached(same.id, False) if same else Attached(attach_evidence(change, item).id, True)]

    record = await change_incident(db, principal, ref, apply)
    if found[0].is_new:
        _check_room(await find_room(db, principal, record.incident.id, settings, is_last=True))
    return found[0]


def lock_name(tenant_id: UUID, digest: str) -> str:
    """The name of the advisory lock on a file."""
    return f"{tenant_id}\n{digest}"


def new_evidence(**values: Any) -> NewEvidence:
    """A received file under a new id."""
    return NewEvidence(id=new_id(), **values)


_FILE = """
SELECT id, incident_id, sha256, size, filename, media_type, sensitivity FROM evidence WHERE tenant_id = $1 AND id = $2
"""


async def find_file(db: Db, evidence_id: UUID) -> FileOfEvidence | None:
    """What is known of a file, None when there is none that the caller may see."""
    row = await db.row(_FILE, db.tenant_id, evidence_id)
    return FileOfEvidence(*row) if row is not None else None


async def record_reading(db: Db, principal: Principal, file: FileOfEvidence) -> None:
    """Write that this restricted file was read: committed before its first byte leaves. Raises Forbidden."""

    def apply(change: Change) -> None:
        require_restricted(change, change.record.evidence[str(file.id)])
        read_restricted(change, str(file.id))

    await change_incident(db, principal, file.incident_id, apply)


def _same(change: Change, item: NewEvidence) -> Evidence | None:
    """The item that an identical upload by the same actor made, so that an upload repeated blindly makes one record."""
    wanted = (item.sha256, item.kind, item.action_id, item.title or item.filename, item.filename, item.supersedes_id)
    for made in change.record.evidence.values():
        have = (made.sha256, made.kind, made.action_id, made.title, made.filename, made.supersedes_id)
        if have == wanted and made.attached_by_id == change.actor.id:
            return made
    return None


async def find_room(
    db: Db, principal: Principal, incident_id: UUID, settings: Settings, *, is_last: bool = False
) -> Room:
    """What is left. With `is_last` other uploads of the tenant wait until this transaction ends, so none overshoots."""
    if is_last:
        await db.execute(f"SELECT pg_advisory_xact_lock({LOCK_NAME})", f"{db.tenant_id}\nquota")
    limited = principal.client_ids is not None or principal.member_id is not None or principal.period_from is not None
    if limited:
        await db.wall(None, None)  # the sum counts what the caller may not see
    row = await db.row(
        "SELECT coalesce(sum(size) FILTER (WHERE incident_id = $2), 0)::bigint, coalesce(sum(size), 0)::bigint"
        " FROM evidence WHERE tenant_id = $1",
        db.tenant_id,
        incident_id,
    )
    if limited:
        await wall(db, principal)
    assert row is not None
    return Room(
        file=min(settings.evidence_file_bytes_max, FILE_BYTES_MOST),
        incident=settings.evidence_incident_bytes_max - row[0],
        tenant=settings.evidence_tenant_bytes_max - row[1],
    )


def _check_room(room: Room) -> None:
    if room.incident < 0 or room.tenant < 0:
        whose = "incident" if room.incident < 0 else "tenant"
        raise QuotaExceeded(f"The evidence of this {whose} has reached its quota.", current={"quota": whose})
