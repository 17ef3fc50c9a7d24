"""Clients: the customers of the tenant, with the roles, profile and contract clauses that obligations are read from."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from app.authentication import Principal
from app.database import Db
from app.ids import new_id
from app.reevaluation import queue_reevaluation
from app.rights import lifted, require, require_unlimited
from app.rows import Written, changed, check_version, insert_row, update_row
from domain.refusals import Conflict, InputError, Invalid, NotFound

_LOCK = """
SELECT id, version, name, hipaa_role, gdpr_role, jurisdictions, profile::text AS profile, contract::text AS contract,
       active
FROM clients WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE
"""
_FIND_REFERENCE = (
    "SELECT client_id FROM client_references"
    " WHERE tenant_id = $1 AND system = $2 AND instance = $3 AND external_id = $4"
)


class ReferenceTaken(Conflict):
    """Another client carries this reference: `current` names it."""

    code = "external-reference-exists"


async def create_client(
    db: Db, principal: Principal, given: Mapping[str, Any], references: Sequence[Mapping[str, Any]] = ()
) -> UUID:
    """Add a client, with what other systems call it; the id.

    `given` holds `name` and any of hipaa_role, gdpr_role, jurisdictions, profile, contract. A reference holds system,
    instance, external_id, key, url. Raises Forbidden, Invalid and ReferenceTaken.
    """
    _require(principal)
    if not given.get("name"):
        raise Invalid("A new client needs a name.", errors=[InputError("/name", "needed")])
    for one in sorted(references, key=_place):
        await _lock_reference(db, *_place(one))
        taken = await db.value(_FIND_REFERENCE, db.tenant_id, *_place(one))
        if taken is not None:
            raise ReferenceTaken("Another client carries this reference.", current={"id": str(taken)})
    now = datetime.now(UTC)
    client_id = new_id()
    row = {
        "id": client_id,
        "version": 1,
        "hipaa_role": None,
        "gdpr_role": None,
        "jurisdictions": [],
        "profile": {},
        "contract": {},
        "active": True,
        **given,
        "created_at": now,
        "updated_at": now,
    }
    told = Written("client", "client.created", external_references=[_named(one) for one in references])
    await insert_row(db, "clients", row, told, actor=principal.actor, at=now)
    for one in references:
        await _add_reference(db, client_id, one)
    return client_id


async def change_client(
    db: Db, principal: Principal, client_id: UUID, given: Mapping[str, Any], if_match: str | None
) -> None:
    """Change what `given` names; its open incidents are evaluated again. Raises NotFound, Forbidden and Conflict."""
    _require(principal)
    found = await db.row(_LOCK, db.tenant_id, client_id)
    if found is None:
        raise NotFound
    before = {**found, "profile": orjson.loads(found["profile"]), "contract": orjson.loads(found["contract"])}
    check_version(if_match, before["version"])
    changes = changed(before, given)
    if not changes:
        return
    now = datetime.now(UTC)
    whole = {**changes, "version": before["version"] + 1, "updated_at": now}
    told = Written("client", "client.changed", fields=sorted(changes))
    await update_row(db, "clients", client_id, whole, told, actor=principal.actor, at=now)
    async with lifted(db, principal):
        await queue_reevaluation(db, client_id=client_id)


async def put_client(
    db: Db, principal: Principal, reference: Mapping[str, Any], given: Mapping[str, Any], if_match: str | None
) -> tuple[UUID, bool]:
    """Create or update the client that another system calls by this reference; the id and whether it is new.

    Callers that put the same reference at once wait for each other. Absent fields stay. Raises as the other two.
    """
    _require(principal)
    await _lock_reference(db, *_place(reference))
    # A statement of its own after the lock: the locking one would read an older snapshot.
    client_id = await db.value(_FIND_REFERENCE, db.tenant_id, *_place(reference))
    if client_id is None:
        if if_match is not None:
            raise Conflict("There is no client with this reference yet.", code="precondition-failed")
        return await create_client(db, principal, given, [reference]), True
    await change_client(db, principal, client_id, given, if_match)
    return client_id, False


def _require(principal: Principal) -> None:
    require(principal, "client.write")
    require_unlimited(principal)


def _place(reference: Mapping[str, Any]) -> tuple[str, str, str]:
    return reference["system"], reference["instance"], reference["external_id"]


def _named(reference: Mapping[str, Any]) -> dict[str, Any]:
    return {name: reference.get(name) for name in ("system", "instance", "external_id", "key", "url")}


async def _lock_reference(db: Db, system: str, instance: str, external_id: str) -> None:
    name = f"{db.tenant_id}\nclient\n{system}\n{instance}\n{external_id}"
    await db.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", name)


async def _add_reference(db: Db, client_id: UUID, reference: Mapping[str, Any]) -> None:
    try:
        await db.execute(
            "INSERT INTO client_references (tenant_id, system, instance, external_id, client_id, key, url)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7)",
            db.tenant_id,
            *_place(reference),
            client_id,
            reference.get("key"),
            reference.get("url"),
        )
    except asyncpg.UniqueViolationError as error:  # named twice in one request
        fault = InputError("/external_references", "names one reference twice")
        raise Invalid("A reference names one client, once.", errors=[fault]) from error
