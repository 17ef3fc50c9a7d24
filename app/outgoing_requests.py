"""What is sent for a delivery: an event in the form of its endpoint, to the address of its endpoint, signed."""

import re
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import orjson

from app.fetching import Reply, Request
from app.secrets import Vault
from app.webhook_deliveries import Delivery
from app.webhook_endpoints import secret_about, url_about
from app.webhook_signatures import signature_headers
from domain.event_formats import FORMATS, event_body
from domain.event_samples import sample_of

USER_AGENT = "Holdfast-Webhooks/1"
SHOWN_HEADERS = frozenset({"content-type", "user-agent", "webhook-id", "webhook-timestamp"})
EXCERPT_MAX = 200  # characters of an answer that are shown
SEGMENT_MIN = 8  # characters that a part of a secret address has at least, to be looked for


def request_of(
    tenant_id: UUID,
    endpoint_id: UUID,
    delivery: Delivery,
    event: Mapping[str, Any],
    vault: Vault,
    base_url: str,
    at: datetime,
) -> Request:
    """The request that tells `event`, signed as of `at`; a test as the sample that it asks for. Raises Unsealable."""
    event = sample_of(event, base_url)
    about = secret_about(tenant_id, endpoint_id)
    sealed = [one for one in (delivery.secret, delivery.previous_secret) if one is not None]
    secrets = [vault.open(one, about=about) for one in sealed]
    url = delivery.url
    if delivery.sealed_url is not None:
        url = vault.open(delivery.sealed_url, about=url_about(tenant_id, endpoint_id)).decode()
    form = FORMATS[delivery.format]
    body = orjson.dumps(event_body(delivery.format, event, is_full=delivery.payload == "full", base_url=base_url))
    if len(body) > form.bytes_max:  # the receiver can read it where it happened
        body = orjson.dumps(event_body(delivery.format, event, is_full=False, base_url=base_url))
    headers = {
        "Content-Type": form.content_type,
        "User-Agent": USER_AGENT,
        **signature_headers(secrets, event["id"], at, body),
    }
    return Request(url=url, headers=headers, body=body)


def request_shown(request: Request, delivery: Delivery) -> str:
    """What the log of deliveries keeps of a request, as JSON text: no signature, no secret address, no body."""
    headers = {name: value for name, value in request.headers.items() if name.lower() in SHOWN_HEADERS}
    return orjson.dumps(
        {
            "method": request.method,
            "url": delivery.url,
            "headers": headers,
            "body_bytes": len(request.body),
            "body_sha256": sha256(request.body).hexdigest(),
        }
    ).decode()


def excerpt_shown(reply: Reply, request: Request, delivery: Delivery) -> str | None:
    """The beginning of an answer as one line of plain characters, without the parts of a secret address."""
    text = reply.body[: 4 * EXCERPT_MAX].decode("utf-8", "replace")
    if delivery.sealed_url is not None:
        parts = urlsplit(request.url)
        for part in re.split(r"[/?&=]", f"{parts.path}?{parts.query}"):
            text = text.replace(part, "...") if len(part) >= SEGMENT_MIN else text
    return "".join(one if one.isprintable() else " " for one in text)[:EXCERPT_MAX].strip() or None
