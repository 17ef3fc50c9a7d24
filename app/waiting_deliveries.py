"""Deliveries that came before the thing they are about: they act when it is opened, as if they had come in order."""

from uuid import UUID

import orjson
from msgspec import Struct

from app.database import Db
from app.sources import Source
from domain.mappings import SourceEvent, Unmappable, describes, read_delivery, received_again
from domain.systems import System

WAITING_MAX = 50  # for one thing; what came first counts

_FIND = """
SELECT id, body, headers::text AS headers FROM hook_deliveries
WHERE tenant_id = $1 AND source_id = $2 AND waiting_for = $3 ORDER BY received_at, id LIMIT $4 FOR UPDATE
"""
_SETTLE = """
UPDATE hook_deliveries SET waiting_for = NULL, result = $3, because = $4, incident_id = $5,
    headers = headers || $6::jsonb
WHERE tenant_id = $1 AND id = $2
"""


class Waiting(Struct, frozen=True):
    """One event of a delivery that waited."""

    delivery_id: UUID
    event: SourceEvent


async def find_waiting(db: Db, source: Source, system: System, external_id: str) -> list[Waiting]:
    """The events that wait for `external_id`, in the order in which they happened."""
    found = []
    for row in await db.fetch(_FIND, db.tenant_id, source.id, external_id, WAITING_MAX):
        try:
            delivery = read_delivery(system, received_again(row["body"], orjson.loads(row["headers"])))
        except Unmappable:
            continue  # its body was erased, or the mapping has changed: it stays where it can be tried again
        found += [Waiting(row["id"], event) for event in delivery.events if event.external_id == external_id]
    return sorted(found, key=lambda one: one.event.position or 0)


async def settle_waiting(db: Db, waiting: Waiting, result: str, because: str, incident_id: UUID) -> None:
    """Note what a delivery that waited has done."""
    event, places = waiting.event, {}
    if result != "ignored" and event.position is not None and event.action != "comment":
        places = {":position": event.position} | ({":described": event.position} if describes(event) else {})
    told = orjson.dumps(places).decode()
    await db.execute(_SETTLE, db.tenant_id, waiting.delivery_id, result, because, incident_id, told)
