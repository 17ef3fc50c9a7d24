"""The keys of issuers: fetched over the address that the issuer's own discovery document names, and remembered.

An issuer that is away neither opens nor shuts anything: what is known goes on for a day. A key that is not known is
asked for at most once a minute, whoever presents how many tokens. Nothing here touches the database.
"""

import asyncio
import json
import time
from collections.abc import Callable, Sequence

import structlog

from app.fetching import FetchFailed, Network, check_url, fetch
from app.tokens import ALGORITHMS, Key, TokenRefused, read_keys

FRESH_SECONDS = 600.0  # older keys are asked for again, so that a withdrawn one ends
PAUSE_SECONDS = 60.0  # between two attempts to ask one issuer
KEPT_SECONDS = 86_400.0  # keys count this long while their issuer does not answer
DOCUMENT_BYTES_MAX = 262_144
ISSUERS_MAX = 1_000
DISCOVERY = "/.well-known/openid-configuration"  # OpenID Connect Discovery section 4

log = structlog.get_logger("holdfast.issuers")


class _Known:
    """What this process knows of one issuer. Instants are monotonic seconds."""

    __slots__ = ("asked_at", "keys", "known_at", "lock")

    def __init__(self) -> None:
        self.keys: dict[tuple[str, str], Key] = {}
        self.known_at = self.asked_at = float("-inf")
        self.lock = asyncio.Lock()


class Issuers:
    """Finds the keys of issuers. `networks` are those beyond the public ones in which an issuer may lie."""

    def __init__(self, networks: Sequence[Network] = (), clock: Callable[[], float] = time.monotonic) -> None:
        self.networks = networks
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._refreshing: set[asyncio.Task[None]] = set()

    async def find_key(self, issuer: str, key_id: str, algorithm: str) -> Key:
        """The key of a registered issuer. Raises TokenRefused when it is not known and asking does not help.

        To be called with no transaction open, and only for issuers that some tenant registered.
        """
        known = self._known.get(issuer)
        if known is None:
            if len(self._known) >= ISSUERS_MAX:
                self._known.pop(next(iter(self._known)))
            known = self._known[issuer] = _Known()
        if self._age(known, key_id, algorithm) >= KEPT_SECONDS:
            await self._ask(issuer, known)
            if self._age(known, key_id, algorithm) >= KEPT_SECONDS:
                raise TokenRefused("the issuer has no such key, or does not answer")
        elif self._age(known, key_id, algorithm) >= FRESH_SECONDS and not known.lock.locked():
            # Who holds a token of a key that is known does not wait for an issuer that may be away.
            refreshing = asyncio.create_task(self._ask(issuer, known))
            self._refreshing.add(refreshing)
            refreshing.add_done_callback(self._refreshing.discard)
        return known.keys[key_id, algorithm]

    async def _ask(self, issuer: str, known: _Known) -> None:
        """Ask the issuer, unless it was asked within the last minute; those who come meanwhile wait for the answer."""
        async with known.lock:
            if self._clock() - known.asked_at < PAUSE_SECONDS:
                return
            known.asked_at = self._clock()
            try:
                known.keys = await fetch_keys(issuer, self.networks)
                known.known_at = self._clock()
            except FetchFailed as error:
                log.warning("issuer does not answer", issuer=issuer, because=str(error))

    def _age(self, known: _Known, key_id: str, algorithm: str) -> float:
        """Seconds since the issuer last showed this key; endless for one that it did not show."""
        return self._clock() - known.known_at if (key_id, algorithm) in known.keys else float("inf")


async def fetch_keys(issuer: str, networks: Sequence[Network]) -> dict[tuple[str, str], Key]:
    """The keys of an issuer by (key id, algorithm), through its discovery document. Raises FetchFailed."""
    try:
        body = await fetch(issuer.rstrip("/") + DISCOVERY, bytes_max=DOCUMENT_BYTES_MAX, networks=networks)
        document = json.loads(body)
        if document["issuer"] != issuer:
            raise FetchFailed("the discovery document names another issuer")
        address = document["jwks_uri"]
        check_url(address, networks)
        keys = read_keys(await fetch(address, bytes_max=DOCUMENT_BYTES_MAX, networks=networks))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise FetchFailed("the discovery document or the key set cannot be read") from None
    if not keys:
        raise FetchFailed(f"the key set holds no key for {', '.join(ALGORITHMS)}")
    return keys
