"""Service accounts: the identities of integrations. They report and add; they never decide, approve or sign."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from app.authentication import Principal
from app.database import Db
from app.ids import new_id
from app.rights import require, require_unlimited
from app.rows import Written, changed, insert_row, update_row
from domain.refusals import InputError, Invalid, NotFound

_LOCK = "SELECT id, name, active, source_id FROM service_accounts WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE"


async def create_service_account(db: Db, principal: Principal, given: Mapping[str, Any]) -> UUID:
    """Add a service account; the id. `given` holds `name` and perhaps `source_id`. Raises Forbidden and Invalid."""
    _require(principal)
    await _check_source(db, given)
    now = datetime.now(UTC)
    account_id = new_id()
    row = {
        "id": account_id,
        "active": True,
        "source_id": None,
        **given,
        "created_by": principal.person_id,
        "created_at": now,
    }
    told = Written("service_account", "service_account.created")
    await insert_row(db, "service_accounts", row, told, actor=principal.actor, at=now)
    return account_id


async def change_service_account(db: Db, principal: Principal, account_id: UUID, given: Mapping[str, Any]) -> None:
    """Change what `given` names; without `active` its keys count no more. Raises NotFound, Forbidden and Invalid."""
    _require(principal)
    before = await db.row(_LOCK, db.tenant_id, account_id)
    if before is None:
        raise NotFound
    await _check_source(db, given)
    if changes := changed(before, given):
        told = Written("service_account", "service_account.changed", fields=sorted(changes))
        at = datetime.now(UTC)
        await update_row(db, "service_accounts", account_id, changes, told, actor=principal.actor, at=at)


def _require(principal: Principal) -> None:
    require(principal, "key.write")
    require_unlimited(principal)


async def _check_source(db: Db, given: Mapping[str, Any]) -> None:
    source_id = given.get("source_id")
    if source_id is not None and not await db.value(
        "SELECT true FROM sources WHERE tenant_id = $1 AND id = $2", db.tenant_id, source_id
    ):
        raise Invalid("There is no such source.", errors=[InputError("/source_id", "names no source")])
