"""Deliveries that come in part, too slowly or too late: none has an effect, and nobody waits for one."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.settings import Settings
from tests.conftest import serving

SECRET = "example-signing-secret"
BODY = json.dumps({"event_action": "trigger", "dedup_key": "k", "summary": "It leaks " * 40}).encode()
STALL_SECONDS, TOTAL_SECONDS = 0.4, 1.0


@pytest.fixture(scope="module")
async def impatient(settings: Settings) -> AsyncIterator[str]:
    """A service that waits for bodies as briefly as a test can."""
    from api.server import create_api

    limits = {"body_stall_seconds": STALL_SECONDS, "body_total_seconds": TOTAL_SECONDS}
    async with serving(create_api(settings.model_copy(update=limits))) as address:
        yield address


async def add(http: httpx.AsyncClient, **given: Any) -> tuple[str, str]:
    """The path of a new source's address, and that of its deliveries."""
    answer = await http.post("/v1/sources", json={"name": "Alerts", "system": "generic", **given})
    assert answer.status_code == 201, answer.text
    return "/hooks/" + answer.json()["hook_url"].rsplit("/", 1)[1], f"/v1/sources/{answer.json()['id']}/deliveries"


async def nothing_came(http: httpx.AsyncClient, deliveries: str) -> bool:
    lists = [(await http.get(path)).json()["items"] for path in (deliveries, "/v1/incidents")]
    return lists == [[], []]


async def opened(address: str, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
    writer.write(head.encode())
    return reader, writer


async def test_a_body_cut_anywhere_has_no_effect(http: httpx.AsyncClient, server: str) -> None:
    path, deliveries = await add(http)
    for tenth in range(10):
        reader, writer = await opened(server, path)
        writer.write(BODY[: len(BODY) * tenth // 10])
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 10)
        assert not answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 5")), answer
        writer.close()
    assert await nothing_came(http, deliveries)


async def test_a_body_that_stops_or_drips_is_cut(http: httpx.AsyncClient, impatient: str) -> None:
    path, deliveries = await add(http)
    reader, writer = await opened(impatient, path)
    writer.write(BODY[:20])
    answer = await asyncio.wait_for(reader.read(), STALL_SECONDS * 10)
    assert answer.startswith(b"HTTP/1.1 408 ")
    writer.close()

    reader, writer = await opened(impatient, path)

    async def drip() -> None:
        for byte in BODY:
            writer.write(bytes([byte]))
            await asyncio.sleep(STALL_SECONDS / 10)

    dripping = asyncio.create_task(drip())
    answer = await asyncio.wait_for(reader.read(), TOTAL_SECONDS * 10)
    dripping.cancel()
    assert answer.startswith(b"HTTP/1.1 408 ")
    writer.close()
    assert await nothing_came(http, deliveries)


@pytest.mark.parametrize("ahead", [-301, -86_400, 301, 86_400])
@pytest.mark.parametrize("unit", ["s", "ms", "iso"])
async def test_what_was_signed_long_ago_is_refused(
    ahead: int, unit: str, http: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    scheme = {"kind": "hmac", "header": "X-Signature", "signed": "{timestamp}.{body}", "timestamp_header": "X-At"}
    path, deliveries = await add(http, secret=SECRET, scheme={**scheme, "timestamp_format": unit})

    def signed(at: float) -> dict[str, str]:
        words = {
            "s": str(int(at)),
            "ms": str(int(at * 1000)),
            "iso": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)),
        }
        code = hmac.new(SECRET.encode(), words[unit].encode() + b"." + BODY, hashlib.sha256).hexdigest()
        return {"X-Signature": code, "X-At": words[unit]}

    refused = await stranger.post(path, content=BODY, headers=signed(time.time() + ahead))
    assert refused.status_code == 401
    assert await nothing_came(http, deliveries)
    taken = [(await stranger.post(path, content=BODY, headers=signed(time.time() - age))).json() for age in (200, 100)]
    assert [one["result"] for one in taken] == ["created", "duplicate"]
