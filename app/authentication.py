"""Who calls: from a presented key or access token to a principal, in one statement of the caller's own transaction.

Nothing is cached, so a revoked key, a disabled identity provider, a changed role or a deactivated person counts from
the next request on.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
import orjson

from app.database import Db
from app.secrets import Claim
from app.sign_in import SignIn, mapped_roles
from domain.actors import Actor
from domain.refusals import InputError, Refusal

# Roles that read every incident of the tenant (within their client and period limits): permissions.md, "content".
READS_ALL = frozenset(
    {
        "it_security",
        "security_lead",
        "risk_owner",
        "legal_counsel",
        "account_owner",
        "privacy",
        "compliance",
        "hr",
        "communications",
        "vendor_management",
        "business_owner",
        "executive_leadership",
        "auditor",
    }
)


class Unauthenticated(Refusal):
    """No credential, or none that is valid now. All reasons read the same to the caller."""

    code = "unauthenticated"

    def __init__(self) -> None:
        super().__init__(
            "Send a valid API key as `Authorization: Bearer hf_...`, or an access token of your organisation's identity"
            " provider. This request carries none that is valid.",
            errors=[InputError("/headers/authorization", "no credential that is valid now")],
            headers={"WWW-Authenticate": 'Bearer realm="holdfast"'},
        )


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller whose credential was accepted in this transaction.

    `roles` are those of the person that the credential does not leave out, or {"service_account"}. `client_ids` limits
    the clients (None: no limit). `period_from` (inclusive) and `period_to` (exclusive) limit incidents by
    `discovered_at`. The credential is a key or an identity: one of `key_id` and `identity_id` is None. `roles_max` are
    the roles that the credential is limited to (None: no limit), `expires_at` is when a key ends (None: never).
    """

    tenant_id: UUID
    actor: Actor
    person_id: UUID | None
    service_account_id: UUID | None
    key_id: UUID | None
    name: str
    roles: frozenset[str]
    client_ids: frozenset[UUID] | None
    reads_all: bool
    period_from: datetime | None = None
    period_to: datetime | None = None
    identity_id: UUID | None = None
    roles_max: frozenset[str] | None = None
    expires_at: datetime | None = None

    @property
    def id(self) -> UUID:
        """The person or the service account: what idempotency and four eyes compare, never the credential."""
        return self.actor.id

    @property
    def kind(self) -> str:
        """`person` or `service_account`."""
        return self.actor.kind

    @property
    def is_limited(self) -> bool:
        """Whether the credential or the roles let this caller see only a part of the tenant."""
        parts = (self.client_ids, self.member_id, self.period_from, self.period_to)
        return any(part is not None for part in parts)

    @property
    def member_id(self) -> UUID | None:
        """Whose incidents are the only visible ones; None when every incident of the tenant may be read."""
        return None if self.reads_all else self.actor.id


FIND_PRINCIPAL = """
select k.id, null::uuid as identity_id, k.person_id, k.service_account_id, k.roles as key_roles, k.client_ids,
       k.period_from, k.period_to, k.expires_at, coalesce(p.name, s.name) as name, p.roles as person_roles,
       p.kind as person_kind, {lock}
from api_keys k
left join people p on p.tenant_id = k.tenant_id and p.id = k.person_id
left join service_accounts s on s.tenant_id = k.tenant_id and s.id = k.service_account_id
where k.tenant_id = $1 and k.secret_hash = $2 and k.revoked_at is null
  and (k.expires_at is null or k.expires_at > now())
  and coalesce(p.active and (p.expires_at is null or p.expires_at > now()), s.active)
"""
FIND = FIND_PRINCIPAL.format(lock="true as locked")
# The lock belongs to the principal, who is known only here; a principal that is not found locks nothing.
FIND_AND_LOCK = FIND_PRINCIPAL.format(
    lock="pg_try_advisory_xact_lock(hashtextextended($3 || coalesce(k.person_id, k.service_account_id)::text, 0))"
    " as locked"
)


FIND_IDENTITY = """
select null::uuid as id, i.id as identity_id, i.person_id, null::uuid as service_account_id,
       null::uuid[] as client_ids, null::timestamptz as period_from, null::timestamptz as period_to,
       null::timestamptz as expires_at, p.name, p.roles as person_roles, p.kind as person_kind,
       v.role_claim, v.role_map::text as role_map, {lock}
from identity_providers v
join identities i on i.tenant_id = v.tenant_id and i.issuer = v.issuer and i.subject = $5 and i.unlinked_at is null
join people p on p.tenant_id = i.tenant_id and p.id = i.person_id
where v.tenant_id = $1 and v.issuer = $2 and v.audience = any ($3) and v.token_type = $4 and v.enabled
  and p.active and (p.expires_at is null or p.expires_at > now())
order by v.created_at, v.id limit 1
"""
FIND_ME = FIND_IDENTITY.format(lock="true as locked")
FIND_ME_AND_LOCK = FIND_IDENTITY.format(
    lock="pg_try_advisory_xact_lock(hashtextextended($6 || i.person_id::text, 0)) as locked"
)


async def authenticate(db: Db, claim: Claim | SignIn, lock: str | None = None) -> tuple[Principal, bool]:
    """The principal of a claim, and whether the advisory lock named `lock` was taken (true when none is asked for).

    The lock is per principal and ends with the transaction. Raises Unauthenticated.
    """
    named = () if lock is None else (f"{claim.tenant_id}\n{lock}\n",)
    if isinstance(claim, SignIn):
        token = claim.token
        found = token.issuer, list(token.audiences), token.type, token.subject
        row = await db.row(FIND_ME_AND_LOCK if named else FIND_ME, claim.tenant_id, *found, *named)
    else:
        row = await db.row(FIND_AND_LOCK if named else FIND, claim.tenant_id, claim.hash, *named)
    if row is None:
        raise Unauthenticated
    person_id, roles, roles_max = row["person_id"], frozenset({"service_account"}), _roles_max(claim, row)
    if person_id is not None:
        roles = frozenset(row["person_roles"])
        if roles_max is not None:
            roles &= roles_max
    clients = None if row["client_ids"] is None else frozenset(row["client_ids"])
    actor = Actor(
        kind="person" if person_id else "service_account",
        id=person_id or row["service_account_id"],
        roles=roles,
        client_ids=clients,
        key_id=row["id"],
    )
    principal = Principal(
        tenant_id=claim.tenant_id,
        actor=actor,
        person_id=person_id,
        service_account_id=row["service_account_id"],
        key_id=row["id"],
        name=row["name"],
        roles=roles,
        client_ids=clients,
        reads_all=bool(roles & READS_ALL) and row["person_kind"] == "internal",
        period_from=row["period_from"],
        period_to=row["period_to"],
        identity_id=row["identity_id"],
        roles_max=roles_max,
        expires_at=row["expires_at"],
    )
    return principal, row["locked"]


def _roles_max(claim: Claim | SignIn, row: asyncpg.Record) -> frozenset[str] | None:
    """The roles that a credential is limited to: a key says so itself, a token by the claim that its provider maps."""
    if isinstance(claim, SignIn):
        return mapped_roles(claim.token.claims, row["role_claim"], orjson.loads(row["role_map"]))
    return None if row["key_roles"] is None else frozenset(row["key_roles"])


async def wall(db: Db, principal: Principal) -> None:
    """Let the rest of the transaction see only what this principal may see. Costs nothing without limits."""
    if principal.is_limited:
        await db.wall(principal.client_ids, principal.member_id, principal.period_from, principal.period_to)


@asynccontextmanager
async def lifted(db: Db, principal: Principal | None) -> AsyncIterator[None]:
    """Without the caller's limits for the length of the block: for what rules need to know and never show."""
    if principal is None or not principal.is_limited:
        yield
        return
    await db.wall(None, None)
    yield
    await wall(db, principal)
