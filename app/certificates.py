"""Certificates by which senders sign for all of their customers, fetched once and remembered."""

from app.fetching import FetchFailed, fetch

CERTIFICATE_BYTES_MAX = 20_000
KNOWN_MAX = 100  # a sender replaces its certificate about once a year


class Certificates:
    """What was fetched, by address. An address is only ever one that the rules of the sender allow."""

    def __init__(self) -> None:
        self.known: dict[str, bytes] = {}

    async def learn(self, url: str) -> None:
        """Fetch the certificate at `url`. Raises FetchFailed. To be called with no transaction open."""
        found = await fetch(url, bytes_max=CERTIFICATE_BYTES_MAX)
        if b"-----BEGIN CERTIFICATE-----" not in found:
            raise FetchFailed("it is no certificate")
        if len(self.known) >= KNOWN_MAX:
            self.known.pop(next(iter(self.known)))
        self.known[url] = found
