"""The doorkeeper: credentials and rate limits, before and after the database has spoken."""

import time
from uuid import UUID

import structlog
from starlette.requests import Request

from api.errors import RateLimited
from app.authentication import Principal, Unauthenticated, authenticate
from app.database import Database, Db
from app.limits import Limiter
from app.secrets import Claim, Vault, parse_api_key
from app.settings import Settings

MALFORMED_FACTOR = 10  # refusing a malformed credential costs no lookup, so more of them are heard out
KNOWN_MAX = 20_000
log = structlog.get_logger("holdfast.access")


class Doorkeeper:
    """Admits callers. Lives as long as the application; its counters are those of this process."""

    def __init__(self, settings: Settings, database: Database, vault: Vault) -> None:
        self.settings = settings
        self.database = database
        self.vault = vault
        self._keys = Limiter(settings.key_requests_per_minute)
        self._tenants = Limiter(settings.tenant_requests_per_minute)
        self._refused = Limiter(settings.refused_credentials_per_minute)
        self._malformed = Limiter(settings.refused_credentials_per_minute * MALFORMED_FACTOR)
        self._known: dict[
            bytes, None
        ] = {}  # hashes of keys that authenticated here: they are limited before the lookup
        self.used: dict[tuple[UUID, UUID], float] = {}  # (tenant, key) -> when last used, for `last_used_at`

    def admit(self, request: Request) -> None:
        """Read the credential and count it. Raises Unauthenticated when it is missing or malformed, RateLimited."""
        now, address = time.monotonic(), request.scope["holdfast.address"]
        header = request.headers.get("authorization", "")
        scheme, _, token = header.partition(" ")
        claim = parse_api_key(token.strip()) if scheme.lower() == "bearer" else None
        if claim is None:
            if header and not (verdict := self._malformed.take(address, now)).allowed:
                raise RateLimited(verdict.retry_after)
            raise Unauthenticated
        request.scope["holdfast.claim"] = claim
        if claim.hash in self._known:
            self._count(request, claim, now)
        elif wait := self._refused.blocked(address, now):
            raise RateLimited(wait)

    async def authenticate(self, db: Db, request: Request, lock: str | None = None) -> tuple[Principal, bool]:
        """The principal of an admitted request. Raises Unauthenticated, or RateLimited after too many wrong ones."""
        claim: Claim = request.scope["holdfast.claim"]
        try:
            principal, locked = await authenticate(db, claim, lock)
        except Unauthenticated:
            self._refuse(request, claim)
            raise
        if claim.hash not in self._known:
            if len(self._known) >= KNOWN_MAX:
                self._known.pop(next(iter(self._known)))
            self._known[claim.hash] = None
            self._count(request, claim, time.monotonic())
        request.scope["holdfast.principal"] = principal
        self.used[principal.tenant_id, principal.key_id] = time.time()
        return principal, locked

    async def prove(self, request: Request) -> None:
        """Authenticate a request that will be refused for something else. Raises Unauthenticated for a stranger."""
        if "holdfast.principal" not in request.scope and "holdfast.claim" in request.scope:
            claim: Claim = request.scope["holdfast.claim"]
            async with self.database.transaction(claim.tenant_id, read_only=True) as db:
                await self.authenticate(db, request)

    def _count(self, request: Request, claim: Claim, now: float) -> None:
        tenant = self._tenants.take(claim.tenant_id, now)
        verdict = self._keys.take(claim.hash, now)
        request.scope["holdfast.limit"] = verdict
        if not verdict.allowed or not tenant.allowed:
            raise RateLimited(max(verdict.retry_after, tenant.retry_after))

    def _refuse(self, request: Request, claim: Claim) -> None:
        """Count a wrong credential against the address and, from the same address, against the key's prefix."""
        now, address = time.monotonic(), request.scope["holdfast.address"]
        self._known.pop(claim.hash, None)
        del request.scope["holdfast.claim"]  # answered for: `prove` need not ask again
        log.warning("authentication failed", prefix=claim.prefix[:12], address=address)
        verdict = self._refused.take(address, now)
        if not verdict.allowed:
            raise RateLimited(verdict.retry_after)
