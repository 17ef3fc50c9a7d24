"""Files that deliveries bring, on their way into the evidence store: written before the record names them."""

from typing import Self
from uuid import UUID

from msgspec import Struct, structs

from app.authentication import Principal
from app.database import Db
from app.evidence import LOCK_NAME, find_room, lock_name, new_evidence
from app.evidence_store import EvidenceStore, StoreFailed, StoreFull
from app.settings import Settings
from domain.evidence import NewEvidence
from domain.source_files import SourceFile

NO_ROOM = "There is no room for it; the delivery still holds it."


class Keeping(Struct, frozen=True):
    """Where files of deliveries go, and how much there may be."""

    store: EvidenceStore
    settings: Settings

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """That of an installation."""
        return cls(EvidenceStore(settings.data_dir / "evidence"), settings)


async def keep_files(
    db: Db, keeping: Keeping, principal: Principal, incident_id: UUID, files: list[SourceFile], *, sender: str
) -> tuple[list[SourceFile], list[NewEvidence]]:
    """Write the content of `files`; the files with what was refused of them, and the evidence they become. `sender` is
    where they were collected.

    A file whose transaction is rolled back belongs to nothing, and is swept.
    """
    if not any(file.content for file in files):
        return files, []
    room = await find_room(db, principal, incident_id, keeping.settings, is_last=True)
    left, kept, items = min(room.incident, room.tenant), [], []
    for file in files:
        if file.content and (len(file.content) > min(left, room.file)):
            file = structs.replace(file, content=b"", refused=NO_ROOM)
        if file.content:
            try:
                items.append(await _written(db, keeping.store, file, sender))
                left -= len(file.content)
            except (StoreFull, StoreFailed):
                file = structs.replace(file, content=b"", refused=NO_ROOM)
        kept.append(file)
    return kept, items


async def _written(db: Db, store: EvidenceStore, file: SourceFile, sender: str) -> NewEvidence:
    async with store.receive(db.tenant_id) as receiving:
        await receiving.write(file.content)
        stored = await receiving.keep()
    # Whoever removes a file of this hash waits for us, and then sees that the record names it.
    await db.execute(f"SELECT pg_advisory_xact_lock_shared({LOCK_NAME})", lock_name(db.tenant_id, stored.sha256))
    return new_evidence(
        sha256=stored.sha256,
        size=stored.size,
        media_type=file.media_type,
        filename=file.name,
        kind=file.kind,
        collected_from=sender,
        collection_method="webhook",
    )
