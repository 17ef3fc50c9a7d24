"""Tenants: a new organisation with its first person, that person's key and the risk register it starts with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import orjson

from app.database import Database, Db
from app.events import frames, insert_frames
from app.ids import new_id
from app.risk_reviews import queue_reviews
from app.roles import OWNER
from app.secrets import NewSecret, new_api_key
from domain.actors import SYSTEM
from domain.refusals import InputError, Invalid
from domain.risks import next_review, register
from domain.timeline import GENESIS

NAME_CHARACTERS_MAX = 200
FIRST_ROLES = ("it_security", "risk_owner", "tenant_admin")
FIRST_PERSON = "First administrator"
FIRST_KEY = "First key"


@dataclass(frozen=True, slots=True)
class NewTenant:
    """A tenant just made. `key` is the secret of the first person's key: shown once, never stored."""

    tenant_id: UUID
    name: str
    person_id: UUID
    key_id: UUID
    key: str


@dataclass(frozen=True, slots=True)
class _Told:
    """The first event of a stream, and the row it tells: `hidden` columns are stored but not told."""

    stream: str
    stream_id: UUID
    kind: str
    table: str
    row: Mapping[str, Any]
    hidden: Mapping[str, Any]
    occurred_at: datetime | None = None

    @property
    def data(self) -> dict[str, Any]:
        """What the event says."""
        key = self.row.get("ref") or self.stream_id
        return {"changes": {self.table: {str(key): dict(self.row)}}}


async def create_tenant(
    database: Database,
    name: str,
    *,
    person_name: str = FIRST_PERSON,
    email: str | None = None,
    keep: Callable[[NewTenant], None] | None = None,
) -> NewTenant:
    """Create a tenant whose first person may administer, own risks and respond, with a key for that person.

    `keep` is called before the commit, so that the key is in safety before it opens anything. Raises Invalid.
    """
    name, person_name = _text("/name", name), _text("/person_name", person_name)
    tenant_id, now = new_id(), datetime.now(UTC)
    secret = new_api_key(tenant_id)
    new = NewTenant(tenant_id, name, new_id(), new_id(), secret.text)
    rows = [*_first_rows(new, secret, person_name, email, now), *_risk_rows(now)]
    async with database.transaction(tenant_id) as db:
        await db.execute("INSERT INTO tenants (tenant_id, name, created_at) VALUES ($1, $2, $3)", tenant_id, name, now)
        for told in rows[1:]:
            await _insert(db, told.table, {**told.row, **told.hidden})
        framed = [
            frame
            for told in rows
            for frame in frames(tenant_id, told.stream, told.stream_id, 0, GENESIS, [told], SYSTEM, now)
        ]
        await insert_frames(db, framed)
        await queue_reviews(db)
        if keep is not None:
            keep(new)
    return new


async def list_tenants(owner_dsn: str) -> list[asyncpg.Record]:
    """All tenants, oldest first: id, name, created_at. Asked as a superuser or as the owner of the tables.

    The walls hold for the owner too. It takes its own down inside a transaction that is rolled back, in which nobody
    else can read the table: a matter of milliseconds, for administrators alone.
    """
    connection = await asyncpg.connect(owner_dsn, timeout=10, server_settings={"TimeZone": "UTC"})
    try:
        transaction = connection.transaction()
        await transaction.start()
        try:
            if not await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
                await connection.execute("SET LOCAL lock_timeout = '4s'")
                if await connection.fetchval("SELECT pg_has_role(current_user, $1, 'MEMBER')", OWNER):
                    await connection.execute(f"SET LOCAL ROLE {OWNER}")
                await connection.execute("ALTER TABLE tenants NO FORCE ROW LEVEL SECURITY")
            found: list[asyncpg.Record] = await connection.fetch(
                "SELECT tenant_id AS id, name, created_at FROM tenants ORDER BY created_at, tenant_id"
            )
            return found
        finally:
            await transaction.rollback()
    finally:
        await connection.close()


async def find_tenant(database: Database, tenant_id: UUID) -> dict[str, Any] | None:
    """A tenant with how much it holds, None when there is none."""
    async with database.transaction(tenant_id, read_only=True) as db:
        row = await db.row(
            "SELECT tenant_id AS id, name, created_at,"
            " (SELECT count(*) FROM people p WHERE p.tenant_id = t.tenant_id AND p.active) AS people,"
            " (SELECT count(*) FROM clients c WHERE c.tenant_id = t.tenant_id AND c.active) AS clients,"
            " (SELECT count(*) FROM incidents i WHERE i.tenant_id = t.tenant_id) AS incidents"
            " FROM tenants t WHERE tenant_id = $1",
            tenant_id,
        )
    return dict(row) if row else None


def _first_rows(new: NewTenant, secret: NewSecret, person_name: str, email: str | None, now: datetime) -> list[_Told]:
    tenant = {"name": new.name, "created_at": now}
    person = {
        "id": new.person_id,
        "version": 1,
        "kind": "internal",
        "name": person_name,
        "email": email,
        "roles": list(FIRST_ROLES),
        "active": True,
        "incident_ids": [],
        "created_at": now,
        "updated_at": now,
    }
    key = {
        "id": new.key_id,
        "person_id": new.person_id,
        "name": FIRST_KEY,
        "prefix": secret.prefix,
        "created_at": now,
    }
    return [
        _Told("tenant", new.tenant_id, "tenant.created", "tenants", tenant, {}),
        _Told("person", new.person_id, "person.created", "people", person, {}),
        _Told("key", new.key_id, "key.issued", "api_keys", key, {"secret_hash": f"\\x{secret.hash.hex()}"}),
    ]


def _risk_rows(now: datetime) -> list[_Told]:
    told = []
    for entry in register():
        risk = msgspec.structs.replace(entry, next_review_at=next_review(entry, now))
        row = {"id": new_id(), "version": 1, **msgspec.to_builtins(risk), "created_at": now, "updated_at": now}
        told.append(_Told("risk", row["id"], "risk.created", "risks", row, {}))
    return told


async def _insert(db: Db, table: str, row: Mapping[str, Any]) -> None:
    names = ", ".join(row)
    await db.execute(
        f"INSERT INTO {table} (tenant_id, {names})"
        f" SELECT $1, {names} FROM jsonb_populate_record(NULL::{table}, $2::jsonb)",
        db.tenant_id,
        orjson.dumps(row).decode(),
    )


def _text(pointer: str, text: str) -> str:
    """A name as it is kept. Raises Invalid for an empty one, a long one, or one with control characters."""
    text = text.strip()
    if not 0 < len(text) <= NAME_CHARACTERS_MAX or not text.isprintable():
        said = f"1 to {NAME_CHARACTERS_MAX} printable characters"
        raise Invalid("This cannot be a name.", errors=[InputError(pointer, said)])
    return text
