"""The doorkeeper: credentials and rate limits, before and after the database has spoken."""

import time
from uuid import UUID

import structlog
from starlette.requests import Request

from api.errors import RateLimited
from app.authentication import Principal, Unauthenticated, authenticate
from app.database import Database, Db
from app.issuers import Issuers
from app.limits import Limiter
from app.secrets import Claim, Vault, parse_api_key
from app.settings import Settings
from app.sign_in import SignIn, SignIns, identity_hash
from app.tokens import TokenRefused, read_token

MALFORMED_FACTOR = 10  # refusing a malformed credential costs no lookup, so more of them are heard out
KNOWN_MAX = 20_000
TOKEN_START = "ey"  # noqa: S105  (how a JSON object begins in base64url: an access token, never a key)
log = structlog.get_logger("holdfast.access")


class Doorkeeper:
    """Admits callers. Lives as long as the application; its counters are those of this process."""

    def __init__(self, settings: Settings, database: Database, vault: Vault) -> None:
        self.settings = settings
        self.database = database
        self.vault = vault
        self.sign_ins = SignIns(database, Issuers(settings.issuer_networks))
        self.newcomers = Issuers(settings.issuer_networks)  # asked about issuers that nobody registered yet
        self._keys = Limiter(settings.key_requests_per_minute)
        self._tenants = Limiter(settings.tenant_requests_per_minute)
        self._refused = Limiter(settings.refused_credentials_per_minute)
        self._malformed = Limiter(settings.refused_credentials_per_minute * MALFORMED_FACTOR)
        self.refused_tokens = Limiter(settings.refused_credentials_per_minute)  # enrolment tokens, by address
        self._open = Limiter(settings.refused_credentials_per_minute * MALFORMED_FACTOR)
        # Hashes of keys and identities that authenticated here: they are limited before the lookup.
        self._known: dict[bytes, None] = {}
        self.used: dict[tuple[UUID, UUID], float] = {}  # (tenant, key) -> when last used, for `last_used_at`

    async def admit(self, request: Request) -> None:
        """Read the credential and count it; believe an access token, for which its issuer may have to be asked.

        Raises Unauthenticated when there is none, or one that is malformed or not believed, and RateLimited. To be
        called with no transaction open.
        """
        now, address = time.monotonic(), request.scope["holdfast.address"]
        header = request.headers.get("authorization", "")
        scheme, _, text = header.partition(" ")
        claim: Claim | SignIn | None = parse_api_key(text.strip()) if scheme.lower() == "bearer" else None
        if claim is None and scheme.lower() == "bearer" and text.startswith(TOKEN_START):
            claim = await self.sign_in(text, address)
        if claim is None:
            if header and not (verdict := self._malformed.take(address, now)).allowed:
                raise RateLimited(verdict.retry_after)
            raise Unauthenticated
        request.scope["holdfast.claim"] = claim
        if claim.hash in self._known:
            self._count(request, claim, now)
        elif wait := self._refused.blocked(address, now):
            raise RateLimited(wait)

    async def sign_in(self, text: str, address: str, *, anew: bool = False) -> SignIn | None:
        """Believe an access token that `address` presented; None for one that cannot be read as a valid one now.

        Raises Unauthenticated for one that is not believed, which counts against the address, and RateLimited. Who
        signed in here before is heard out from any address. `anew` asks whose tenant the token opens even where that is
        remembered: for links, which last. To be called with no transaction open.
        """
        now = time.monotonic()
        try:
            token = read_token(text, time.time())
        except TokenRefused as error:
            log.info("token refused", because=str(error), address=address)
            return None
        if identity_hash(token) not in self._known and (wait := self._refused.blocked(address, now)):
            raise RateLimited(wait)
        try:
            return await self.sign_ins.believe(token, anew=anew)
        except TokenRefused as error:
            log.warning("token refused", because=str(error), address=address)
            if not (verdict := self._refused.take(address, now)).allowed:
                raise RateLimited(verdict.retry_after) from None
            raise Unauthenticated from None

    def admit_anybody(self, request: Request) -> None:
        """Count a request that needs no credential and still costs a lookup. Raises RateLimited."""
        if not (verdict := self._open.take(request.scope["holdfast.address"], time.monotonic())).allowed:
            raise RateLimited(verdict.retry_after)

    async def authenticate(self, db: Db, request: Request, lock: str | None = None) -> tuple[Principal, bool]:
        """The principal of an admitted request. Raises Unauthenticated, or RateLimited after too many wrong ones."""
        claim: Claim | SignIn = request.scope["holdfast.claim"]
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
        if principal.key_id is not None:
            self.used[principal.tenant_id, principal.key_id] = time.time()
        return principal, locked

    async def prove(self, request: Request) -> None:
        """Authenticate a request that will be refused for something else. Raises Unauthenticated for a stranger."""
        if "holdfast.principal" not in request.scope and "holdfast.claim" in request.scope:
            claim: Claim | SignIn = request.scope["holdfast.claim"]
            async with self.database.transaction(claim.tenant_id, read_only=True) as db:
                await self.authenticate(db, request)

    def _count(self, request: Request, claim: Claim | SignIn, now: float) -> None:
        tenant = self._tenants.take(claim.tenant_id, now)
        verdict = self._keys.take(claim.hash, now)
        request.scope["holdfast.limit"] = verdict
        if not verdict.allowed or not tenant.allowed:
            raise RateLimited(max(verdict.retry_after, tenant.retry_after))

    def _refuse(self, request: Request, claim: Claim | SignIn) -> None:
        """Count a wrong credential against the address and, from the same address, against the key's prefix."""
        now, address = time.monotonic(), request.scope["holdfast.address"]
        self._known.pop(claim.hash, None)
        if isinstance(claim, SignIn):
            self.sign_ins.forget(claim)
        del request.scope["holdfast.claim"]  # answered for: `prove` need not ask again
        log.warning("authentication failed", prefix=claim.prefix[:12], address=address)
        verdict = self._refused.take(address, now)
        if not verdict.allowed:
            raise RateLimited(verdict.retry_after)
