"""Fetching reaches public addresses and those that the operator named, under the name that was asked for."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.fetching import (
    NOBODY,
    FetchFailed,
    Own,
    Reply,
    Request,
    check_receiver,
    check_url,
    fetch,
    is_allowed,
    own_of,
)
from app.fetching import send as send_request
from app.settings import Settings

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@pytest.mark.parametrize(
    ("address", "is_public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1", False),
        ("fd00:ec2::254", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::1", False),
        ("2001:0:7f00:1::1", False),
    ],
)
def test_only_public_addresses_are_dialled(address: str, is_public: bool) -> None:
    assert is_allowed(ip_address(address), ()) is is_public


RANGES = """
0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24
192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 255.255.255.255/32 ::/128 ::1/128
::ffff:0:0/96 64:ff9b::/96 64:ff9b:1::/48 100::/64 2001::/32 2001:db8::/32 2002::/16 fc00::/7 fe80::/10 fec0::/10
ff00::/8
"""
OUTSIDE = """
1.0.0.0 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255 169.255.0.0
172.15.255.255 172.32.0.0 191.255.255.255 192.0.1.0 192.0.1.255 192.0.3.0 192.88.98.255 192.88.100.0 192.167.255.255
192.169.0.0 198.17.255.255 198.20.0.0 198.51.99.255 198.51.101.0 203.0.112.255 203.0.114.0 223.255.255.255
2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff 2001:db7:ffff:: 2001:db9:: 2001:ffff:: 2003::
"""


@pytest.mark.parametrize("text", RANGES.split())
def test_a_range_is_closed_from_its_first_address_to_its_last(text: str) -> None:
    network = ip_network(text)
    for address in (network.network_address, network.broadcast_address):
        assert not is_allowed(address, ()), address


@pytest.mark.parametrize("text", OUTSIDE.split())
def test_the_neighbours_of_the_ranges_are_public(text: str) -> None:
    assert is_allowed(ip_address(text), ())


def test_the_operator_may_name_more_networks() -> None:
    networks = (ip_network("10.20.0.0/16"),)
    assert is_allowed(ip_address("10.20.0.7"), networks)
    assert is_allowed(ip_address("::ffff:10.20.0.7"), networks)
    assert not is_allowed(ip_address("10.21.0.7"), networks)


@pytest.mark.parametrize(
    "url",
    ["http://issuer.example", "ftp://issuer.example", "https://", "https://a:b@issuer.example", "issuer.example",
     "https://issuer.example/#x", "https://issuer.example:99999", "https://[::1", "http://127.0.0.1", "",
     "https://issuer.example:0", "https://issuer.example/\n"],
)  # fmt: skip
def test_addresses_that_are_no_https_are_refused(url: str) -> None:
    with pytest.raises(FetchFailed):
        check_url(url, ())


def test_plain_http_is_for_loopback_alone() -> None:
    check_url("https://issuer.example/realm", ())
    check_url("http://127.0.0.1:8080", LOOPBACK)
    for url in ("http://localhost:8080", "http://10.0.0.1"):
        with pytest.raises(FetchFailed):
            check_url(url, (*LOOPBACK, ip_network("10.0.0.0/8")))


class Web:
    """A TLS server for the name `localhost` that says what it is told to."""

    def __init__(self) -> None:
        self.port = 0
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
        self.heads: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self.answer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def certificate(folder: Path, *, hours: int = 1) -> Path:
    """A certificate for `localhost` and its key, in one file; it ends in so many hours."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "us")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=9))
        .not_valid_after(now + timedelta(hours=hours))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "certificate.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


@pytest.fixture
async def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Web]:
    path, found = certificate(tmp_path), Web()
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0, ssl=context)
    found.port = server.sockets[0].getsockname()[1]
    yield found
    server.close()


async def test_the_certificate_is_that_of_the_name_and_not_of_the_address(web: Web) -> None:
    assert await fetch(f"https://localhost:{web.port}/x?y=1", bytes_max=10, networks=LOOPBACK) == b"{}"
    assert web.heads[0].startswith(b"GET /x?y=1 HTTP/1.1\r\n")
    assert f"host: localhost:{web.port}".encode() in web.heads[0].lower()
    with pytest.raises(FetchFailed):
        await fetch(f"https://127.0.0.1:{web.port}/", bytes_max=10, networks=LOOPBACK)
    assert len(web.heads) == 1


async def test_a_name_that_leads_into_our_network_is_not_dialled(web: Web) -> None:
    for host in ("localhost", "127.0.0.1", "2130706433", "0x7f.1"):
        with pytest.raises(FetchFailed):
            await fetch(f"https://{host}:{web.port}/", bytes_max=10)
    assert web.heads == []


async def test_a_name_with_one_bad_address_is_not_dialled(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    def mixed(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(2, 1, 6, "", (address, web.port)) for address in ("127.0.0.1", "10.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", mixed)
    with pytest.raises(FetchFailed, match="not public"):
        await fetch(f"https://localhost:{web.port}/", bytes_max=10, networks=LOOPBACK)
    assert web.heads == []


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 302 Found\r\nLocation: https://localhost/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"a\": 1111}",
        b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 100_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}",
        b"nonsense\r\n\r\n",
        b"",
    ],
)  # fmt: skip
async def test_what_is_no_short_document_fails(web: Web, answer: bytes) -> None:
    web.answer = answer
    with pytest.raises(FetchFailed):
        await fetch(f"https://localhost:{web.port}/", bytes_max=10, networks=LOOPBACK)
    assert len(web.heads) == 1


async def send(
    url: str,
    *,
    networks: tuple[IPv4Network | IPv6Network, ...] = LOOPBACK,
    seconds_max: float = 5,
    own: Own = NOBODY,
) -> Reply:
    return await send_request(
        Request(url=url, headers={"Content-Type": "application/json"}, body=b"{}"),
        bytes_max=10,
        seconds_max=seconds_max,
        networks=networks,
        authorities=httpx.create_ssl_context(),
        own=own,
    )


async def test_what_is_sent_goes_to_the_name_that_the_certificate_is_for(web: Web) -> None:
    assert await send(f"https://localhost:{web.port}/x?y=1") == Reply(200, None, b"{}")
    assert web.heads[0].startswith(b"POST /x?y=1 HTTP/1.1\r\n")
    assert f"host: localhost:{web.port}".encode() in web.heads[0].lower()
    with pytest.raises(FetchFailed, match="did not answer"):
        await send(f"https://127.0.0.1:{web.port}/")
    assert len(web.heads) == 1


async def test_nothing_is_sent_to_an_authority_that_nobody_trusts(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(FetchFailed, match="did not answer"):
        await send(f"https://localhost:{web.port}/")
    assert web.heads == []


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "2130706433", "0x7f.1", "0x7f000001", "017700000001", "[::1]", "[::ffff:7f00:1]"]
)
async def test_nothing_is_sent_inside_however_it_is_written(web: Web, host: str) -> None:
    with pytest.raises(FetchFailed):
        await send(f"https://{host}:{web.port}/", networks=())
    assert web.heads == []


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fe80::1"])
async def test_a_name_is_looked_at_when_it_is_called_and_not_only_when_it_is_typed(
    web: Web, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    url = f"https://rebound.example:{web.port}/"
    check_receiver(url, ())
    asked = []

    def rebound(*given: object, **__: object) -> list[tuple[object, ...]]:
        asked.append(given[0])
        return [(2, 1, 6, "", (address, web.port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    with pytest.raises(FetchFailed, match="not public"):
        await send(url, networks=())
    assert asked == ["rebound.example"]
    assert web.heads == []


async def test_what_is_dialled_is_what_was_looked_at(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([["127.0.0.1"], ["10.0.0.1"], ["10.0.0.1"]])
    real = socket.getaddrinfo

    def flips(host: str, port: int, *more: Any, **named: Any) -> Any:
        if host != "localhost":
            return real(host, port, *more, **named)
        return [(2, 1, 6, "", (address, port)) for address in next(answers)]

    monkeypatch.setattr(socket, "getaddrinfo", flips)
    assert (await send(f"https://localhost:{web.port}/")).status == 200
    assert len(list(answers)) == 2, "asked once"


async def test_a_resolver_that_hangs_keeps_nothing_waiting(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    hung, real = Event(), socket.getaddrinfo

    def hangs(host: str, *more: Any, **named: Any) -> Any:
        if host == "slow.example":
            hung.wait(10)
        return real(host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    try:
        slow = asyncio.create_task(send("https://slow.example/", seconds_max=0.5))
        assert (await send(f"https://localhost:{web.port}/")).status == 200
        with pytest.raises(FetchFailed, match="in time"):
            await slow
    finally:
        hung.set()


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: https://localhost/\r\nContent-Length: 0\r\n\r\n", Reply(302, None, b"")),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\nRetry-After: 7\r\n\r\n", Reply(204, "7", b"")),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", Reply(200, None, b"abc")),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000, Reply(200, None, b"x" * 10)),
    ],
)
async def test_any_answer_is_an_answer(web: Web, answer: bytes, reply: Reply) -> None:
    web.answer = answer
    assert await send(f"https://localhost:{web.port}/") == reply


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"X-Y: z\r\n" * 5_000 + b"\r\n"])
async def test_what_is_no_answer_fails(web: Web, answer: bytes) -> None:
    web.answer = answer
    with pytest.raises(FetchFailed, match="did not answer"):
        await send(f"https://localhost:{web.port}/")


@pytest.mark.parametrize(
    "url",
    ["https://incidents.example.com/hooks/x", "https://INCIDENTS.example.com./", "https://incidents.example.com:8443/"],
)
def test_our_own_address_is_no_receiver(url: str) -> None:
    own = own_of(Settings(public_url="https://incidents.example.com"))
    check_receiver(url, ())
    check_receiver("https://other.example.com/", (), own)
    with pytest.raises(FetchFailed, match="not public"):
        check_receiver(url, (), own)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_our_own_sockets_are_not_called_under_any_name(web: Web, host: str) -> None:
    own = own_of(Settings(port=web.port, public_url=f"https://localhost:{web.port + 1}"))
    assert own.ports >= {web.port, web.port + 1}
    with pytest.raises(FetchFailed, match="not public"):
        await send(f"https://{host}:{web.port}/", own=own)
    assert web.heads == []
    assert (await send(f"https://localhost:{web.port}/", own=Own(ports=frozenset({web.port + 1})))).status == 200


async def test_nothing_is_sent_to_a_certificate_that_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, web = certificate(tmp_path, hours=-1), Web()
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    async with await asyncio.start_server(web.serve, "127.0.0.1", 0, ssl=context) as server:
        with pytest.raises(FetchFailed, match="did not answer"):
            await send(f"https://localhost:{server.sockets[0].getsockname()[1]}/")
    assert web.heads == []


async def test_a_name_that_nobody_knows_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> list[tuple[object, ...]]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(FetchFailed, match="did not answer"):
        await send("https://nowhere.example/")


async def test_neither_the_environment_nor_an_earlier_answer_adds_anything(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login us password verysecret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    web.answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 2\r\n\r\n{}"
    for _ in range(2):
        assert (await send(f"https://localhost:{web.port}/")).status == 200
    for head in web.heads:
        assert not {b"cookie", b"authorization", b"proxy-authorization"} & {
            line.partition(b":")[0].lower() for line in head.split(b"\r\n")
        }


@pytest.mark.parametrize(
    "place",
    [
        "hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
        "prod-27.westeurope.logic.azure.com:443/workflows/0f2c/triggers/manual/paths/invoke",
        "default0f2c.9f.environment.api.powerplatform.com:443/powerautomate/automations/direct/workflows/0f2c",
    ],
)
def test_the_addresses_of_channels_are_receivers(place: str) -> None:
    check_receiver(f"https://{place}?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=x-Y_z", ())
