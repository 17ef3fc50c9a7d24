"""API keys: issued to oneself or to a service account, handed to somebody else only as a one-time token; revoked.

The secret is shown once. A key never reaches further than the key that issued it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from app.authentication import Principal, Unauthenticated
from app.database import Db
from app.ids import new_id
from app.people import lock_person
from app.rights import may, require, require_unlimited
from app.rows import Written, insert_row, update_row
from app.secrets import Claim, NewSecret, new_api_key, new_hook_token
from domain.actors import SYSTEM, Actor
from domain.refusals import Conflict, Forbidden, InputError, Invalid, NotFound

TOKEN_DAYS = 7  # an enrolment token is good for P7D
ACTIVE_MAX = 50  # keys of one person or service account

_COUNT_ACTIVE = """
SELECT count(*) FROM api_keys WHERE tenant_id = $1 AND coalesce(person_id, service_account_id) = $2
  AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
"""
_LOCK = """
SELECT id, person_id, service_account_id, revoked_at FROM api_keys WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE
"""
_REDEEM = """
SELECT id, token_issued_by FROM people
WHERE tenant_id = $1 AND token_hash = $2 AND token_expires_at > now() AND active
  AND (expires_at IS NULL OR expires_at > now())
FOR NO KEY UPDATE
"""


_FIRST_ADMIN = """
SELECT id FROM people WHERE tenant_id = $1 AND active AND 'tenant_admin' = ANY (roles) ORDER BY created_at, id LIMIT 1
"""
_LIST = """
SELECT k.id, k.name, k.prefix, coalesce(p.name, s.name) AS holder, k.expires_at, k.last_used_at, k.revoked_at
FROM api_keys k
LEFT JOIN people p ON p.tenant_id = k.tenant_id AND p.id = k.person_id
LEFT JOIN service_accounts s ON s.tenant_id = k.tenant_id AND s.id = k.service_account_id
ORDER BY k.created_at, k.id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRequest:
    """The key that is asked for. Without holder it is the caller's own; None of a limit means the caller's limit."""

    name: str
    person_id: UUID | None = None
    service_account_id: UUID | None = None
    roles: Collection[str] | None = None
    client_ids: Collection[UUID] | None = None
    period_from: datetime | None = None
    period_to: datetime | None = None
    expires_at: datetime | None = None


async def issue_key(db: Db, principal: Principal, wanted: KeyRequest) -> tuple[UUID, str]:
    """Issue a key to the caller or to a service account: its id, and the secret that is shown once.

    Raises Forbidden, Invalid, NotFound and Conflict (`too-many-keys`).
    """
    if wanted.person_id is not None and wanted.person_id != principal.person_id:
        require(principal, "key.enrol")
        raise Forbidden(
            "A key for somebody else would let two be one. Issue a token with POST /v1/people/{id}/enrolment instead."
        )
    require(principal, "key.write" if wanted.service_account_id else "key.write_own")
    require_unlimited(principal)
    now = datetime.now(UTC)
    await _check(db, principal, wanted, principal.expires_at, now)
    holder: dict[str, UUID | None] = {"person_id": principal.person_id, "service_account_id": None}
    roles: Collection[str] | None = principal.roles_max if wanted.roles is None else wanted.roles
    if wanted.service_account_id is not None:
        holder = {"person_id": None, "service_account_id": wanted.service_account_id}
        roles = None
    row = {
        "name": wanted.name,
        **holder,
        "roles": None if roles is None else sorted(set(roles)),
        "client_ids": None if wanted.client_ids is None else sorted(set(wanted.client_ids)),
        "period_from": wanted.period_from,
        "period_to": wanted.period_to,
        "expires_at": wanted.expires_at or principal.expires_at,
    }
    return await add_key(db, principal.actor, row, new_api_key(db.tenant_id), now)


async def add_key(
    db: Db, actor: Actor, row: dict[str, Any], secret: NewSecret, now: datetime, kind: str = "key.issued"
) -> tuple[UUID, str]:
    """Store a key whose row was checked, and tell it: its id and secret. Raises Conflict (`too-many-keys`)."""
    holder = row["person_id"] or row["service_account_id"]
    if await db.value(_COUNT_ACTIVE, db.tenant_id, holder) >= ACTIVE_MAX:
        raise Conflict(f"There are {ACTIVE_MAX} active keys already. Revoke one first.", code="too-many-keys")
    key_id = new_id()
    whole = {"id": key_id, **row, "prefix": secret.prefix, "created_by": _person(actor), "created_at": now}
    hidden = {"secret_hash": secret.hash}
    await insert_row(db, "api_keys", whole, Written("key", kind), actor=actor, at=now, hidden=hidden)
    return key_id, secret.text


async def revoke_key(db: Db, principal: Principal, key_id: UUID) -> None:
    """Let a key count no more, from the next request on. Revoking it twice changes nothing.

    Raises NotFound, also for a key that the caller may not see, and Forbidden.
    """
    found = await db.row(_LOCK, db.tenant_id, key_id)
    if found is None:
        raise NotFound
    is_own = principal.person_id is not None and found["person_id"] == principal.person_id
    if not may(principal, "key.write"):
        if not is_own:
            raise NotFound
        require(principal, "key.write_own")
    if found["revoked_at"] is None:
        now = datetime.now(UTC)
        told = Written("key", "key.revoked")
        await update_row(db, "api_keys", key_id, {"revoked_at": now}, told, actor=principal.actor, at=now)


async def issue_key_for(
    db: Db, person_id: UUID | None, service_account_id: UUID | None, name: str, expires_at: datetime | None
) -> dict[str, Any]:
    """A key issued by the installation itself: to a person, a service account, or else the first administrator.

    Raises NotFound and Conflict.
    """
    if service_account_id is not None:
        await _check_service_account(db, service_account_id)
    elif person_id is not None:
        if not (await lock_person(db, person_id))["active"]:
            raise Conflict("The person is not active.", current={"active": False})
    else:
        person_id = await db.value(_FIRST_ADMIN, db.tenant_id)
        if person_id is None:
            raise NotFound
    row = {
        "name": name,
        "person_id": None if service_account_id else person_id,
        "service_account_id": service_account_id,
        "roles": None,
        "client_ids": None,
        "expires_at": expires_at,
    }
    key_id, text = await add_key(db, SYSTEM, row, new_api_key(db.tenant_id), datetime.now(UTC))
    return {"id": key_id, "person_id": row["person_id"], "service_account_id": service_account_id, "key": text}


async def revoke_any_key(db: Db, key_id: UUID) -> bool:
    """Revoke a key on behalf of the installation; false when there is none."""
    found = await db.row(_LOCK, db.tenant_id, key_id)
    if found is not None and found["revoked_at"] is None:
        now = datetime.now(UTC)
        await update_row(
            db, "api_keys", key_id, {"revoked_at": now}, Written("key", "key.revoked"), actor=SYSTEM, at=now
        )
    return found is not None


async def list_keys(db: Db) -> list[asyncpg.Record]:
    """The keys of a tenant with the names of their holders, oldest first."""
    return await db.fetch(_LIST)


async def issue_token(db: Db, principal: Principal, person_id: UUID) -> tuple[str, datetime]:
    """A one-time token with which somebody else fetches a first key: the text, shown once, and when it ends.

    An earlier token of the same person ends. Who issued it is kept, since four eyes compare it.
    Raises NotFound, Forbidden and Conflict.
    """
    require(principal, "key.enrol")
    require_unlimited(principal)
    person = await lock_person(db, person_id)
    if person_id == principal.person_id:
        raise Conflict("A token is for somebody else. Issue a key of your own with POST /v1/keys.")
    now = datetime.now(UTC)
    if not person["active"] or person["kind"] == "system" or (person["expires_at"] and person["expires_at"] <= now):
        raise Conflict("Only an active person can enrol.", current={"active": False})
    token = new_hook_token(db.tenant_id)
    expires_at = now + timedelta(days=TOKEN_DAYS)
    await update_row(
        db,
        "people",
        person_id,
        {"token_issued_by": principal.person_id, "version": person["version"] + 1, "updated_at": now},
        Written("person", "person.token_issued", expires_at=expires_at),
        actor=principal.actor,
        at=now,
        hidden={"token_hash": token.hash, "token_expires_at": expires_at},
    )
    return token.text, expires_at


async def redeem_token(db: Db, claim: Claim, name: str) -> tuple[UUID, UUID, str]:
    """Exchange a token for a key with all roles of the person: the person's id, the key's id and secret.

    Raises Unauthenticated for a token that is unknown, used or over; all read the same.
    """
    person_id = await use_token(db, claim)
    actor = Actor(kind="person", id=person_id)
    row = {"name": name, "person_id": person_id, "service_account_id": None, "roles": None, "client_ids": None}
    key_id, text = await add_key(db, actor, row, new_api_key(db.tenant_id), datetime.now(UTC), "key.enrolled")
    return person_id, key_id, text


async def use_token(db: Db, claim: Claim) -> UUID:
    """Use an enrolment token up; whose it was. Raises Unauthenticated as `redeem_token` does."""
    person = await db.row(_REDEEM, db.tenant_id, claim.hash)
    if person is None:
        raise Unauthenticated
    await db.execute(
        "UPDATE people SET token_hash = NULL, token_expires_at = NULL WHERE tenant_id = $1 AND id = $2",
        db.tenant_id,
        person["id"],
    )
    person_id: UUID = person["id"]
    return person_id


async def _check(db: Db, principal: Principal, wanted: KeyRequest, latest: datetime | None, now: datetime) -> None:
    """Refuse a key that cannot be, or that would reach further than the caller's. Raises NotFound and Invalid."""
    faults: list[InputError] = []
    if wanted.service_account_id is not None:
        if wanted.person_id is not None:
            faults.append(InputError("/person_id", "a key belongs to one"))
        if wanted.roles is not None:
            faults.append(InputError("/roles", "a service account holds none but its own"))
        await _check_service_account(db, wanted.service_account_id)
    elif wanted.roles is not None and not set(wanted.roles) <= principal.roles:
        faults.append(InputError("/roles", "a subset of the roles that your own key holds"))
    elif wanted.roles is not None and not wanted.roles:
        faults.append(InputError("/roles", "at least one; leave it away for all of yours"))
    if wanted.expires_at is not None and wanted.expires_at <= now:
        faults.append(InputError("/expires_at", "in the future"))
    if latest is not None and wanted.expires_at is not None and wanted.expires_at > latest:
        faults.append(InputError("/expires_at", "not after the end of the key you use"))
    if wanted.period_from is not None and wanted.period_to is not None and wanted.period_to <= wanted.period_from:
        faults.append(InputError("/period_to", "after period_from"))
    if wanted.client_ids is not None:
        known = await db.value(
            "SELECT count(*) FROM clients WHERE tenant_id = $1 AND id = ANY ($2)", db.tenant_id, list(wanted.client_ids)
        )
        if not wanted.client_ids or known != len(set(wanted.client_ids)):
            faults.append(InputError("/client_ids", "existing clients, at least one"))
    if faults:
        raise Invalid("The key cannot be issued like this; `errors` says why.", errors=faults)


async def _check_service_account(db: Db, service_account_id: UUID) -> None:
    active = await db.value(
        "SELECT active FROM service_accounts WHERE tenant_id = $1 AND id = $2", db.tenant_id, service_account_id
    )
    if active is None:
        raise NotFound
    if not active:
        raise Conflict("The service account is not active.", current={"active": False})


def _person(actor: Actor) -> UUID | None:
    return actor.id if actor.is_person else None
