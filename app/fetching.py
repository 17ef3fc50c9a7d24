"""Calling an address that somebody typed in: only where it may lie, and reading only so much of the answer.

A name is resolved once, every answer is looked at, and the connection goes to an address that was looked at: a name
that means something else a moment later reaches nothing. No redirects, no proxies of the environment, bounds on all.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

import httpx
from msgspec import Struct

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
TIMEOUT_SECONDS = 5.0
SILENCE_SECONDS_MAX = 15.0  # of one step of a call; whoever calls bounds the whole
# Ways to write an IPv4 address as an IPv6 one, which a translator on the way would undo: NAT64 (RFC 6052, RFC 8215),
# 6to4 (RFC 3056) and Teredo (RFC 4380).
TRANSLATED = tuple(ip_network(one) for one in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))
# What some releases of Python call global and no receiver may be: IETF protocol assignments (RFC 6890),
# 6to4 relays (RFC 7526), site-local addresses (RFC 3879), discard-only ones (RFC 6666), the fabric address of a cloud.
RESERVED = tuple(
    ip_network(one)
    for one in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "100.64.0.0/10", "fec0::/10", "100::/64")
)
RESOLVED_AT_ONCE = 32
PORT_FREE_MIN = (
    1024  # below it only the port of https is called: the others are those of services that are no receivers
)
# Names are looked up in threads of their own, so that a resolver that hangs keeps nothing else waiting.
_resolvers = ThreadPoolExecutor(RESOLVED_AT_ONCE, thread_name_prefix="resolve")


class FetchFailed(Exception):
    """There is no such document that may be fetched. The message names no address of our own network."""


def is_allowed(address: Address, networks: Sequence[Network]) -> bool:
    """Whether an address may be dialled: a public one, or one in the networks that the operator named."""
    plain = address.ipv4_mapped if isinstance(address, IPv6Address) and address.ipv4_mapped else address
    if any(plain in network for network in networks):
        return True
    return plain.is_global and not plain.is_multicast and not any(plain in one for one in (*TRANSLATED, *RESERVED))


def check_url(url: str, networks: Sequence[Network]) -> None:
    """Raise FetchFailed unless this could be the address of a document that may be fetched.

    It is https, or http to a loopback address where the operator named that network; it carries no credential.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise FetchFailed("the address cannot be read") from None
    if not parts.hostname or parts.username is not None or parts.fragment or port == 0 or not url.isprintable():
        raise FetchFailed("the address has no host, or holds a credential or a fragment")
    if parts.scheme == "https":
        return
    if parts.scheme != "http" or not _is_loopback(parts.hostname, networks):
        raise FetchFailed("the address is not https")


async def fetch(url: str, *, bytes_max: int, networks: Sequence[Network] = ()) -> bytes:
    """The document at `url`, answered with 200 and at most `bytes_max` long, within 5 seconds in all.

    Raises FetchFailed. To be called with no transaction open.
    """
    check_url(url, networks)
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await _fetch(url, bytes_max, networks)
    except TimeoutError:
        raise FetchFailed("it did not answer in time") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError):
        raise FetchFailed("it did not answer") from None


async def _fetch(url: str, bytes_max: int, networks: Sequence[Network]) -> bytes:
    # Reading the authorities takes a tenth of a second of CPU. `SSL_CERT_FILE` names those of the operator.
    authorities = await asyncio.to_thread(httpx.create_ssl_context) if url.startswith("https:") else False
    async with _calling("GET", url, {"Accept": "application/json"}, None, networks, authorities) as answer:
        if answer.status_code != 200:
            raise FetchFailed("it did not answer with a document")
        body, is_whole = await _read(answer, bytes_max)
        if not is_whole:
            raise FetchFailed("the document is too long")
    return body


class Reply(Struct, frozen=True):
    """What a receiver answered, whatever its status; of its body the first part alone."""

    status: int
    retry_after: str | None
    body: bytes


def check_receiver(url: str, networks: Sequence[Network]) -> None:
    """Raise FetchFailed unless events could be sent to this address, as far as its text tells. Asks no resolver.

    What a name means is looked at whenever it is called. A number that is no dotted quad is refused here already, since
    resolvers read `2130706433` and `0x7f.1` as addresses of their own.
    """
    check_url(url, networks)
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    if not host.isascii() or "\\" in url or "%" in parts.netloc:
        raise FetchFailed("the host is written in other characters than those of a name; use its ASCII form")
    try:
        address = ip_address(host)
    except ValueError:
        labels = host.split(".")
        if labels[-1][:1].isdigit() or "" in labels:
            raise FetchFailed("the host is a number that is no address") from None
        if len(labels) == 1 or labels[-1] in ("localhost", "local", "internal"):
            if any(ip_address("127.0.0.1") in network for network in networks) and host == "localhost":
                return
            raise FetchFailed("it lies in a network that is not public") from None
    else:
        if not is_allowed(address, networks):
            raise FetchFailed("it lies in a network that is not public")
        if any(address in network for network in networks):
            return
    if parts.port is not None and parts.port != 443 and parts.port < PORT_FREE_MIN:
        raise FetchFailed(f"the port is neither 443 nor {PORT_FREE_MIN} or above")


async def post(
    url: str,
    *,
    body: bytes,
    headers: Mapping[str, str],
    bytes_max: int,
    seconds_max: float,
    networks: Sequence[Network],
    authorities: ssl.SSLContext,
) -> Reply:
    """Send `body` and answer what came back, cut to `bytes_max`, within `seconds_max` from looking up to reading.

    A redirect is an answer like any other. Raises FetchFailed. To be called with no transaction open.
    """
    check_receiver(url, networks)
    try:
        async with asyncio.timeout(seconds_max), _calling("POST", url, headers, body, networks, authorities) as answer:
            text, _ = await _read(answer, bytes_max)
            return Reply(answer.status_code, answer.headers.get("Retry-After"), text)
    except TimeoutError:
        raise FetchFailed("it did not answer in time") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError):
        raise FetchFailed("it did not answer") from None


@asynccontextmanager
async def _calling(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes | None,
    networks: Sequence[Network],
    authorities: ssl.SSLContext | bool,
) -> AsyncIterator[httpx.Response]:
    """The answer to one call, its body unread. The certificate is checked against the name, the connection goes to the
    address that was looked at."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    address = await _resolve(host, parts.port or (443 if parts.scheme == "https" else 80), networks)
    target = httpx.URL(url).copy_with(host=str(address))
    whole = {**headers, "Host": parts.netloc, "Accept-Encoding": "identity"}
    async with (
        httpx.AsyncClient(
            trust_env=False, follow_redirects=False, timeout=SILENCE_SECONDS_MAX, verify=authorities
        ) as http,
        http.stream(method, target, headers=whole, content=body, extensions={"sni_hostname": host}) as answer,
    ):
        yield answer


async def _read(answer: httpx.Response, bytes_max: int) -> tuple[bytes, bool]:
    """The body as it came, not decompressed, up to `bytes_max`; and whether that is all of it."""
    body = bytearray()
    async for part in answer.aiter_raw():
        body += part
        if len(body) > bytes_max:
            return bytes(body[:bytes_max]), False
    return bytes(body), True


async def _resolve(host: str, port: int, networks: Sequence[Network]) -> Address:
    """An address of the host. All of its addresses have to be allowed, or a name could mix good and bad ones."""
    found = await asyncio.get_running_loop().run_in_executor(_resolvers, _look_up, host, port)
    addresses = [ip_address(str(one[4][0]).partition("%")[0]) for one in found]
    if not addresses or not all(is_allowed(one, networks) for one in addresses):
        raise FetchFailed("it lies in a network that is not public")
    return addresses[0]


def _look_up(host: str, port: int) -> list[tuple[Any, ...]]:
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


def _is_loopback(host: str, networks: Sequence[Network]) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback and any(address in network for network in networks)
