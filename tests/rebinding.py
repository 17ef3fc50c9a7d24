"""Sending inside a network of its own, whose names lead outside at one moment and inside at the next.

Run as a program in a new network and mount namespace. It answers for the public address 1.1.1.1, for loopback and for
a metadata service, resolves names as the first label says, sends to each address given on standard input with the
rules of production, and prints what arrived where: {"inside": 0, "outside": 3, "said": {...}}.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
import ssl
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from app.fetching import FetchFailed, Request, send

OUTSIDE = "1.1.1.1"
INSIDES = ("127.0.0.1", "10.0.0.7", "169.254.169.254")
PORTS = (443, 8080)
NAMESERVER = "127.0.0.53"
A, AAAA = 1, 28

# What a name means, by its first label: the answers to one question after the other, the last for good.
MEANS: dict[str, list[list[str]]] = {
    "public": [[OUTSIDE]],
    "rebinding": [[OUTSIDE], ["127.0.0.1"]],
    "rebound": [["127.0.0.1"]],
    "mixed": [[OUTSIDE, "127.0.0.1"]],
    "metadata": [["169.254.169.254"]],
    "mapped": [["::ffff:127.0.0.1"]],
    "sixth": [["::1"]],
    "both": [[OUTSIDE, "::1"]],
}
INSIDE_BY_DEFAULT = [["10.0.0.7"]]


class Names(asyncio.DatagramProtocol):
    """A resolver that keeps nothing: TTL 0."""

    def __init__(self) -> None:
        self.asked: Counter[tuple[str, int]] = Counter()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1 : at + 1 + data[at]].decode("ascii", "replace").lower())
            at += 1 + data[at]
        kind = int.from_bytes(data[at + 1 : at + 3], "big")
        name = ".".join(labels)
        answers = MEANS.get(labels[0] if labels else "", INSIDE_BY_DEFAULT)
        found = [ipaddress.ip_address(one) for one in answers[min(self.asked[name, kind], len(answers) - 1)]]
        self.asked[name, kind] += 1
        wanted = [one.packed for one in found if one.version == {A: 4, AAAA: 6}.get(kind)]
        head = data[:2] + b"\x81\x80\x00\x01" + len(wanted).to_bytes(2, "big") + b"\x00\x00\x00\x00"
        records = b"".join(
            b"\xc0\x0c" + kind.to_bytes(2, "big") + b"\x00\x01\x00\x00\x00\x00" + len(one).to_bytes(2, "big") + one
            for one in wanted
        )
        self.transport.sendto(head + data[12 : at + 5] + records, address)  # type: ignore[attr-defined]


async def main() -> None:
    urls = json.load(sys.stdin)
    for command in (
        ["ip", "link", "set", "lo", "up"],
        *(["ip", "address", "add", f"{one}/32", "dev", "lo"] for one in (OUTSIDE, *INSIDES[1:])),
    ):
        subprocess.run(command, check=True)
    with tempfile.TemporaryDirectory() as folder:
        resolv = Path(folder) / "resolv.conf"
        resolv.write_text(f"nameserver {NAMESERVER}\noptions timeout:1 attempts:1\n")
        subprocess.run(["mount", "--bind", str(resolv), str(Path("/etc/resolv.conf").resolve())], check=True)
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(Names, local_addr=(NAMESERVER, 53))
        print(json.dumps(await count(urls)))


async def count(urls: list[str]) -> dict[str, object]:
    """Send to each address twice; how many connections came in where, and what was said of each address."""
    came: Counter[str] = Counter()
    said: dict[str, str] = {}

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host = writer.get_extra_info("sockname")[0]
        came["outside" if host == OUTSIDE else "inside"] += 1
        writer.transport.abort()

    servers = [await asyncio.start_server(serve, host, port) for host in (OUTSIDE, *INSIDES) for port in PORTS]
    servers += [
        await asyncio.start_server(serve, "::1", port, family=socket.AF_INET6) for port in PORTS if socket.has_ipv6
    ]
    authorities = ssl.create_default_context()
    for url in urls:
        for _ in range(2):
            try:
                request = Request(url=url, headers={}, body=b"{}")
                await send(request, bytes_max=10, seconds_max=5, networks=(), authorities=authorities)
                said[url] = "sent"
            except FetchFailed as failure:
                said[url] = str(failure)
    for server in servers:
        server.close()
    return {"inside": came["inside"], "outside": came["outside"], "said": said}


if __name__ == "__main__":
    asyncio.run(main())
