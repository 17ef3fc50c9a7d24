"""Connections: the systems that we call, each with the address and the credentials that we call it with."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from msgspec import Struct

from app.authentication import Principal
from app.database import Db
from app.dialling import CallFailed, Connection, Dialler, one_line
from app.fetching import FetchFailed, check_receiver, own_of
from app.ids import new_id
from app.rights import require, require_unlimited
from app.rows import Written, changed, check_version, insert_row, update_row
from app.secrets import Unsealable, Vault
from app.settings import Settings
from domain.actors import SYSTEM, Actor
from domain.connections import connection_system
from domain.refusals import Conflict, InputError, Invalid, NotFound

CONNECTIONS_MAX = 100  # of a tenant
CHECK_SECONDS_MAX = 25.0  # a check may ask several times, a token among them, while somebody waits
SEEN_MAX = 300  # characters of each value that a check shows

# Where nobody named an instance, it is that of the source which names the connection.
_FIND = """
SELECT c.id, c.tenant_id, c.version, c.name, c.system, c.base_url, c.credentials, c.status, c.account, c.last_error,
       CASE WHEN c.instance <> c.id::text THEN c.instance ELSE coalesce(
           (SELECT s.instance FROM sources s WHERE s.tenant_id = c.tenant_id AND s.connection_id = c.id
            AND s.system = c.system AND s.status <> 'disabled' ORDER BY s.created_at, s.id LIMIT 1), c.instance)
       END AS instance
FROM connections c WHERE c.tenant_id = $1 AND c.id = $2
"""
_LOCK = """
SELECT id, version, name, system, instance, base_url, status, account, last_error
FROM connections WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE
"""


_USED = """
SELECT EXISTS (SELECT 1 FROM webhook_endpoints WHERE tenant_id = $1 AND connection_id = $2 AND status = 'active')
    OR EXISTS (SELECT 1 FROM sources WHERE tenant_id = $1 AND connection_id = $2 AND status = 'active')
"""


class Checked(Struct, frozen=True, kw_only=True):
    """What a check found: what the system said of itself and of us, or why it could not be asked."""

    at: datetime
    seen: dict[str, Any]
    error: str | None


def credentials_about(tenant_id: UUID, connection_id: UUID) -> bytes:
    """What sealed credentials are bound to: they open for no other connection."""
    return f"connection\n{tenant_id}\n{connection_id}".encode()


async def find_connection(db: Db, connection_id: UUID, vault: Vault) -> Connection:
    """A connection that can be called. Raises NotFound for none and Conflict (`connection-retired`,
    `credentials-unreadable`)."""
    row = await db.row(_FIND, db.tenant_id, connection_id)
    if row is None:
        raise NotFound
    if row["status"] != "active":
        raise Conflict(f"The connection {row['name']} is retired.", code="connection-retired")
    try:
        opened = vault.open(row["credentials"], about=credentials_about(db.tenant_id, connection_id))
    except Unsealable:
        said = f"The credentials of the connection {row['name']} cannot be opened. Rotate it: give them again."
        raise Conflict(said, code="credentials-unreadable") from None
    kept = {name: value for name, value in row.items() if name not in ("status", "credentials")}
    return Connection(**kept, credentials=orjson.loads(opened))


async def create_connection(
    db: Db, principal: Principal, given: Mapping[str, Any], vault: Vault, settings: Settings
) -> UUID:
    """Add a connection; its id. `given` holds name, system, base_url and credentials, and perhaps instance.

    Raises Forbidden, Invalid and Conflict (`too-many-connections`).
    """
    _require(principal)
    connection_system(given["system"]).auth_for(given["credentials"])
    _check_address(given["base_url"], settings)
    if await db.value("SELECT count(*) FROM connections WHERE tenant_id = $1", db.tenant_id) >= CONNECTIONS_MAX:
        said = f"There are {CONNECTIONS_MAX} connections already. Change one of them."
        raise Conflict(said, code="too-many-connections")
    connection_id, now = new_id(), datetime.now(UTC)
    row = {
        "id": connection_id,
        "version": 1,
        "name": given["name"],
        "system": given["system"],
        # Two systems of one kind never share the ids of their tickets, unless they are told to be one.
        "instance": given.get("instance") or str(connection_id),
        "base_url": given["base_url"].rstrip("/"),
        "status": "active",
        "account": None,
        "last_checked_at": None,
        "last_error": None,
        "created_by": principal.person_id,
        "created_at": now,
        "updated_at": now,
    }
    hidden = {"credentials": _sealed(db, connection_id, given["credentials"], vault)}
    told = Written("connection", "connection.created")
    await insert_row(db, "connections", row, told, actor=principal.actor, at=now, hidden=hidden)
    return connection_id


async def change_connection(
    db: Db, principal: Principal, connection_id: UUID, given: Mapping[str, Any], if_match: str | None
) -> None:
    """Change name or instance. Raises NotFound, Forbidden and Conflict."""
    _require(principal)
    before = await _lock(db, connection_id)
    check_version(if_match, before["version"])
    changes = changed(before, given)
    if changes:
        await _write(db, principal.actor, before, "connection.changed", changes, fields=sorted(changes))


async def rotate_connection(
    db: Db,
    principal: Principal,
    connection_id: UUID,
    *,
    credentials: Mapping[str, str],
    base_url: str | None,
    vault: Vault,
    settings: Settings,
) -> None:
    """Replace the credentials, and the address with them: credentials never go where they were not given for.

    Raises NotFound, Forbidden, Invalid and Conflict.
    """
    _require(principal)
    before = await _lock(db, connection_id)
    connection_system(before["system"]).auth_for(credentials)
    changes: dict[str, Any] = {"account": None, "last_error": None}
    if base_url is not None:
        _check_address(base_url, settings)
        changes["base_url"] = base_url.rstrip("/")
    hidden = {"credentials": _sealed(db, connection_id, credentials, vault)}
    await _write(db, principal.actor, before, "connection.rotated", changes, hidden=hidden)


async def retire_connection(db: Db, principal: Principal, connection_id: UUID) -> None:
    """Let a connection be called no more. Its row stays, since events and references name it.

    Raises NotFound, Forbidden and Conflict (`connection-retired`, `connection-in-use`).
    """
    _require(principal)
    before = await _lock(db, connection_id)
    if await db.value(_USED, db.tenant_id, connection_id):
        said = "Endpoints or sources use it. Disable them, or give them another connection."
        raise Conflict(said, code="connection-in-use")
    # What is not called any more needs no credentials.
    hidden = {"credentials": b""}
    await _write(db, principal.actor, before, "connection.retired", {"status": "retired"}, hidden=hidden)


async def ask(dialler: Dialler, connection: Connection, at: datetime) -> Checked:
    """Ask the system for something harmless. To be called with no transaction open."""
    try:
        async with asyncio.timeout(CHECK_SECONDS_MAX):
            replied = await dialler.call(connection, "check", {})
    except CallFailed as failure:
        return Checked(at=at, seen={}, error=failure.said)
    except TimeoutError:
        return Checked(at=at, seen={}, error="It did not answer in time.")
    seen = {name: one_line(value, SEEN_MAX) for name, value in replied.values.items() if value not in (None, "")}
    return Checked(at=at, seen=seen, error=None)


async def record_check(db: Db, actor: Actor, connection_id: UUID, checked: Checked) -> None:
    """Keep what a check found. Raises NotFound and Conflict (`connection-retired`)."""
    before = await _lock(db, connection_id)
    changes = {"last_checked_at": checked.at, "last_error": checked.error}
    if checked.seen.get("account"):
        changes["account"] = checked.seen["account"]
    told = "connection.checked" if checked.error is None else "connection.check_failed"
    await _write(db, actor, before, told, changes)


async def note_refusal(db: Db, connection_id: UUID, at: datetime, error: str | None) -> None:
    """Keep that a system lets us in no more, or does again (`error` None), as a check would have found."""
    before = await _lock(db, connection_id)
    if (before["last_error"] is None) != (error is None):
        await record_check(db, SYSTEM, connection_id, Checked(at=at, seen={}, error=error))


async def note_account(db: Db, connection_id: UUID, account: str) -> None:
    """Keep the name under which a system knows us, by which our own doing is recognised when it comes back."""
    before, account = await _lock(db, connection_id), one_line(account, SEEN_MAX)
    if account and before["account"] != account:
        await _write(db, SYSTEM, before, "connection.recognised", {"account": account})


def _require(principal: Principal) -> None:
    require(principal, "connection.write")
    require_unlimited(principal)


async def _lock(db: Db, connection_id: UUID) -> dict[str, Any]:
    row = await db.row(_LOCK, db.tenant_id, connection_id)
    if row is None:
        raise NotFound
    if row["status"] == "retired":
        raise Conflict("The connection is retired. Add a new one.", code="connection-retired")
    return dict(row)


async def _write(
    db: Db,
    actor: Actor,
    before: Mapping[str, Any],
    kind: str,
    changes: Mapping[str, Any],
    *,
    hidden: Mapping[str, Any] | None = None,
    **data: Any,
) -> None:
    now = datetime.now(UTC)
    whole = {**changes, "version": before["version"] + 1, "updated_at": now}
    told = Written("connection", kind, **data)
    await update_row(db, "connections", before["id"], whole, told, actor=actor, at=now, hidden=hidden)


def _sealed(db: Db, connection_id: UUID, credentials: Mapping[str, str], vault: Vault) -> bytes:
    return vault.seal(orjson.dumps(dict(credentials)), about=credentials_about(db.tenant_id, connection_id))


def _check_address(url: str, settings: Settings) -> None:
    try:
        check_receiver(url, settings.webhook_networks, own_of(settings))
        if "?" in url or "#" in url:  # also with nothing behind them: a path that follows would not be one
            raise FetchFailed("the address holds a query or a fragment")
    except FetchFailed as error:
        reason = f"{error}. Give the https address that the system is called at."
        raise Invalid("This address cannot be called.", errors=[InputError("/base_url", reason)]) from None
