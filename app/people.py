"""People: members of the tenant, and outside persons limited to named incidents (rule C13 of the documentation)."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from app.authentication import Principal
from app.database import Db
from app.ids import new_id
from app.reevaluation import queue_reevaluation
from app.rights import lifted, require, require_unlimited
from app.rows import Written, changed, check_version, insert_row, update_row
from domain.actors import Actor
from domain.glossary import GRANTABLE, Role
from domain.refusals import Conflict, InputError, Invalid, NotFound

OUTSIDE_DAYS_MAX = 30  # C13: at most P30D
EDITABLE = ("name", "email", "user_name", "manager_id", "roles", "active", "expires_at", "incident_ids")

_LOCK = """
SELECT id, version, kind, name, email, user_name, manager_id, roles, active, expires_at, incident_ids
FROM people WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE
"""
_ADMINS = """
SELECT count(*) FROM people
WHERE tenant_id = $1 AND id <> $2 AND active AND 'tenant_admin' = ANY (roles)
  AND (expires_at IS NULL OR expires_at > now())
"""


class UserNameTaken(Conflict):
    """Another person of the tenant has this user name."""

    code = "user-name-taken"


class LastAdmin(Conflict):
    """Nobody would be left who can administer the tenant."""

    code = "last-admin"


async def create_person(db: Db, principal: Principal, given: Mapping[str, Any]) -> UUID:
    """Add a person; the id. `given` holds `name` and any of kind, email, user_name, manager_id, roles, expires_at,
    incident_ids.

    Raises Forbidden, Invalid and UserNameTaken.
    """
    require(principal, "person.write")
    require_unlimited(principal)
    now = datetime.now(UTC)
    row = {
        "kind": "internal",
        "email": None,
        "user_name": None,
        "manager_id": None,
        "roles": [],
        "active": True,
        "expires_at": None,
        "incident_ids": [],
        **given,
    }
    row["roles"] = sorted(set(row["roles"]))
    if row["roles"]:
        _check_grant(principal, set(row["roles"]))
    person_id = new_id()
    await _check(db, principal, person_id, row, row, now)
    async with lifted(db, principal):
        await _add(db, principal.actor, person_id, row, now)
    return person_id


async def _add(db: Db, actor: Actor, person_id: UUID, row: Mapping[str, Any], now: datetime) -> None:
    whole = {
        "id": person_id,
        "version": 1,
        **row,
        "created_by": actor.id if actor.is_person else None,
        "created_at": now,
        "updated_at": now,
    }
    try:
        await insert_row(db, "people", whole, Written("person", "person.created"), actor=actor, at=now)
    except asyncpg.UniqueViolationError as error:
        raise _taken(error) from error
    await _name_for_incidents(db, person_id, row["kind"], row["incident_ids"], [])


async def change_person(
    db: Db, principal: Principal, person_id: UUID, given: Mapping[str, Any], if_match: str | None
) -> None:
    """Change what `given` names. Raises NotFound, Forbidden, Invalid, UserNameTaken, LastAdmin and Conflict."""
    require(principal, "person.write")
    require_unlimited(principal)
    before = await lock_person(db, person_id)
    check_version(if_match, before["version"])
    now = datetime.now(UTC)
    wanted = {**given, "roles": sorted(set(given["roles"]))} if "roles" in given else dict(given)
    changes = changed(before, wanted)
    if not changes:
        return
    after = {**before, **changes}
    granted = set(after["roles"]) - set(before["roles"])
    taken = set(before["roles"]) - set(after["roles"])
    if granted or taken:
        _check_grant(principal, granted | taken)
        if Role.TENANT_ADMIN in granted and person_id == principal.person_id:
            require(principal, "role.grant_admin")
    await _check(db, principal, person_id, changes, after, now)
    if _administers(before, now) and not _administers(after, now):
        await _check_admins_left(db, person_id)
    told = Written("person", "person.changed", fields=sorted(changes), granted=sorted(granted), taken=sorted(taken))
    whole = {**changes, "version": before["version"] + 1, "updated_at": now}
    # Whoever leaves takes no unused token along.
    hidden = {} if after["active"] else {"token_hash": None, "token_expires_at": None}
    try:
        await update_row(db, "people", person_id, whole, told, actor=principal.actor, at=now, hidden=hidden)
    except asyncpg.UniqueViolationError as error:
        raise _taken(error) from error
    async with lifted(db, principal):
        await _name_for_incidents(db, person_id, after["kind"], after["incident_ids"], before["incident_ids"])
        await queue_reevaluation(db, person_id=person_id)


async def lock_person(db: Db, person_id: UUID) -> dict[str, Any]:
    """Lock a person's row and read it. Raises NotFound."""
    found = await db.row(_LOCK, db.tenant_id, person_id)
    if found is None:
        raise NotFound
    return dict(found)


def _administers(person: Mapping[str, Any], now: datetime) -> bool:
    lasts = person["expires_at"] is None or person["expires_at"] > now
    return bool(person["active"] and Role.TENANT_ADMIN in person["roles"] and lasts)


async def _check_admins_left(db: Db, person_id: UUID) -> None:
    """Refuse to lose the last administrator; two who leave at once are told apart by a lock."""
    await db.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"{db.tenant_id}\nadministrators")
    if await db.value(_ADMINS, db.tenant_id, person_id) == 0:
        raise LastAdmin("This is the last active tenant_admin. Give the role to somebody else first.")


def _check_grant(principal: Principal, roles: set[str]) -> None:
    require(principal, "role.grant_admin" if Role.TENANT_ADMIN in roles else "role.grant")
    unknown = roles - {role.value for role in GRANTABLE}
    if unknown:
        said = f"can be given to nobody: {', '.join(sorted(unknown))}"
        raise Invalid("Some of these roles cannot be granted.", errors=[InputError("/roles", said)])


async def _check(
    db: Db, principal: Principal, person_id: UUID, given: Mapping[str, Any], after: Mapping[str, Any], now: datetime
) -> None:
    """Refuse a person that cannot be: `given` is looked at where only a change can be wrong. Raises Invalid."""
    faults: list[InputError] = []
    if after["kind"] == "external":
        expires_at = after["expires_at"]
        latest = now + timedelta(days=OUTSIDE_DAYS_MAX)
        if expires_at is None or ("expires_at" in given and not now < expires_at <= latest):
            faults.append(InputError("/expires_at", "an outside person ends within P30D"))
        if not after["incident_ids"]:
            faults.append(InputError("/incident_ids", "an outside person is named for certain incidents"))
        if Role.TENANT_ADMIN in after["roles"]:
            faults.append(InputError("/roles", "an outside person administers nothing"))
    elif after["incident_ids"]:
        faults.append(InputError("/incident_ids", "only an outside person is limited to incidents"))
    if given.get("manager_id") is not None and not await _is_manager(db, given["manager_id"], person_id):
        faults.append(InputError("/manager_id", "is no other active person"))
    if given.get("incident_ids") and not await _exist(db, principal, given["incident_ids"]):
        faults.append(InputError("/incident_ids", "names an incident that does not exist"))
    if faults:
        raise Invalid("The person cannot be kept like this; `errors` says why.", errors=faults)


async def _is_manager(db: Db, manager_id: UUID, person_id: UUID) -> bool:
    found = await db.value(
        "SELECT active FROM people WHERE tenant_id = $1 AND id = $2 AND kind <> 'system'", db.tenant_id, manager_id
    )
    return bool(found) and manager_id != person_id


async def _exist(db: Db, principal: Principal, incident_ids: list[UUID]) -> bool:
    """Whether all of these incidents exist. An administrator need not be one who may read them."""
    async with lifted(db, principal):
        number = await db.value(
            "SELECT count(*) FROM incidents WHERE tenant_id = $1 AND id = ANY ($2)", db.tenant_id, incident_ids
        )
    return bool(number == len(set(incident_ids)))


async def _name_for_incidents(db: Db, person_id: UUID, kind: str, now_for: list[UUID], before_for: list[UUID]) -> None:
    """Let an outside person see the incidents it is named for; those it has a part in for another reason stay."""
    if kind != "external":
        return
    gone = set(before_for) - set(now_for)
    if gone:
        await db.execute(
            "DELETE FROM incident_members m WHERE m.tenant_id = $1 AND m.member_id = $2 AND m.incident_id = ANY ($3)"
            " AND NOT EXISTS (SELECT 1 FROM participants p WHERE p.tenant_id = $1 AND p.incident_id = m.incident_id"
            "   AND p.person_id = $2 AND p.involvement IN ('responder', 'reporter'))"
            " AND NOT EXISTS (SELECT 1 FROM incidents i WHERE i.tenant_id = $1 AND i.id = m.incident_id"
            "   AND $2 IN (i.opened_by_id, i.discovered_by_id, i.assignee_id))"
            " AND NOT EXISTS (SELECT 1 FROM step_runs s WHERE s.tenant_id = $1 AND s.incident_id = m.incident_id"
            "   AND s.assignee_id = $2)",
            db.tenant_id,
            person_id,
            sorted(gone),
        )
    if now_for:
        await db.execute(
            "INSERT INTO incident_members (tenant_id, incident_id, member_id)"
            " SELECT $1, incident_id, $2 FROM unnest($3::uuid[]) AS incident_id ON CONFLICT DO NOTHING",
            db.tenant_id,
            person_id,
            now_for,
        )


def _taken(error: asyncpg.UniqueViolationError) -> Exception:
    same: Exception = error
    if error.constraint_name == "people_user_name":
        same = UserNameTaken("Another person has this user name.")
    return same
