"""What a delivery would do, without doing it: its effect is tried in a transaction that is rolled back."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from msgspec import Struct, structs

from app.database import Database, Db
from app.ids import new_id
from app.incidents import ReferenceTaken
from app.reading_apart import Reading, read_apart, sample_of
from app.source_events import Doing, Outcome, Repeated, act, act_on_waiting
from app.sources import Source, source_by_id
from domain.mappings import Delivery, Unmappable
from domain.refusals import NotFound, Refusal
from domain.signatures import Received, content_key
from domain.source_events import Result
from domain.systems import read_mapping, system_of

ASKED = "The sender only asks whether we are here."
_WOULD_BE = """
SELECT number, title, status, severity, severity_hint, suggested_playbook, client_ids, labels
FROM incidents WHERE tenant_id = $1 AND id = $2
"""


class Preview(Struct, frozen=True, kw_only=True):
    """What a delivery would do and why. `incident` is as it would be afterwards; its number is null where it would be
    opened."""

    result: Result
    because: str
    handshake: str | None = None
    delivery_id: str | None = None
    events: list[dict[str, Any]] = []
    errors: list[dict[str, str]] = []
    incident: dict[str, Any] | None = None


class _Tried(Exception):
    """Leads out of the transaction, which is rolled back by it."""

    def __init__(self, outcome: Outcome, incident: dict[str, Any] | None) -> None:
        super().__init__()
        self.outcome = outcome
        self.incident = incident


async def find_source_of_preview(db: Db, source_id: UUID) -> tuple[str, str]:
    """The system and the mapping of a source. Raises NotFound."""
    row = await db.row(
        "SELECT system, mapping::text FROM sources WHERE tenant_id = $1 AND id = $2", db.tenant_id, source_id
    )
    if row is None:
        raise NotFound
    return row["system"], row["mapping"]


async def preview(
    database: Database,
    tenant_id: UUID,
    source_id: UUID,
    received: Received,
    given: Any = None,
) -> Preview:
    """What `received` would do at this source, with the mapping `given` instead of its own where there is one.

    Proofs are not looked at. Raises NotFound, and Invalid for a mapping that cannot be used. To be called with no
    transaction open.
    """
    async with database.transaction(tenant_id, read_only=True) as db:
        system, mapping = await find_source_of_preview(db, source_id)
    if given is not None:
        mapping = read_mapping(given).model_dump_json(exclude_unset=True)
    try:
        reading = await read_apart(sample_of(system, mapping, received))
    except Unmappable as error:
        reading = Reading(unmappable=str(error))
    if reading.handshake is not None:
        return Preview(
            result="ignored", because="The sender only asks whether we are here.", handshake=reading.handshake
        )
    if reading.delivery is None:
        return Preview(result="unmapped", because=str(reading.unmappable))
    outcome, incident = await _tried(database, tenant_id, source_id, received, reading.delivery, mapping)
    return Preview(
        result=outcome.result,
        because=outcome.because,
        delivery_id=reading.delivery.delivery_id,
        events=[_told(event) for event in reading.delivery.events],
        errors=[_fault(fault) for fault in reading.delivery.faults],
        incident=incident,
    )


async def _tried(
    database: Database,
    tenant_id: UUID,
    source_id: UUID,
    received: Received,
    delivery: Delivery,
    mapping: str,
) -> tuple[Outcome, dict[str, Any] | None]:
    async def work(db: Db) -> None:
        await db.wall(None, None)  # what an alert may do does not depend on who asks
        source = structs.replace(await source_by_id(db, source_id, None), mapping=mapping)
        outcome = await _acted(db, source, received, delivery)
        row = None
        if outcome.incident_id is not None:
            row = await db.row(_WOULD_BE, tenant_id, outcome.incident_id)
        incident = dict(row) if row is not None else None
        if incident is not None:
            suggested = incident["suggested_playbook"]
            incident["suggested_playbook"] = orjson.loads(suggested) if isinstance(suggested, str) else suggested
            incident["number"] = None if outcome.result == "created" else incident["number"]
        raise _Tried(outcome, incident)

    try:
        await database.run(tenant_id, work)
    except _Tried as tried:
        return tried.outcome, tried.incident
    except Repeated:
        return Outcome("duplicate", "This delivery was taken before."), None
    except Refusal as error:
        return Outcome("unmapped", error.detail), None
    raise AssertionError("a preview never ends without a result")


async def _acted(db: Db, source: Source, received: Received, delivery: Delivery) -> Outcome:
    if source.status == "paused":
        return Outcome("ignored", "The source is paused; the delivery is kept.")
    key = f"id:{delivery.delivery_id}" if delivery.delivery_id is not None else content_key(received)
    taken = await db.value(
        "SELECT true FROM hook_deliveries WHERE tenant_id = $1 AND source_id = $2 AND dedupe_key = $3"
        " AND result NOT IN ('unmapped', 'ignored')",
        db.tenant_id,
        source.id,
        key,
    )
    if taken and delivery.delivery_id is not None:
        raise Repeated
    system = system_of(source.system, source.mapping)
    doing = Doing(source=source, system=system, delivery_id=new_id(), dedupe_key=key, at=datetime.now(UTC))
    try:
        outcome = await act(db, doing, delivery)
        await act_on_waiting(db, doing)
        return outcome
    except ReferenceTaken:
        return Outcome("noted", "Another delivery is opening it just now.")


def _told(event: Any) -> dict[str, Any]:
    """An event without the fields of which the delivery says nothing."""
    told = {name: value for name, value in structs.asdict(event).items() if value not in (None, [], {})}
    if event.files:
        files = ({**structs.asdict(file), "content": None, "size": len(file.content)} for file in event.files)
        told["files"] = [{name: value for name, value in file.items() if value is not None} for file in files]
    return told


def _fault(text: str) -> dict[str, str]:
    pointer, _, reason = text.partition(": ")
    return {"pointer": pointer, "reason": reason}
