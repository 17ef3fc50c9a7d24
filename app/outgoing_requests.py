"""What is sent for a delivery: an event in the form of its endpoint, to the address of its endpoint, signed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from app.fetching import Request
from app.secrets import Vault
from app.webhook_deliveries import Delivery
from app.webhook_endpoints import secret_about, url_about
from app.webhook_signatures import signature_headers
from domain.event_formats import FORMATS, event_body

USER_AGENT = "Holdfast-Webhooks/1"


def request_of(
    tenant_id: UUID,
    endpoint_id: UUID,
    delivery: Delivery,
    event: Mapping[str, Any],
    vault: Vault,
    base_url: str,
    at: datetime,
) -> Request:
    """The request that tells `event`, signed as of `at`. Raises Unsealable."""
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
