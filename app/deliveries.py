"""Deliveries: what a source sends, kept as it came and turned into its effect in one transaction.

A delivery that cannot be understood is kept all the same and can be tried again when the mapping is better. The sender
learns of no fault of content: many stop sending after an error.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from msgspec import Struct

from app.authentication import Principal, Unauthenticated, wall
from app.certificates import Certificates
from app.database import Database, DatabaseAway, Db
from app.events import append
from app.fetching import FetchFailed
from app.ids import new_id
from app.incidents import ReferenceTaken
from app.rights import require, require_unlimited
from app.secrets import Claim, Unsealable, Vault
from app.source_events import Doing, Outcome, Repeated, act, act_on_waiting
from app.source_files import Keeping
from app.sources import Source, delivering, find_source, source_by_id
from domain.mappings import Unmappable, handshake_answer, kept_headers, read_delivery, received_again
from domain.notification_signatures import CertificateUnknown
from domain.refusals import Conflict, NotFound, Refusal
from domain.signatures import Received, authentic, content_key, credential_headers, is_quiet
from domain.source_events import Result
from domain.systems import System, system_of

log = logging.getLogger(__name__)

DEDUPE_MAX = 300  # characters
ERROR_MAX = 2_000  # characters
UNMAPPED_KEPT = 1_000  # in a row within an hour: more of them are kept without their body
RETRYABLE = ("unmapped", "ignored")
FETCHING = "It only names what happened; what that says is being fetched."
NOT_USED = "It could not be used; it is kept and can be tried again."
NOT_PROVEN = "It does not carry the secret of this source; nothing of it was used."

# Sent again, a delivery is a duplicate, unless it had no effect before and has one now.
_KEEP = """
INSERT INTO hook_deliveries (tenant_id, id, source_id, dedupe_key, headers, content_type, body, result, because,
                             incident_id, error, waiting_for, attempts)
VALUES ($1, $2, $3, $4, $5::jsonb, $6, $7, $8, $9, $10, $11, $12, 1)
ON CONFLICT ON CONSTRAINT hook_deliveries_once DO UPDATE SET
    id = excluded.id, received_at = excluded.received_at, headers = excluded.headers, result = excluded.result,
    because = excluded.because, incident_id = excluded.incident_id, error = excluded.error,
    waiting_for = excluded.waiting_for, attempts = hook_deliveries.attempts + 1
    WHERE hook_deliveries.result IN ('unmapped', 'ignored') AND excluded.result NOT IN ('unmapped', 'ignored')
RETURNING {number} AS number, EXISTS (
    SELECT FROM hook_deliveries w WHERE w.tenant_id = $1 AND w.source_id = $3
    AND w.waiting_for IS NOT NULL AND w.waiting_for = ANY ($13)) AS has_waiting
"""
# Where the number is known, the walls of incidents need not be looked at once more: half the cost of the statement.
KEEP_KNOWN = _KEEP.format(number="NULL::text")
KEEP_ASKING = _KEEP.format(number="(SELECT number FROM incidents i WHERE i.tenant_id = $1 AND i.id = $10)")
_FIND_KEPT = """
SELECT d.id, d.incident_id, i.number FROM hook_deliveries d
LEFT JOIN incidents i ON i.tenant_id = d.tenant_id AND i.id = d.incident_id
WHERE d.tenant_id = $1 AND d.source_id = $2 AND d.dedupe_key = $3
"""
FETCH = "fetch"  # the kind of due work whose subject is a delivery
_QUEUE_FETCHING = f"""
INSERT INTO due_work (tenant_id, kind, subject_id, next_at) VALUES ($1, '{FETCH}', $2, now())
ON CONFLICT (tenant_id, kind, subject_id) DO UPDATE SET next_at = excluded.next_at, attempts = 0
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
    """What became of a delivery.

    `handshake` is what a sender wants to read that only asked whether we are here, `reply` what it shows to its user.
    """

    delivery_id: UUID
    result: Result
    because: str
    incident_id: UUID | None = None
    number: str | None = None
    handshake: str | None = None
    reply: dict[str, str] = {}


class _Arrived(Struct):
    """A delivery on its way: what is known of it, for keeping it even when it cannot be used."""

    received: Received
    source: Source
    system: System
    id: UUID
    dedupe_key: str
    positions: dict[str, int] = {}
    error: str | None = None
    is_fetching: bool = False
    doing: Doing | None = None


async def receive(
    database: Database,
    vault: Vault,
    claim: Claim,
    received: Received,
    *,
    certificates: Certificates,
    keeping: Keeping,
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
        schemes = source.schemes or system.verify
        is_proven = authentic(schemes, source.secrets, received, now, certificates.known)
        handshake = handshake_answer(system, received, is_proven=is_proven)
        if not is_proven and handshake is None and not is_quiet(schemes, received):
            raise NotAuthentic
        if arrived is None:
            admitted(source)
        arrived = _Arrived(received, source, system, new_id(), content_key(received))
        if handshake is not None:
            return Receipt(delivery_id=arrived.id, result="ignored", because="", handshake=handshake)
        if not is_proven:
            # Kept without its body, which nobody vouches for: trying it again cannot make it act.
            arrived.received = Received(body=b"", headers={})
            return await _keep(db, arrived, Outcome("ignored", NOT_PROVEN))
        try:
            outcome = await _read_and_act(db, arrived, keeping)
        except Repeated as repeated:
            if repeated.is_clean and (found := await _find_kept(db, arrived)) is not None:
                return found
            raise
        return await _keep(db, arrived, outcome)

    try:
        return await _kept(database, claim.tenant_id, work, lambda: arrived)
    except CertificateUnknown as unknown:
        await _learn(certificates, unknown)
        return await _kept(database, claim.tenant_id, work, lambda: arrived)


async def _learn(certificates: Certificates, unknown: CertificateUnknown) -> None:
    try:
        await certificates.learn(unknown.url)
    except FetchFailed as error:
        raise DatabaseAway("a certificate cannot be fetched") from error


async def knows(database: Database, vault: Vault, claim: Claim) -> Source | None:
    """The source of an address, for a sender that asks whether it may send. Nothing is kept."""
    async with database.transaction(claim.tenant_id, read_only=True) as db:
        return await find_source(db, claim, vault)


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
        except Repeated:
            found = await _answer_repeated(database, arrived())
            if found is not None:
                return found
        except ReferenceTaken:
            continue  # another door took the reference meanwhile: now it is found
        except (Unauthenticated, DatabaseAway, CertificateUnknown):
            raise
        except Unsealable as error:
            # The operator lost the key of our secrets: the sender shall come back when it is found.
            raise DatabaseAway("a stored secret cannot be opened") from error
        except Refusal as error:
            return await _keep_unmapped(database, arrived(), error.detail, error)
        except Exception as error:
            # A gap in our reading of what others send is no reason to lose it, or to make the sender stop.
            log.exception("a delivery failed")
            return await _keep_unmapped(database, arrived(), "This is a fault of ours.", error)
    raise DatabaseAway("the delivery lost its race too often")


async def _read_and_act(
    db: Db, arrived: _Arrived, keeping: Keeping, fetched: Sequence[Mapping[str, Any]] | None = None
) -> Outcome:
    """Read a delivery and let it act. What cannot be read is no failure: its outcome is `unmapped`.

    Of what it only names and what can be fetched, `fetched` holds what it says; without that it is queued.
    """
    if arrived.source.status == "paused":
        return Outcome("ignored", "The source is paused; the delivery is kept.")
    try:
        delivery = read_delivery(arrived.system, arrived.received, fetched)
    except Unmappable as error:
        arrived.error = str(error)
        return Outcome("unmapped", str(error))
    if delivery.delivery_id is not None:
        arrived.dedupe_key = f"id:{delivery.delivery_id}"[:DEDUPE_MAX]
    if arrived.source.connection_id is not None and any(delivery.lookups):
        arrived.is_fetching = True
        return Outcome("unmapped", FETCHING)
    arrived.positions = delivery.positions
    arrived.error = "; ".join(delivery.faults)[:ERROR_MAX] or None
    doing = Doing(
        source=delivering(arrived.source, arrived.id, delivery.delivery_id),
        system=arrived.system,
        delivery_id=arrived.id,
        dedupe_key=arrived.dedupe_key,
        at=datetime.now(UTC),
        keeping=keeping,
    )
    outcome = await act(db, doing, delivery)
    arrived.dedupe_key, arrived.doing = doing.dedupe_key, doing
    return outcome


async def _keep(db: Db, arrived: _Arrived, outcome: Outcome) -> Receipt:
    """Keep the delivery with its outcome. Raises Repeated when it has been kept before."""
    credentials = credential_headers(arrived.source.schemes or arrived.system.verify)
    headers: dict[str, Any] = dict(kept_headers(arrived.system, arrived.received, credentials))
    # One of many alerts says nothing of the order of those that the incident carries the id of.
    if outcome.result in ("created", "updated", "noted") and not outcome.is_counted:
        headers |= _places(arrived)
    body = arrived.received.body
    if (
        outcome.result == "unmapped"
        and not arrived.is_fetching
        and await db.value(_UNMAPPED_IN_A_ROW, db.tenant_id, arrived.source.id, UNMAPPED_KEPT)
    ):
        body, arrived.error = b"", f"{arrived.error} The body is not kept: too many like it came before."
    row = await db.row(
        KEEP_KNOWN if outcome.incident_id is None or outcome.number is not None else KEEP_ASKING,
        db.tenant_id,
        arrived.id,
        arrived.source.id,
        arrived.dedupe_key,
        orjson.dumps(headers).decode(),
        headers.get("content-type"),
        body,
        outcome.result,
        outcome.because,
        outcome.incident_id,
        arrived.error,
        outcome.waiting_for,
        [event.external_id for event, _ in arrived.doing.opened] if arrived.doing is not None else [],
    )
    if row is None:
        raise Repeated
    if arrived.doing is not None and row["has_waiting"]:
        await act_on_waiting(db, arrived.doing)
    if arrived.is_fetching:
        await db.execute(_QUEUE_FETCHING, db.tenant_id, arrived.id)
    return Receipt(
        delivery_id=arrived.id,
        result=outcome.result,
        because=outcome.because,
        incident_id=outcome.incident_id,
        number=outcome.number or row["number"],
        reply=arrived.system.reply,
    )


def _places(arrived: _Arrived) -> dict[str, int]:
    """Where the events of the delivery stand, for the kept headers: after the manner of HTTP/2."""
    return {f":{name}": position for name, position in arrived.positions.items()}


async def _keep_unmapped(database: Database, arrived: _Arrived | None, reason: str, error: Exception) -> Receipt:
    """Keep a delivery whose effect failed and was rolled back."""
    if arrived is None:
        raise error
    arrived.error, arrived.positions, arrived.doing = reason[:ERROR_MAX], {}, None

    async def work(db: Db) -> Receipt:
        return await _keep(db, arrived, Outcome("unmapped", "It could not be used; it is kept and can be tried again."))

    try:
        return await database.run(arrived.source.tenant_id, work)
    except Repeated:
        found = await _answer_repeated(database, arrived)
        if found is None:
            raise DatabaseAway("the delivery lost its race") from error
        return found


async def _answer_repeated(database: Database, arrived: _Arrived | None) -> Receipt | None:
    assert arrived is not None, "only a delivery that was read is found to be repeated"
    async with database.transaction(arrived.source.tenant_id, read_only=True) as db:
        return await _find_kept(db, arrived)


async def _find_kept(db: Db, arrived: _Arrived) -> Receipt | None:
    """The answer to a delivery that was taken before, None when it was not."""
    row = await db.row(_FIND_KEPT, db.tenant_id, arrived.source.id, arrived.dedupe_key)
    if row is None:
        return None
    return Receipt(
        delivery_id=row["id"],
        result="duplicate",
        because="This delivery was taken before.",
        incident_id=row["incident_id"],
        number=row["number"],
        reply=arrived.system.reply,
    )


async def retry_delivery(
    db: Db, principal: Principal, source_id: UUID, delivery_id: UUID, vault: Vault, keeping: Keeping
) -> None:
    """Read a kept delivery once more, with the mapping as it is now. Raises NotFound, Forbidden, and Conflict for one
    that has had its effect."""
    require(principal, "source.write")
    require_unlimited(principal)
    source = await source_by_id(db, source_id, vault)
    # What an alert may do does not depend on what the administrator may read.
    await db.wall(None, None)
    result = await act_again(db, source, delivery_id, keeping)
    await wall(db, principal)
    told = {"delivery_id": delivery_id, "result": result}
    await append(db, "source", source_id, "source.delivery_retried", told, actor=principal.actor)


async def act_again(
    db: Db,
    source: Source,
    delivery_id: UUID,
    keeping: Keeping,
    fetched: Sequence[Mapping[str, Any]] | None = None,
    said: str | None = None,
) -> Result:
    """Read a kept delivery once more and let it act; the result. `said` is why something could not be fetched.

    Raises NotFound, and Conflict for one that has had its effect.
    """
    row = await db.row(
        "SELECT body, headers::text AS headers, dedupe_key, result FROM hook_deliveries"
        " WHERE tenant_id = $1 AND source_id = $2 AND id = $3 FOR UPDATE",
        db.tenant_id,
        source.id,
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
    outcome = await _read_and_act(db, arrived, keeping, fetched)
    if arrived.is_fetching:
        await db.execute(_QUEUE_FETCHING, db.tenant_id, delivery_id)
    headers = {**kept, **_places(arrived)} if outcome.result not in RETRYABLE else kept
    await db.execute(
        "UPDATE hook_deliveries SET result = $3, because = $4, incident_id = $5, error = $6, headers = $7::jsonb,"
        " waiting_for = $8, attempts = attempts + 1 WHERE tenant_id = $1 AND id = $2",
        db.tenant_id,
        delivery_id,
        outcome.result,
        outcome.because,
        outcome.incident_id,
        "; ".join(one for one in (said, arrived.error) if one)[:ERROR_MAX] or None,
        orjson.dumps(headers).decode(),
        outcome.waiting_for,
    )
    if arrived.doing is not None:
        await act_on_waiting(db, arrived.doing)
    return outcome.result
