"""Calling an address that somebody typed in: only where it may lie, and reading only so much of the answer.

A name is resolved once, every answer is looked at, and the connection goes to an address that was looked at: a name
that means something else a moment later reaches nothing. No redirects, no proxies of the environment, bounds on all.
"""

import asyncio
import socket
import ssl
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import h11
import httpx
from msgspec import Struct

from app.lines import Line, Lines
from app.settings import Settings

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
TIMEOUT_SECONDS = 5.0
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
INSIDE = "it lies in a network that is not public"  # said of all that is refused: it tells nothing of what is there
PORT_FREE_MIN = (
    1024  # below it only the port of https is called: the others are those of services that are no receivers
)
# Names are looked up in threads of their own, so that a resolver that hangs keeps nothing else waiting.
_resolvers = ThreadPoolExecutor(RESOLVED_AT_ONCE, thread_name_prefix="resolve")


class Own(Struct, frozen=True):
    """Where we are reached ourselves: what would call it on somebody's word would be our own door to the inside."""

    names: frozenset[str] = frozenset()
    ports: frozenset[int] = frozenset()  # of this machine, on whichever of its addresses


NOBODY = Own()


def own_of(settings: Settings) -> Own:
    """The address that callers use, and the sockets that this installation listens on."""
    parts = urlsplit(settings.base_url)
    host = (parts.hostname or "").rstrip(".")
    ports = {settings.port, settings.metrics_port, parts.port or (443 if parts.scheme == "https" else 80)}
    is_name = not _is_address(host) and host != "localhost"
    return Own(frozenset({host}) if is_name else frozenset(), frozenset(ports))


class FetchFailed(Exception):
    """There is no such document that may be fetched. The message names no address of our own network."""


def is_allowed(address: Address, networks: Sequence[Network]) -> bool:
    """Whether an address may be dialled: a public one, or one in the networks that the operator named.

    An IPv4 address written as an IPv6 one is none: nobody has a reason to.
    """
    plain = address.ipv4_mapped if isinstance(address, IPv6Address) and address.ipv4_mapped else address
    if any(plain in network for network in networks):
        return True
    return (
        plain is address
        and plain.is_global
        and not plain.is_multicast
        and not any(plain in one for one in (*TRANSLATED, *RESERVED))
    )


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
    parts = urlsplit(url)
    host = parts.hostname or ""
    address = await _resolve(host, parts.port or (443 if parts.scheme == "https" else 80), networks)
    # The certificate is checked against the name, the connection goes to the address.
    target = httpx.URL(url).copy_with(host=str(address))
    headers = {"Host": parts.netloc, "Accept": "application/json", "Accept-Encoding": "identity"}
    # Reading the authorities takes a tenth of a second of CPU. `SSL_CERT_FILE` names those of the operator.
    authorities = await asyncio.to_thread(httpx.create_ssl_context) if parts.scheme == "https" else False
    async with (
        httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=TIMEOUT_SECONDS, verify=authorities) as http,
        http.stream("GET", target, headers=headers, extensions={"sni_hostname": host}) as answer,
    ):
        if answer.status_code != 200:
            raise FetchFailed("it did not answer with a document")
        body = bytearray()
        async for part in answer.aiter_raw():
            body += part
            if len(body) > bytes_max:
                raise FetchFailed("the document is too long")
    return bytes(body)


class Request(Struct, frozen=True, kw_only=True):
    """What is sent: `headers` beside those of the connection (Host, Content-Length, Connection)."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    method: str = "POST"


class Reply(Struct, frozen=True):
    """What a receiver answered, whatever its status; of its body the first part alone."""

    status: int
    retry_after: str | None
    body: bytes


def check_receiver(url: str, networks: Sequence[Network], own: Own = NOBODY) -> None:
    """Raise FetchFailed unless events could be sent to this address, as far as its text tells. Asks no resolver.

    What a name means is looked at whenever it is called. A number that is no dotted quad is refused here already, since
    resolvers read `2130706433` and `0x7f.1` as addresses of their own.
    """
    check_url(url, networks)
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    if not url.isascii() or " " in url or "\\" in url or "%" in parts.netloc:
        raise FetchFailed("it holds other characters than those of an address; use its ASCII form")
    if host in own.names:
        raise FetchFailed(INSIDE)
    try:
        address = ip_address(host)
    except ValueError:
        labels = host.split(".")
        if labels[-1][:1].isdigit() or "" in labels:
            raise FetchFailed("the host is a number that is no address") from None
        if len(labels) == 1 or labels[-1] in ("localhost", "local", "internal"):
            if any(ip_address("127.0.0.1") in network for network in networks) and host == "localhost":
                return
            raise FetchFailed(INSIDE) from None
    else:
        if not is_allowed(address, networks):
            raise FetchFailed(INSIDE)
        if any(address in network for network in networks):
            return
    if parts.port is not None and parts.port != 443 and parts.port < PORT_FREE_MIN:
        raise FetchFailed(f"the port is neither 443 nor {PORT_FREE_MIN} or above")


async def send(
    request: Request,
    *,
    bytes_max: int,
    seconds_max: float,
    networks: Sequence[Network],
    authorities: ssl.SSLContext,
    own: Own = NOBODY,
    lines: Lines | None = None,
    owner: UUID | None = None,
) -> Reply:
    """Send a request and answer what came back, its body cut to `bytes_max`.

    All of it within `seconds_max`, from looking up the name to the last byte. A redirect is an answer like any other.
    With `lines` the connection is kept for the next request of the same `owner` to the same host, and no other's.
    Raises FetchFailed. To be called with no transaction open.
    """
    check_receiver(request.url, networks, own)
    try:
        async with asyncio.timeout(seconds_max):
            return await _exchange(request, bytes_max, networks, authorities, own, lines, owner)
    except TimeoutError:
        raise FetchFailed("it did not answer in time") from None
    except (h11.ProtocolError, OSError, ValueError):
        raise FetchFailed("it did not answer") from None


async def _exchange(
    request: Request,
    bytes_max: int,
    networks: Sequence[Network],
    authorities: ssl.SSLContext,
    own: Own,
    lines: Lines | None,
    owner: UUID | None,
) -> Reply:
    """One request. Without the layers of a client that keeps cookies, of which there shall be none, a message costs a
    quarter."""
    parts = urlsplit(request.url)
    host, is_secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if is_secure else 80)
    fixed = {"Host": parts.netloc, "Content-Length": str(len(request.body))}
    if lines is None:
        fixed["Connection"] = "close"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    head = h11.Request(method=request.method, target=target, headers=list({**request.headers, **fixed}.items()))
    place = (owner, is_secure, host, port)
    line = lines.take(place) if lines is not None else None
    if line is not None:
        try:
            found = await line.exchange(head, request.body, bytes_max)
        except (OSError, h11.ProtocolError):
            if line.has_heard:
                raise
            line = None  # it was closed at the other end while nobody used it
    if line is None:
        line = await _dial(host, port, networks, authorities if is_secure else None, own)
        found = await line.exchange(head, request.body, bytes_max)
    if lines is None:
        line.close()
    else:
        lines.keep(place, line)
    answer, body = found
    waits = [value.decode("latin-1") for name, value in answer.headers if name == b"retry-after"]
    return Reply(answer.status_code, waits[0] if waits else None, body)


async def _dial(
    host: str, port: int, networks: Sequence[Network], authorities: ssl.SSLContext | None, own: Own
) -> Line:
    """A new connection to an address of the host that was looked at; the certificate is checked against the name."""
    address = await _resolve(host, port, networks, own)
    secured: dict[str, Any] = {"ssl": authorities, "server_hostname": host} if authorities is not None else {}
    _, line = await asyncio.get_running_loop().create_connection(Line, str(address), port, **secured)
    return line


async def _resolve(host: str, port: int, networks: Sequence[Network], own: Own = NOBODY) -> Address:
    """An address of the host. All of its addresses have to be allowed, or a name could mix good and bad ones."""
    if _is_address(host):
        found: list[tuple[Any, ...]] = [(0, 0, 0, "", (host, port))]
    else:
        found = await asyncio.get_running_loop().run_in_executor(_resolvers, _look_up, host, port)
    addresses = [ip_address(str(one[4][0]).partition("%")[0]) for one in found]
    if not addresses or not all(is_allowed(one, networks) for one in addresses):
        raise FetchFailed(INSIDE)
    if port in own.ports and any(_is_here(one) for one in addresses):
        raise FetchFailed(INSIDE)
    return addresses[0]


def _look_up(host: str, port: int) -> list[tuple[Any, ...]]:
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


def _is_here(address: Address) -> bool:
    """Whether an address is one of this machine: only there a socket can be bound to it."""
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str, networks: Sequence[Network]) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback and any(address in network for network in networks)
