"""Identities: what people sign in with. Linked by the person alone, who holds both a credential of ours and a token.

Nobody links an identity to somebody else: an administrator who could would be two persons. Whoever has no key yet links
with an enrolment token, whose issuer four eyes compare.
"""

from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from app.authentication import Principal, Unauthenticated
from app.database import Db
from app.ids import new_id
from app.keys import use_token
from app.rights import may, require, require_unlimited
from app.rows import Written, insert_row, update_row
from app.secrets import Claim
from app.sign_in import SignIn
from domain.actors import Actor
from domain.refusals import Conflict, Forbidden, NotFound

LINKED_MAX = 20  # identities of one person

_PROVIDER = """
SELECT true FROM identity_providers
WHERE tenant_id = $1 AND issuer = $2 AND audience = ANY ($3) AND token_type = $4 AND enabled LIMIT 1
"""
_LOCK = "SELECT id, person_id, unlinked_at FROM identities WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE"
_COUNT = "SELECT count(*) FROM identities WHERE tenant_id = $1 AND person_id = $2 AND unlinked_at IS NULL"


class IdentityLinked(Conflict):
    """The identity belongs to a person already."""

    code = "identity-linked"


async def link_own_identity(db: Db, principal: Principal, sign_in: SignIn) -> UUID:
    """Let the caller sign in with an identity from now on; its id.

    The identity can do all that the person can, so the key has to as well. Raises Forbidden, Conflict, IdentityLinked
    and Unauthenticated when no enabled provider of the tenant vouches for the token.
    """
    require(principal, "key.write_own")
    require_unlimited(principal)
    if principal.person_id is None or principal.roles_max is not None or principal.expires_at is not None:
        raise Forbidden("This credential holds less than its person. Use a key with all roles and without an end.")
    return await _link(db, principal.actor, principal.person_id, sign_in, "identity.linked")


async def enrol_identity(db: Db, claim: Claim, sign_in: SignIn) -> tuple[UUID, UUID]:
    """Exchange an enrolment token for the right to sign in: ids of the person and of the identity.

    Raises Unauthenticated for a token that is unknown, used or over, IdentityLinked and Conflict.
    """
    person_id = await use_token(db, claim)
    actor = Actor(kind="person", id=person_id)
    return person_id, await _link(db, actor, person_id, sign_in, "identity.enrolled")


async def unlink_identity(db: Db, principal: Principal, identity_id: UUID) -> None:
    """Let an identity open nothing from the next request on. Unlinking it twice changes nothing.

    Raises NotFound, also for an identity that the caller may not see, and Forbidden.
    """
    found = await db.row(_LOCK, db.tenant_id, identity_id)
    if found is None:
        raise NotFound
    if not may(principal, "key.write"):
        if principal.person_id is None or found["person_id"] != principal.person_id:
            raise NotFound
        require(principal, "key.write_own")
    if found["unlinked_at"] is None:
        now = datetime.now(UTC)
        told = Written("identity", "identity.unlinked")
        await update_row(db, "identities", identity_id, {"unlinked_at": now}, told, actor=principal.actor, at=now)


async def check_visible(db: Db, principal: Principal, identity_id: UUID) -> None:
    """Raise NotFound unless the identity is the caller's own, or the caller administers credentials."""
    if not may(principal, "key.read"):
        owner = await db.value(
            "SELECT person_id FROM identities WHERE tenant_id = $1 AND id = $2", db.tenant_id, identity_id
        )
        if owner is None or owner != principal.person_id:
            raise NotFound


async def _link(db: Db, actor: Actor, person_id: UUID, sign_in: SignIn, kind: str) -> UUID:
    token = sign_in.token
    if sign_in.tenant_id != db.tenant_id or not await db.value(
        _PROVIDER, db.tenant_id, token.issuer, list(token.audiences), token.type
    ):
        raise Unauthenticated
    if await db.value(_COUNT, db.tenant_id, person_id) >= LINKED_MAX:
        raise Conflict(f"There are {LINKED_MAX} identities already. Unlink one first.", code="too-many-identities")
    now, identity_id = datetime.now(UTC), new_id()
    row = {
        "id": identity_id,
        "person_id": person_id,
        "issuer": token.issuer,
        "subject": token.subject,
        "unlinked_at": None,
        "created_at": now,
    }
    try:
        await insert_row(db, "identities", row, Written("identity", kind), actor=actor, at=now)
    except asyncpg.UniqueViolationError as error:
        raise IdentityLinked("This identity belongs to a person already. Unlink it there first.") from error
    return identity_id
