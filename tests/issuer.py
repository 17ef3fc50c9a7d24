"""A fake issuer on loopback: its keys, its discovery document, tokens that it signs, and what it was asked for."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any
from uuid import uuid4

from joserfc.jwa import JWS_ALGORITHMS
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.util import urlsafe_b64encode

AUDIENCE = "https://api.holdfast.example"
CLIENT = "console"
SIGNERS = {model.name: model for model in JWS_ALGORITHMS}
SigningKey = RSAKey | ECKey | OKPKey


@cache
def rsa_key(number: int = 0, bits: int = 2048) -> RSAKey:
    """An RSA key, made once in a run: making one is slow."""
    return RSAKey.generate_key(bits)


def encoded(value: Any) -> str:
    """One part of a token: JSON, or bytes as they are."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(raw).decode()


def signed(header: Any, claims: Any, key: SigningKey | bytes | None, algorithm: str | None = None) -> str:
    """A token with whatever header and claims, signed by `key` with the header's algorithm or another one. A key that
    is bytes is a secret of HS256 or HS512; without a key there is no signature."""
    body = f"{encoded(header)}.{encoded(claims)}"
    algorithm = algorithm or (header["alg"] if key is not None else None)
    if isinstance(key, bytes):
        signature = hmac.digest(key, body.encode(), f"sha{str(algorithm)[2:]}")
    else:
        signature = b"" if key is None else SIGNERS[str(algorithm)].sign(body.encode(), key)
    return f"{body}.{urlsafe_b64encode(signature).decode()}"


class Issuer:
    """An identity provider that can rotate its keys, go down and lie."""

    def __init__(self) -> None:
        self.port = 0
        self.asked: Counter[str] = Counter()
        self.connections = 0
        self.meanwhile: Callable[[], Awaitable[None]] | None = None  # awaited before each answer
        self.is_down = False
        self.path = ""
        self.lies: dict[str, Any] = {}
        self.keys: dict[str, tuple[str, SigningKey]] = {}
        self.extra_keys: list[dict[str, Any]] = []
        self.rotate()

    @property
    def url(self) -> str:
        """Its name, which is its address."""
        return f"http://127.0.0.1:{self.port}{self.path}"

    def rotate(self) -> None:
        """New names for new keys; the former ones count no more."""
        word = uuid4().hex[:8]
        made: dict[str, SigningKey] = {
            "RS256": rsa_key(0),
            "PS256": rsa_key(1),
            "ES256": ECKey.generate_key("P-256"),
            "EdDSA": OKPKey.generate_key("Ed25519"),
        }
        self.keys = {algorithm: (f"{algorithm}-{word}", key) for algorithm, key in made.items()}

    def header(self, algorithm: str = "ES256", **changes: Any) -> dict[str, Any]:
        """The header of a good token."""
        return {"alg": algorithm, "kid": self.keys[algorithm][0], "typ": "at+jwt", **changes}

    def claims(self, subject: str = "ann", **changes: Any) -> dict[str, Any]:
        """The claims of a good token; a change to None leaves one out."""
        now = int(time.time())
        made = {"iss": self.url, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 600, "client_id": CLIENT}
        return {name: value for name, value in {**made, **changes}.items() if value is not None}

    def token(self, subject: str = "ann", algorithm: str = "ES256", **changes: Any) -> str:
        """A good token, but for what `changes` do to its claims."""
        return signed(self.header(algorithm), self.claims(subject, **changes), self.keys[algorithm][1])

    def document(self, path: str) -> dict[str, Any] | None:
        """What it answers."""
        if path == f"{self.path}/.well-known/openid-configuration":
            return {"issuer": self.url, "jwks_uri": f"{self.url}/keys", **self.lies}
        if path == f"{self.path}/keys":
            listed = [
                {**key.as_dict(private=False), "kid": name, "use": "sig", "alg": algorithm}
                for algorithm, (name, key) in self.keys.items()
            ]
            return {"keys": [*listed, *self.extra_keys]}
        return None

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one answer."""
        self.connections += 1
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            path = request.split(b" ", 2)[1].decode()
            self.asked[path] += 1
            if self.meanwhile is not None:
                await self.meanwhile()
            found = None if self.is_down else self.document(path)
            status, body = (b"503 Away", b"") if self.is_down else (b"404 Not Found", b"")
            if found is not None:
                status, body = b"200 OK", json.dumps(found).encode()
            writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (status, len(body)) + body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    @property
    def questions(self) -> int:
        """How often it was asked anything."""
        return self.asked.total()


@asynccontextmanager
async def issuing() -> AsyncIterator[Issuer]:
    """A fake issuer that answers for the length of the block."""
    issuer = Issuer()
    server = await asyncio.start_server(issuer.answer, "127.0.0.1", 0)
    issuer.port = server.sockets[0].getsockname()[1]
    try:
        yield issuer
    finally:
        server.close()
