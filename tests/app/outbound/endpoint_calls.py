"""What tests of the courier do over HTTP, and how a receiver verifies what it got."""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.receiver import Received, Receiver

ENDPOINTS = "/v1/webhook-endpoints"
GUIDE = Path(__file__).resolve().parents[3] / "docs" / "receiving-events.md"
FIRST = ("webhook_endpoint.created", "webhook_endpoint.tested", "webhook_endpoint.confirmed")


async def add(http: httpx.AsyncClient, receiver: Receiver, **members: Any) -> dict[str, Any]:
    body = {"name": "Board", "url": receiver.url, "event_types": ["incident.*"], **members}
    made = await http.post(ENDPOINTS, json=body)
    assert made.status_code == 201, made.text
    found: dict[str, Any] = made.json()
    return found


async def deliveries(http: httpx.AsyncClient, endpoint: dict[str, Any]) -> list[dict[str, Any]]:
    found = await http.get(f"{ENDPOINTS}/{endpoint['id']}/deliveries", params={"limit": 200})
    told = [one for one in found.json()["items"] if one["event_type"] not in FIRST]
    return sorted(told, key=lambda one: (one["stream_id"], one["seq"]))


async def read(http: httpx.AsyncClient, endpoint: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await http.get(f"{ENDPOINTS}/{endpoint['id']}")).json()
    return found


def guide() -> Callable[..., bool]:
    """The function of the guide, as a reader would paste it."""
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(code.splitlines()) <= 20
    names: dict[str, Any] = {}
    exec(code, names)
    verified: Callable[..., bool] = names["verified"]
    return verified


def verified_publicly(public_key: str, received: Received) -> bool:
    """Whether a signature `v1a` fits the public key."""
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key.removeprefix("whpk_")))
    signed = f"{received.headers['webhook-id']}.{received.headers['webhook-timestamp']}.".encode() + received.body
    for one in received.headers["webhook-signature"].split():
        if one.startswith("v1a,"):
            with contextlib.suppress(Exception):
                key.verify(base64.b64decode(one.removeprefix("v1a,")), signed)
                return True
    return False
