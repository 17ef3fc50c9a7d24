"""Signing in: from an access token to the tenant whose identity provider vouches for it.

What is known afterwards is who holds the token (issuer and subject) and which tenant it is for. Whether the provider is
enabled, the identity linked and the person active is asked in the caller's own transaction: all of it counts at once.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.database import Database
from app.issuers import Issuers
from app.tokens import Token, TokenRefused, check_token

PAIRS_MAX = 10_000
CLAIM_VALUES_MAX = 500  # of which roles are made; people are in many groups

_TENANTS = """
SELECT DISTINCT tenant_of($1, audience) AS tenant_id FROM unnest($2::text[]) AS audience
WHERE tenant_of($1, audience) IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class SignIn:
    """A token that an issuer signed for a tenant. `hash` names the identity, for limits; `prefix` is for the log."""

    tenant_id: UUID
    token: Token
    hash: bytes
    prefix: str = "token"


class SignIns:
    """Believes tokens. Lives as long as the application; what it remembers is only ever a short cut."""

    def __init__(self, database: Database, issuers: Issuers) -> None:
        self._database = database
        self._issuers = issuers
        self._tenants: dict[tuple[str, tuple[str, ...]], UUID] = {}

    async def believe(self, token: Token, *, anew: bool = False) -> SignIn:
        """Find the tenant, `anew` without what is remembered, and check the signature. Raises TokenRefused.

        To be called with no transaction open.
        """
        tenant_id = await self._tenant_of(token, anew)
        check_token(token, await self._issuers.find_key(token.issuer, token.key_id, token.algorithm))
        return SignIn(tenant_id, token, identity_hash(token))

    def forget(self, sign_in: SignIn) -> None:
        """Look the tenant up anew next time: the pair may have moved."""
        self._tenants.pop((sign_in.token.issuer, sign_in.token.audiences), None)

    async def _tenant_of(self, token: Token, anew: bool) -> UUID:
        pair = token.issuer, token.audiences
        if not anew and (known := self._tenants.get(pair)) is not None:
            return known
        async with self._database.transaction(None, read_only=True) as db:
            found = await db.fetch(_TENANTS, token.issuer, list(token.audiences))
        if len(found) != 1:
            raise TokenRefused("nobody registered its issuer and audience, or several tenants did")
        if len(self._tenants) >= PAIRS_MAX:
            self._tenants.pop(next(iter(self._tenants)))
        tenant_id: UUID = found[0]["tenant_id"]
        self._tenants[pair] = tenant_id
        return tenant_id


def identity_hash(token: Token) -> bytes:
    """What names an identity: issuer and subject, never an e-mail address."""
    return hashlib.sha256(f"{token.issuer}\n{token.subject}".encode()).digest()


def mapped_roles(
    claims: Mapping[str, Any], role_claim: str | None, role_map: Mapping[str, Any]
) -> frozenset[str] | None:
    """The roles that a token allows its holder to use; None when its provider names no claim, which limits nothing.

    `role_claim` is the name of a claim or a path into it (`realm_access.roles`); its values are found in `role_map`.
    """
    if role_claim is None:
        return None
    value: Any = claims
    if role_claim in claims:
        value = claims[role_claim]
    else:
        for name in role_claim.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
    values = value[:CLAIM_VALUES_MAX] if isinstance(value, list) else [value]
    return frozenset(role for one in values if isinstance(one, str) for role in role_map.get(one, ()))


async def prove_pair(issuers: Issuers, token: Token, *, issuer: str, audience: str, token_type: str) -> None:
    """Raise TokenRefused unless the issuer signed this token for this audience, whoever registered the pair."""
    if token.issuer != issuer:
        raise TokenRefused("it is of another issuer")
    if audience not in token.audiences:
        raise TokenRefused("it is for another audience")
    if token.type != token_type:
        raise TokenRefused(f"its type is `{token.type}`, not `{token_type}`")
    check_token(token, await issuers.find_key(token.issuer, token.key_id, token.algorithm))
