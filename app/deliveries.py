"""Deliveries: what a source sends, kept as it came and turned into its effect in one transaction.

A delivery that cannot be understood is kept all the same and can be tried again when the mapping is better. The sender
learns of no fault of content: many stop sending after an error.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from msgspec import Struct

from app.authentication import Principal, Unauthenticated
from app.database import Database, DatabaseAway, Db
from app.events import append
from app.ids import new_id
from app.incidents import ReferenceTaken, change_incident, find_by_reference, lock_reference, open_incident
from app.rights import require, require_unlimited
from app.secrets import Claim, Vault
from app.sources import Source, find_source, source_by_id
from domain.changes import Change
from domain.mappings import (
    Delivery,
    SourceEvent,
    Unmappable,
    content_key,
    kept_headers,
    read_delivery,
    received_again,
)
from domain.refusals import Conflict, NotFound, Refusal
from domain.signatures import Received, authentic, credential_headers
from domain.source_events import Origin, Result, apply_event, report_of
from domain.systems import System, system_of

log = logging.getLogger(__name__)

DEDUPE_MAX = 300  # characters
UNMAPPED_KEPT = 1_000  # in a row within an hour: more of them are kept without their body
OUTCOMES: tuple[Result, ...] = ("created", "updated", "noted", "ignored")
RETRYABLE = ("unmapped", "ignored")
NOT_USED = "It could not be used; it is kept and can be tried again."
POSITION = ":position"  # in the kept headers, after the manner of HTTP/2: where the events of the delivery stand

_KEEP = """
INSERT INTO hook_deliveries (tenant_id, id, source_id, dedupe_key, headers, content_type, body, result, because,
                             incident_id, error, attempts)
VALUES ($1, $2, $3, $4, $5::jsonb, $6, $7, $8, $9, $10, $11, 1)
ON CONFLICT ON CONSTRAINT hook_deliveries_once DO NOTHING
RETURNING id, (SELECT number FROM incidents i WHERE i.tenant_id = $1 AND i.id = $10) AS number
"""
_FIND_KEPT = """
SELECT d.id, d.because, d.incident_id, i.number FROM hook_deliveries d
LEFT JOIN incidents i ON i.tenant_id = d.tenant_id AND i.id = d.incident_id
WHERE d.tenant_id = $1 AND d.source_id = $2 AND d.dedupe_key = $3
"""
# What came before of this source about one incident, and whether a person has had a hand in it.
_BEFORE = """
SELECT (SELECT d.id FROM hook_deliveries d WHERE d.tenant_id = $1 AND d.source_id = $2 AND d.dedupe_key = $4) AS same,
       (SELECT d.id FROM hook_deliveries d WHERE d.tenant_id = $1 AND d.incident_id = $3 AND d.source_id = $2
        ORDER BY d.received_at DESC, d.id DESC LIMIT 1) AS last,
       (SELECT max((d.headers ->> ':position')::bigint) FROM hook_deliveries d
        WHERE d.tenant_id = $1 AND d.incident_id = $3 AND d.source_id = $2) AS position,
       EXISTS (SELECT 1 FROM events e WHERE e.tenant_id = $1 AND e.stream = 'incident' AND e.stream_id = $3
               AND e.actor_kind = 'person' AND e.kind = 'incident.edited') AS is_edited
"""
_UNMAPPED_IN_A_ROW = """
SELECT count(*) = $3 AND bool_and(d.result = 'unmapped') FROM (
    SELECT result FROM hook_deliveries WHERE tenant_id = $1 AND source_id = $2
    AND received_at > now() - interval '1 hour' ORDER BY received_at DESC LIMIT $3) d
"""


class NotAuthentic(Unauthenticated):
    """No source has this address, or the delivery is not signed as the source asks: both read the same."""

    def __init__(self) -> None:
        Refusal.__init__(
            self,
            "This address takes no such delivery. Check the address and how the sender signs.",
            headers={"WWW-Authenticate": 'Signature realm="holdfast"'},
        )


class Receipt(Struct, frozen=True, kw_only=True):
    """What became of a delivery."""

    delivery_id: UUID
    result: Result
    because: str
    incident_id: UUID | None = None
    number: str | None = None


class _Outcome(Struct):
    result: Result
    because: str
    incident_id: UUID | None = None


class _Repeated(Exception):
    """The delivery was taken before, perhaps a moment ago: roll back and answer so."""


class _Arrived(Struct):
    """A delivery on its way: what is known of it, for keeping it even when it cannot be used."""

    received: Received
    source: Source
    system: System
    id: UUID
    dedupe_key: str
    position: int | None = None
    error: str | None = None


async def receive(
    database: Database,
    vault: Vault,
    claim: Claim,
    received: Received,
    *,
    admitted: Callable[[Source], None] = lambda source: None,
) -> Receipt:
    """Take one delivery: prove it, keep it, let it act. `admitted` is told of every source that proved itself.

    Raises NotAuthentic, what `admitted` raises, and DatabaseAway; nothing for what the delivery holds.
    """
    arrived: _Arrived | None = None

    async def work(db: Db) -> Receipt:
        nonlocal arrived
        source = await find_source(db, claim, vault)
        now = datetime.now(UTC)
        if source is None:
            raise NotAuthentic
        system = system_of(source.system, source.mapping)
        if not authentic(source.schemes or system.verify, source.secrets, received, now):
            raise NotAuthentic
        if arrived is None:
            admitted(source)
        arrived = _Arrived(received, source, system, new_id(), content_key(received))
        return await _take(db, arrived, now)

    return await _kept(database, claim.tenant_id, work, lambda: arrived)


async def _kept(
    database: Database,
    tenant_id: UUID,
    work: Callable[[Db], Awaitable[Receipt]],
    arrived: Callable[[], _Arrived | None],
) -> Receipt:
    """Do `work`; when it fails for what the delivery holds, keep the delivery in a transaction of its own."""
    for _ in range(3):
        try:
            return await database.run(tenant_id, work)
        except _Repeated:
            found = await _answer_repeated(database, arrived())
            if found is not None:
                return found
        except ReferenceTaken:
            continue  # another door took the reference meanwhile: now it is found
        except (Unauthenticated, DatabaseAway):
            raise
        except (Refusal, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
            reason = error.detail if isinstance(error, Refusal) else "A value cannot be kept."
            return await _keep_unmapped(database, arrived(), reason, error)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, AssertionError) as error:
            # A gap in our reading of what others send is no reason to lose it, or to tell the sender to stop.
            log.exception("delivery failed")
            return await _keep_unmapped(database, arrived(), "It could not be used; this is a fault of ours.", error)
    raise DatabaseAway("the delivery lost its race too often")


async def _take(db: Db, arrived: _Arrived, now: datetime) -> Receipt:
    """Read a delivery and let it act, in the order: read, act, keep."""
    if arrived.source.status == "paused":
        return await _keep(db, arrived, _Outcome("ignored", "The source is paused; the delivery is kept."))
    try:
        delivery = read_delivery(arrived.system, arrived.received)
    except Unmappable as error:
        arrived.error = str(error)
        return await _keep(db, arrived, _Outcome("unmapped", str(error)))
    _name(arrived, delivery)
    return await _keep(db, arrived, await _act(db, arrived, delivery, now))


def _name(arrived: _Arrived, delivery: Delivery) -> None:
    """Name the delivery as its sender does, where it has a name, and note where it stands among others."""
    if delivery.delivery_id is not None:
        arrived.dedupe_key = f"id:{delivery.delivery_id}"[:DEDUPE_MAX]
    arrived.position = delivery.position
    arrived.error = "; ".join(delivery.faults)[:2_000] or None


async def _act(db: Db, arrived: _Arrived, delivery: Delivery, now: datetime) -> _Outcome:
    """Let every event of a delivery act; the outcome is the first with the strongest result."""
    # In one order everywhere, so that two deliveries about the same things wait for each other instead of for ever.
    events = sorted(delivery.events, key=lambda event: event.external_id or "")
    outcomes = [await _act_on(db, arrived, event, now) for event in events]
    outcomes.sort(key=lambda outcome: OUTCOMES.index(outcome.result))
    first = outcomes[0]
    if len(outcomes) > 1:
        counts = {name: sum(o.result == name for o in outcomes) for name in OUTCOMES}
        told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        first.because = f"{first.because} In all: {told}."
    return first


async def _act_on(db: Db, arrived: _Arrived, event: SourceEvent, now: datetime) -> _Outcome:
    source, name = arrived.source, arrived.system.title
    if event.action == "ignore":
        return _Outcome("ignored", event.because or f"{name} sends it for information.")
    wanted = source.limits.get("sender")
    if wanted is not None and event.sender != wanted:
        return _Outcome("ignored", "It comes from another organisation than the one this source is for.")
    if event.external_id is None and event.action != "open":
        return _Outcome("ignored", "It does not say what it is about.")
    found: UUID | None = None
    if event.action != "open" and event.external_id is not None:
        await lock_reference(db, source.system, source.instance, event.external_id)
        found = await find_by_reference(db, source.system, source.instance, event.external_id)
        if found is None and (event.action != "update" or not (event.title or event.summary)):
            return _Outcome("ignored", "No incident is known under this id; a later report still opens one.")
    if found is None:
        try:
            return await _open(db, arrived, event, now)
        except ReferenceTaken as taken:
            if taken.current is None:
                raise  # the race was lost at the unique key, and the transaction with it
            found = UUID(str(taken.current["id"]))
    return await _change(db, arrived, event, found)


async def _open(db: Db, arrived: _Arrived, event: SourceEvent, now: datetime) -> _Outcome:
    clients, how = await _clients(db, arrived.source, event)
    report = report_of(event, _origin(arrived), clients, now)
    incident_id = await open_incident(db, arrived.source.principal, report)
    because = event.because or f"{arrived.system.title} reported it."
    return _Outcome("created", f"{because} {how}".strip(), incident_id)


async def _change(db: Db, arrived: _Arrived, event: SourceEvent, incident_id: UUID) -> _Outcome:
    before = await db.row(_BEFORE, db.tenant_id, arrived.source.id, incident_id, arrived.dedupe_key)
    assert before is not None
    if before["same"] is not None:
        # Without a name of its own, an alert that fires again after something else happened looks like a repetition.
        if arrived.dedupe_key.startswith("id:") or before["same"] == before["last"] or event.position is not None:
            raise _Repeated
        arrived.dedupe_key = f"{arrived.dedupe_key}:{arrived.id}"
    if event.position is not None and before["position"] is not None and event.position < before["position"]:
        return _Outcome("ignored", "Something newer has been told already.", incident_id)
    origin, said = _origin(arrived), _Outcome("noted", "", incident_id)

    def apply(change: Change) -> None:
        said.result, said.because = apply_event(change, event, origin, is_edited=before["is_edited"])

    await change_incident(db, arrived.source.principal, incident_id, apply)
    return said


async def _clients(db: Db, source: Source, event: SourceEvent) -> tuple[list[UUID], str]:
    """The client: by the source's map, by what the system calls it, else the source's default. Never by the body
    alone."""
    named = [one for one in (event.client_ref, event.client_name) if one is not None]
    for one in named:
        if one in source.client_map:
            return [UUID(source.client_map[one])], ""
    if named:
        found = await db.value(
            "SELECT r.client_id FROM client_references r JOIN clients c ON c.tenant_id = r.tenant_id"
            " AND c.id = r.client_id AND c.active WHERE r.tenant_id = $1 AND r.system = $2"
            " AND r.instance = ANY ($3) AND r.external_id = $4 ORDER BY r.instance = '-' LIMIT 1",
            db.tenant_id,
            source.system,
            [source.instance, "-"],
            named[0],
        )
        if found is not None:
            return [found], ""
    if source.default_client_id is not None:
        return [source.default_client_id], ""
    return [], "The client it names is not known here." if named else ""


def _origin(arrived: _Arrived) -> Origin:
    defaults = arrived.source.defaults
    return Origin(
        source_id=arrived.source.id,
        delivery_id=arrived.id,
        system=arrived.system,
        instance=arrived.source.instance,
        playbook=defaults.get("playbook"),
        labels=tuple(defaults.get("labels", ())),
    )


async def _keep(db: Db, arrived: _Arrived, outcome: _Outcome) -> Receipt:
    """Keep the delivery with its outcome. Raises _Repeated when it has been kept before."""
    credentials = credential_headers(arrived.source.schemes or arrived.system.verify)
    headers: dict[str, Any] = dict(kept_headers(arrived.system, arrived.received, credentials))
    if arrived.position is not None and outcome.result in ("created", "updated", "noted"):
        headers[POSITION] = arrived.position
    row = await db.row(
        _KEEP,
        db.tenant_id,
        arrived.id,
        arrived.source.id,
        arrived.dedupe_key,
        orjson.dumps(headers).decode(),
        headers.get("content-type"),
        arrived.received.body,
        outcome.result,
        outcome.because,
        outcome.incident_id,
        arrived.error,
    )
    if row is None:
        raise _Repeated
    return Receipt(
        delivery_id=arrived.id,
        result=outcome.result,
        because=outcome.because,
        incident_id=outcome.incident_id,
        number=row["number"],
    )


async def _keep_unmapped(database: Database, arrived: _Arrived | None, reason: str, error: Exception) -> Receipt:
    """Keep a delivery whose effect failed and was rolled back."""
    if arrived is None:
        raise error
    arrived.error, arrived.position = reason[:2_000], None

    async def work(db: Db) -> Receipt:
        return await _keep(
            db, arrived, _Outcome("unmapped", "It could not be used; it is kept and can be tried again.")
        )

    try:
        return await database.run(arrived.source.tenant_id, work)
    except _Repeated:
        found = await _answer_repeated(database, arrived)
        if found is None:
            raise DatabaseAway("the delivery lost its race") from error
        return found


async def _answer_repeated(database: Database, arrived: _Arrived | None) -> Receipt | None:
    assert arrived is not None, "only a delivery that was read is found to be repeated"
    async with database.transaction(arrived.source.tenant_id, read_only=True) as db:
        row = await db.row(_FIND_KEPT, db.tenant_id, arrived.source.id, arrived.dedupe_key)
    if row is None:
        return None
    return Receipt(
        delivery_id=row["id"],
        result="duplicate",
        because="This delivery was taken before.",
        incident_id=row["incident_id"],
        number=row["number"],
    )


async def retry_delivery(db: Db, principal: Principal, source_id: UUID, delivery_id: UUID, vault: Vault) -> None:
    """Read a kept delivery once more, with the mapping as it is now. Raises NotFound, Forbidden, and Conflict for one
    that has had its effect."""
    require(principal, "source.write")
    require_unlimited(principal)
    source = await source_by_id(db, source_id, vault)
    row = await db.row(
        "SELECT body, headers::text AS headers, dedupe_key, result FROM hook_deliveries"
        " WHERE tenant_id = $1 AND source_id = $2 AND id = $3 FOR UPDATE",
        db.tenant_id,
        source_id,
        delivery_id,
    )
    if row is None:
        raise NotFound
    if row["result"] not in RETRYABLE:
        raise Conflict(f"This delivery was {row['result']}: only one without effect can be tried again.")
    kept = orjson.loads(row["headers"])
    system = system_of(source.system, source.mapping)
    received = received_again(row["body"], kept)
    arrived = _Arrived(received, source, system, delivery_id, row["dedupe_key"])
    outcome = await _tried(db, arrived)
    headers = {**kept, POSITION: arrived.position} if arrived.position and outcome.result not in RETRYABLE else kept
    await db.execute(
        "UPDATE hook_deliveries SET result = $3, because = $4, incident_id = $5, error = $6, headers = $7::jsonb,"
        " attempts = attempts + 1 WHERE tenant_id = $1 AND id = $2",
        db.tenant_id,
        delivery_id,
        outcome.result,
        outcome.because,
        outcome.incident_id,
        arrived.error,
        orjson.dumps(headers).decode(),
    )
    told = {"delivery_id": delivery_id, "result": outcome.result}
    await append(db, "source", source_id, "source.delivery_retried", told, actor=principal.actor)


async def _tried(db: Db, arrived: _Arrived) -> _Outcome:
    try:
        delivery = read_delivery(arrived.system, arrived.received)
    except Unmappable as error:
        arrived.error = str(error)
        return _Outcome("unmapped", str(error))
    arrived.position = delivery.position
    arrived.error = "; ".join(delivery.faults)[:2_000] or None
    return await _act(db, arrived, delivery, datetime.now(UTC))
