"""Fetching a document from an address that somebody typed in: only where it may lie, and only so much of it.

A name is resolved once, every answer is looked at, and the connection goes to an address that was looked at: a name
that means something else a moment later reaches nothing. No redirects, no proxies of the environment, bounds on all.
"""

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

import httpx

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
TIMEOUT_SECONDS = 5.0
# Ways to write an IPv4 address as an IPv6 one, which a translator on the way would undo: NAT64 (RFC 6052, RFC 8215),
# 6to4 (RFC 3056) and Teredo (RFC 4380).
TRANSLATED = tuple(ip_network(one) for one in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))


class FetchFailed(Exception):
    """There is no such document that may be fetched. The message names no address of our own network."""


def is_allowed(address: Address, networks: Sequence[Network]) -> bool:
    """Whether an address may be dialled: a public one, or one in the networks that the operator named."""
    plain = address.ipv4_mapped if isinstance(address, IPv6Address) and address.ipv4_mapped else address
    if any(plain in network for network in networks):
        return True
    return plain.is_global and not plain.is_multicast and not any(plain in network for network in TRANSLATED)


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


async def _resolve(host: str, port: int, networks: Sequence[Network]) -> Address:
    """An address of the host. All of its addresses have to be allowed, or a name could mix good and bad ones."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [ip_address(str(one[4][0]).partition("%")[0]) for one in found]
    if not addresses or not all(is_allowed(one, networks) for one in addresses):
        raise FetchFailed("it lies in a network that is not public")
    return addresses[0]


def _is_loopback(host: str, networks: Sequence[Network]) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback and any(address in network for network in networks)
