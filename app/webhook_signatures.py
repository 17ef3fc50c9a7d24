"""Signing what we send, by Standard Webhooks: `v1` with a shared secret, `v1a` with a key of which only half is shared.

Signed is `<id>.<timestamp>.<body>`. While a secret is being replaced both sign, and a receiver takes either.
"""

import hmac
import os
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SECRET_BYTES = 32
SEED_BYTES = 32


def new_signing_secret() -> bytes:
    """A new secret: the bytes that both sides share, then the seed of our Ed25519 key."""
    return os.urandom(SECRET_BYTES + SEED_BYTES)


def secret_text(secret: bytes) -> str:
    """The shared part as a receiver is given it: `whsec_` and base64."""
    return f"whsec_{b64encode(secret[:SECRET_BYTES]).decode()}"


def public_key_text(secret: bytes) -> str:
    """The public half of the Ed25519 key: `whpk_` and base64."""
    return f"whpk_{b64encode(_private_key(secret).public_key().public_bytes_raw()).decode()}"


def signature_headers(secrets: Sequence[bytes], message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers of Standard Webhooks, signed with each of `secrets` in both ways."""
    timestamp = str(int(at.timestamp()))
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    signatures = []
    for secret in secrets:
        signatures.append("v1," + b64encode(hmac.digest(secret[:SECRET_BYTES], signed, "sha256")).decode())
        signatures.append("v1a," + b64encode(_private_key(secret).sign(signed)).decode())
    return {"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": " ".join(signatures)}


@lru_cache(maxsize=512)  # making one costs as much as signing
def _private_key(secret: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(secret[SECRET_BYTES:])
