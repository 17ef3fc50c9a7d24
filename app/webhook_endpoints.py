"""Webhook endpoints: the addresses that events are sent to, each with a secret and a key pair of its own."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from app.authentication import Principal
from app.database import Db
from app.delivery_retention import LOOKED_AT_EVERY, kept_since, queue_retention
from app.due_work import CHANNEL
from app.events import append
from app.fetching import FetchFailed, check_receiver, own_of
from app.ids import new_id
from app.rights import require, require_unlimited
from app.rows import Written, changed, check_version, insert_row, update_row
from app.secrets import Vault
from app.settings import Settings
from app.ticket_modes import check_only_opener, endpoint_columns
from app.webhook_deliveries import resume
from app.webhook_signatures import new_signing_secret, public_key_text, secret_text
from domain.event_formats import FORMATS, TICKET
from domain.event_types import TYPES, check_types
from domain.refusals import Conflict, InputError, Invalid, NotFound
from domain.timeline import instant_text
from domain.webhook_endpoints import check_filter, masked_url

ENDPOINTS_MAX = 100  # of a tenant: each event may be told to all of them
REPLAYED_MAX = 10_000  # deliveries in one call

_LOCK = """
SELECT id, version, name, url, format, event_types, filter, client_ids, payload, status, created_at, confirmed_at,
       connection_id, ticket::text AS ticket
FROM webhook_endpoints WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE
"""
_COUNT = "SELECT count(*) FROM webhook_endpoints WHERE tenant_id = $1 AND status <> 'retired'"
_CLEAR = "DELETE FROM webhook_lanes WHERE tenant_id = $1 AND endpoint_id = $2"
_REPLAY = """
WITH chosen AS (
    SELECT id FROM webhook_deliveries WHERE tenant_id = $1 AND endpoint_id = $2 AND status <> 'pending' AND {which}
    ORDER BY created_at, id LIMIT $3 FOR UPDATE),
again AS (
    UPDATE webhook_deliveries d SET status = 'pending', attempts = 0, next_attempt_at = now(), error = NULL
    FROM chosen WHERE d.tenant_id = $1 AND d.id = chosen.id
    RETURNING d.tenant_id, d.endpoint_id, d.stream, d.stream_id),
woken AS (
    INSERT INTO webhook_lanes (tenant_id, endpoint_id, stream, stream_id, next_at)
    SELECT DISTINCT tenant_id, endpoint_id, stream, stream_id, now() FROM again
    ORDER BY tenant_id, endpoint_id, stream, stream_id
    ON CONFLICT (tenant_id, endpoint_id, stream, stream_id) DO UPDATE SET bumps = webhook_lanes.bumps + 1)
SELECT count(*) FROM again
"""
REPLAY_ONE = _REPLAY.format(which="id = $4::uuid")
REPLAY_SOME = _REPLAY.format(
    which="created_at >= coalesce($4::timestamptz, '-infinity') AND created_at < $5::timestamptz"
    " AND status = ANY ($6::text[])"
)


def secret_about(tenant_id: UUID, endpoint_id: UUID) -> bytes:
    """What a sealed secret is bound to: it opens for no other endpoint."""
    return f"webhook endpoint\n{tenant_id}\n{endpoint_id}".encode()


def url_about(tenant_id: UUID, endpoint_id: UUID) -> bytes:
    """What a sealed address is bound to."""
    return f"webhook endpoint address\n{tenant_id}\n{endpoint_id}".encode()


async def create_endpoint(
    db: Db, principal: Principal, given: Mapping[str, Any], vault: Vault, settings: Settings
) -> tuple[UUID, str]:
    """Add an endpoint; its id and its secret, shown now and never again. It is tested before it is told anything.

    `given` holds name, url and event_types, and any of format, filter, client_ids and payload.

    Raises Forbidden, Invalid and Conflict (`too-many-endpoints`).
    """
    _require(principal)
    given = await endpoint_columns(db, given, given.get("format", "standard"), is_new=True)
    await _check(db, given, settings)
    if await db.value(_COUNT, db.tenant_id) >= ENDPOINTS_MAX:
        raise Conflict(f"There are {ENDPOINTS_MAX} endpoints already. Change one of them.", code="too-many-endpoints")
    endpoint_id, now, secret = new_id(), datetime.now(UTC), new_signing_secret()
    row = {
        "id": endpoint_id,
        "version": 1,
        "filter": None,
        "client_ids": None,
        "payload": "thin",
        "format": "standard",
        "status": "active",
        **given,
        "public_key": public_key_text(secret),
        "created_by": principal.person_id,
        "created_at": now,
        "updated_at": now,
    }
    await check_only_opener(db, endpoint_id, {"ticket": None, "connection_id": None, **row})
    if row["format"] == TICKET:  # a check of its connection tells
        row["confirmed_at"] = now
    hidden = {"secret": vault.seal(secret, about=secret_about(db.tenant_id, endpoint_id))}
    hidden |= _hide_url(row, row["format"], vault, url_about(db.tenant_id, endpoint_id))
    told = Written("webhook_endpoint", "webhook_endpoint.created")
    await insert_row(db, "webhook_endpoints", row, told, actor=principal.actor, at=now, hidden=hidden)
    await queue_retention(db, now + LOOKED_AT_EVERY)
    if "confirmed_at" not in row:
        await _test(db, principal, endpoint_id, row["name"])
    return endpoint_id, secret_text(secret)


async def change_endpoint(
    db: Db,
    principal: Principal,
    endpoint_id: UUID,
    given: Mapping[str, Any],
    if_match: str | None,
    vault: Vault,
    settings: Settings,
) -> None:
    """Change what `given` names. Activated again, it is sent what was waiting when it was disabled; at another address
    it is tested before it is told anything more.

    Raises NotFound, Forbidden, Invalid and Conflict.
    """
    _require(principal)
    before = await _lock(db, endpoint_id)
    check_version(if_match, before["version"])
    changes = changed(before, await endpoint_columns(db, given, before["format"], is_new=False))
    if not changes:
        return
    await _check(db, changes, settings)
    if {**before, **changes}["status"] == "active":
        await check_only_opener(db, endpoint_id, {**before, **changes})
    now = datetime.now(UTC)
    whole: dict[str, Any] = {**changes, "version": before["version"] + 1, "updated_at": now}
    if "status" in changes:
        whole |= {"disabled_because": None if changes["status"] == "active" else "asked", "failing_since": None}
    if "url" in changes and before["format"] != TICKET:
        whole["confirmed_at"] = None
    is_unconfirmed = whole.get("confirmed_at", before["confirmed_at"]) is None
    told = Written("webhook_endpoint", "webhook_endpoint.changed", fields=sorted(changes))
    hidden = _hide_url(whole, before["format"], vault, url_about(db.tenant_id, endpoint_id))
    await update_row(db, "webhook_endpoints", endpoint_id, whole, told, actor=principal.actor, at=now, hidden=hidden)
    await queue_retention(db, now + LOOKED_AT_EVERY)
    if changes.get("status") == "active":
        await resume(db, endpoint_id)
    if is_unconfirmed and whole.get("status", before["status"]) == "active":
        await _test(db, principal, endpoint_id, whole.get("name", before["name"]))


async def retire_endpoint(db: Db, principal: Principal, endpoint_id: UUID, if_match: str | None) -> None:
    """Tell an endpoint nothing any more. It stays listed, without its secrets; what waited is kept back.

    Raises NotFound, Forbidden and Conflict.
    """
    _require(principal)
    before = await _lock(db, endpoint_id)
    check_version(if_match, before["version"])
    now = datetime.now(UTC)
    changes = {
        "status": "retired",
        "disabled_because": None,
        "failing_since": None,
        "previous_secret_until": None,
        "version": before["version"] + 1,
        "updated_at": now,
    }
    hidden = {"secret": b"", "previous_secret": None, "sealed_url": None}
    told = Written("webhook_endpoint", "webhook_endpoint.retired", name=before["name"])
    await update_row(db, "webhook_endpoints", endpoint_id, changes, told, actor=principal.actor, at=now, hidden=hidden)
    await db.execute(_CLEAR, db.tenant_id, endpoint_id)
    await queue_retention(db, now)


async def rotate_endpoint(db: Db, principal: Principal, endpoint_id: UUID, *, overlap: timedelta, vault: Vault) -> str:
    """Replace secret and key pair; the new secret. The former ones sign beside them for `overlap` more.

    Raises NotFound, Forbidden and Conflict.
    """
    _require(principal)
    before = await _lock(db, endpoint_id)
    now, secret = datetime.now(UTC), new_signing_secret()
    changes = {
        "version": before["version"] + 1,
        "updated_at": now,
        "public_key": public_key_text(secret),
        "previous_secret_until": now + overlap if overlap else None,
    }
    find = "SELECT secret FROM webhook_endpoints WHERE tenant_id = $1 AND id = $2"
    hidden = {
        "secret": vault.seal(secret, about=secret_about(db.tenant_id, endpoint_id)),
        "previous_secret": await db.value(find, db.tenant_id, endpoint_id) if overlap else None,
    }
    told = Written("webhook_endpoint", "webhook_endpoint.rotated")
    await update_row(db, "webhook_endpoints", endpoint_id, changes, told, actor=principal.actor, at=now, hidden=hidden)
    return secret_text(secret)


async def check_endpoint(db: Db, principal: Principal, endpoint_id: UUID, event_type: str | None = None) -> UUID:
    """Send an event `webhook_endpoint.tested` to the endpoint, past its types and filter; the id of the delivery.

    With `event_type` what is sent looks like an event of that type. Raises NotFound, Forbidden, Invalid for a type that
    is not in the catalogue, and Conflict (`endpoint-disabled`, `endpoint-retired`).
    """
    _require(principal)
    if event_type is not None and event_type not in TYPES:
        raise Invalid(
            "There is no such type of events.", errors=[InputError("/event_type", "a type of GET /v1/event-types")]
        )
    before = await _lock(db, endpoint_id)
    if before["status"] != "active":
        raise Conflict("The endpoint is disabled. Activate it first.", code="endpoint-disabled")
    seq = await _test(db, principal, endpoint_id, before["name"], event_type)
    delivery_id: UUID = await db.value(
        "SELECT id FROM webhook_deliveries WHERE tenant_id = $1 AND endpoint_id = $2 AND stream = 'webhook_endpoint'"
        " AND stream_id = $2 AND seq = $3",
        db.tenant_id,
        endpoint_id,
        seq,
    )
    return delivery_id


async def _test(db: Db, principal: Principal, endpoint_id: UUID, name: str, event_type: str | None = None) -> int:
    """Write the event that tests an endpoint; its number in the stream of the endpoint."""
    data = {"name": name} | ({"event_type": event_type} if event_type is not None else {})
    event = await append(db, "webhook_endpoint", endpoint_id, "webhook_endpoint.tested", data, actor=principal.actor)
    return int(event["seq"])


async def replay_delivery(db: Db, principal: Principal, endpoint_id: UUID, delivery_id: UUID) -> None:
    """Send a delivery again, with the id that it had. One that waits to be sent anyway stays as it is.

    Raises NotFound, Forbidden and Conflict.
    """
    _require(principal)
    await _lock(db, endpoint_id)
    await require_delivery(db, endpoint_id, delivery_id)
    await db.value(REPLAY_ONE, db.tenant_id, endpoint_id, 1, delivery_id)
    await _wake(db)


async def require_delivery(db: Db, endpoint_id: UUID, delivery_id: UUID) -> None:
    """Raise NotFound unless the delivery is one of this endpoint."""
    find = "SELECT 1 FROM webhook_deliveries WHERE tenant_id = $1 AND endpoint_id = $2 AND id = $3"
    if await db.value(find, db.tenant_id, endpoint_id, delivery_id) is None:
        raise NotFound


async def replay_deliveries(
    db: Db,
    principal: Principal,
    endpoint_id: UUID,
    since: datetime | None,
    until: datetime,
    statuses: Collection[str],
) -> int:
    """Send again what was queued from `since` to before `until`, the oldest REPLAYED_MAX; how many these are.

    Without `since` all that is kept. Raises NotFound, Forbidden and Conflict: `endpoint-retired`, and
    `deliveries-forgotten` where some of that time are no longer kept.
    """
    _require(principal)
    before = await _lock(db, endpoint_id)
    kept = await kept_since(db, datetime.now(UTC))
    if since is not None and since < kept and before["created_at"] < kept:
        raise Conflict(
            f"Deliveries are kept since {instant_text(kept)}. Replay from there on; older events are in /v1/events.",
            code="deliveries-forgotten",
            current={"kept_since": instant_text(kept)},
        )
    count: int = await db.value(REPLAY_SOME, db.tenant_id, endpoint_id, REPLAYED_MAX, since, until, list(statuses))
    await _wake(db)
    return count


def _hide_url(row: dict[str, Any], form: str, vault: Vault, about: bytes) -> dict[str, Any]:
    """The columns that hide a new address where it is a secret; the row keeps what may be shown of it."""
    if "url" not in row or form not in FORMATS or not FORMATS[form].has_secret_url:
        return {}
    sealed = vault.seal(row["url"].encode(), about=about)
    row["url"] = masked_url(row["url"])
    return {"sealed_url": sealed}


def _require(principal: Principal) -> None:
    require(principal, "endpoint.write")
    require_unlimited(principal)


async def _lock(db: Db, endpoint_id: UUID) -> dict[str, Any]:
    """The endpoint, locked. Raises NotFound, and Conflict (`endpoint-retired`) for one that is not used again."""
    row = await db.row(_LOCK, db.tenant_id, endpoint_id)
    if row is None:
        raise NotFound
    if row["status"] == "retired":
        raise Conflict("The endpoint is retired. Add a new one.", code="endpoint-retired")
    return {**row, "ticket": None if row["ticket"] is None else orjson.loads(row["ticket"])}


async def _wake(db: Db) -> None:
    await db.execute(f"NOTIFY {CHANNEL}")


async def _check(db: Db, given: Mapping[str, Any], settings: Settings) -> None:
    if "url" in given:
        try:
            check_receiver(given["url"], settings.webhook_networks, own_of(settings))
        except FetchFailed as error:
            instead = "Give an https address of the public network, or one of HOLDFAST_WEBHOOK_NETWORKS"
            reason = f"{error}. {instead}, which the operator sets."
            raise Invalid("Nothing can be sent to this address.", errors=[InputError("/url", reason)]) from None
    if "event_types" in given:
        check_types(given["event_types"])
    check_filter(given.get("filter"))
    wanted = given.get("client_ids") or []
    rows = await db.fetch("SELECT id FROM clients WHERE tenant_id = $1 AND id = ANY ($2)", db.tenant_id, wanted)
    known = {row["id"] for row in rows}
    faults = [InputError(f"/client_ids/{n}", "names no client") for n, one in enumerate(wanted) if one not in known]
    if faults:
        raise Invalid("The client limit names what is no client.", errors=faults[:20])
