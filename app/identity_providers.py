"""Identity providers: the issuers whose access tokens open a tenant. One pair of issuer and audience is one tenant's.

What a provider is for (issuer, audience, type of token) never changes: another pair is another provider.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from app.authentication import Principal
from app.database import Db
from app.fetching import FetchFailed, Network, check_url
from app.ids import new_id
from app.rights import require, require_unlimited
from app.rows import Written, changed, check_version, insert_row, update_row
from domain.glossary import GRANTABLE
from domain.refusals import Conflict, InputError, Invalid, NotFound

ACCESS_TOKEN = "at+jwt"  # noqa: S105  (RFC 9068: the type that only access tokens have)
PROVIDERS_MAX = 20  # of one tenant

_LOCK = """
SELECT id, version, name, issuer, audience, client_id, token_type, role_claim, role_map::text AS role_map, enabled
FROM identity_providers WHERE tenant_id = $1 AND id = $2 AND retired_at IS NULL FOR UPDATE
"""
_COUNT = "SELECT count(*) FROM identity_providers WHERE tenant_id = $1 AND retired_at IS NULL"
_FREE = "DELETE FROM identity_directory WHERE tenant_id = $1 AND issuer = $2 AND audience = $3"
_SIGN_INS = """
SELECT coalesce(json_agg(json_build_object('name', name, 'issuer', issuer, 'client_id', client_id,
    'audience', audience) ORDER BY created_at, id), '[]')::text
FROM identity_providers WHERE tenant_id = $1 AND enabled
"""


class ProviderTaken(Conflict):
    """The pair of issuer and audience is registered already, here or by another tenant."""

    code = "identity-provider-taken"


def check_provider(given: Mapping[str, Any], networks: tuple[Network, ...]) -> None:
    """Refuse a provider that could not be asked, before anybody asks. Raises Invalid."""
    faults: list[InputError] = []
    try:
        check_url(given["issuer"], networks)
        if "?" in given["issuer"]:
            raise FetchFailed("the address holds a query")
    except FetchFailed as error:
        faults.append(InputError("/issuer", str(error)))
    if given["token_type"] != ACCESS_TOKEN and given["audience"] == given["client_id"]:
        # Then nothing would tell an access token from the ID token that every console holds.
        faults.append(InputError("/audience", f"other than `client_id`, unless `token_type` is `{ACCESS_TOKEN}`"))
    faults += _role_faults(given)
    if faults:
        raise Invalid("The identity provider cannot work like this; `errors` says why.", errors=faults)


async def create_provider(db: Db, principal: Principal, given: Mapping[str, Any]) -> UUID:
    """Register a pair that was proven by a token of it (`app.sign_in.prove_pair`); the id.

    `given` holds name, issuer, audience, client_id, token_type, role_claim, role_map, enabled. Raises Forbidden,
    ProviderTaken and Conflict (`too-many-identity-providers`).
    """
    _require(principal)
    if await db.value(_COUNT, db.tenant_id) >= PROVIDERS_MAX:
        said = f"There are {PROVIDERS_MAX} identity providers already. Remove one first."
        raise Conflict(said, code="too-many-identity-providers")
    try:
        await db.execute(
            "INSERT INTO identity_directory (tenant_id, issuer, audience) VALUES ($1, $2, $3)",
            db.tenant_id,
            given["issuer"],
            given["audience"],
        )
    except asyncpg.UniqueViolationError as error:
        raise ProviderTaken("This issuer and audience are registered already. Take another audience.") from error
    now, provider_id = datetime.now(UTC), new_id()
    row = {
        "id": provider_id,
        "version": 1,
        **given,
        "created_by": principal.person_id,
        "created_at": now,
        "updated_at": now,
    }
    told = Written("identity_provider", "identity_provider.created")
    await insert_row(db, "identity_providers", row, told, actor=principal.actor, at=now)
    return provider_id


async def change_provider(
    db: Db, principal: Principal, provider_id: UUID, given: Mapping[str, Any], if_match: str | None
) -> None:
    """Change name, client_id, role_claim, role_map or enabled. Raises NotFound, Forbidden, Invalid and Conflict.

    What is disabled opens nothing from the next request on.
    """
    _require(principal)
    before = await _lock(db, provider_id)
    check_version(if_match, before["version"])
    changes = changed(before, given)
    after = {**before, **changes}
    faults = _role_faults(after)
    if after["token_type"] != ACCESS_TOKEN and after["audience"] == after["client_id"]:
        faults.append(InputError("/client_id", "other than the audience"))
    if faults:
        raise Invalid("The identity provider cannot work like this; `errors` says why.", errors=faults)
    if changes:
        now = datetime.now(UTC)
        whole = {**changes, "version": before["version"] + 1, "updated_at": now}
        told = Written("identity_provider", "identity_provider.changed", fields=sorted(changes))
        await update_row(db, "identity_providers", provider_id, whole, told, actor=principal.actor, at=now)


async def retire_provider(db: Db, principal: Principal, provider_id: UUID) -> None:
    """Let a provider count no more and free its pair. Its row stays, since events and identities name it.

    Raises NotFound and Forbidden.
    """
    _require(principal)
    before = await _lock(db, provider_id)
    now = datetime.now(UTC)
    await db.execute(_FREE, db.tenant_id, before["issuer"], before["audience"])
    whole = {"enabled": False, "retired_at": now, "version": before["version"] + 1, "updated_at": now}
    told = Written("identity_provider", "identity_provider.retired")
    await update_row(db, "identity_providers", provider_id, whole, told, actor=principal.actor, at=now)


async def read_sign_ins(db: Db) -> str:
    """What a console needs to begin to sign in, as a JSON list; an unknown tenant has an empty one."""
    text: str = await db.value(_SIGN_INS, db.tenant_id)
    return text


def _require(principal: Principal) -> None:
    require(principal, "identity_provider.write")
    require_unlimited(principal)


def _role_faults(row: Mapping[str, Any]) -> list[InputError]:
    faults: list[InputError] = []
    if row["role_claim"] is None and row["role_map"]:
        faults.append(InputError("/role_claim", "needed by `role_map`"))
    if row["role_claim"] is not None and not row["role_map"]:
        faults.append(InputError("/role_map", "needed by `role_claim`: without it nobody could do anything"))
    named = {role for roles in row["role_map"].values() for role in roles}
    if unknown := named - {role.value for role in GRANTABLE}:
        faults.append(InputError("/role_map", f"can be given to nobody: {', '.join(sorted(unknown))}"))
    return faults


async def _lock(db: Db, provider_id: UUID) -> dict[str, Any]:
    row = await db.row(_LOCK, db.tenant_id, provider_id)
    if row is None:
        raise NotFound
    return {**row, "role_map": orjson.loads(row["role_map"])}
