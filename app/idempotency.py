"""Idempotency: an operation asked for twice with one key happens once and is answered twice alike.

The record of the answer is written in the transaction of the effect. An advisory lock (taken with the authentication)
refuses a second request while the first is in flight; the unique key decides whatever slips past it.
"""

import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from app.answers import Answer
from app.authentication import Principal
from app.database import Db
from app.secrets import Vault
from domain.refusals import Conflict, InputError, Invalid

KEPT_DAYS = 7
KEY_CHARACTERS_MAX = 255
REPLAYED = {"Idempotency-Replayed": "true"}


class InFlight(Conflict):
    """The same request is being worked on at this moment."""

    code = "idempotency-in-flight"

    def __init__(self) -> None:
        super().__init__(
            "A request with this Idempotency-Key is being worked on. Send it again in a moment.",
            headers={"Retry-After": "1"},
        )


class KeyReused(Invalid):
    """The key was used before for another request."""

    code = "idempotency-key-reused"

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was used for a different request. Use a new key for a new request.",
            errors=[InputError("/headers/Idempotency-Key", "belongs to a request with other content")],
        )


class AnsweredElsewhere(Exception):
    """Another transaction recorded this key first: roll back and answer from what it stored."""


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """One use of a key: `route` is method and path template, `digest` covers path, query and the bytes received."""

    key: str
    route: str
    digest: bytes

    @property
    def lock(self) -> str:
        """The name of the advisory lock, to which tenant and principal are added."""
        return f"{self.route}\n{self.key}"


def idempotency_key(key: str, *, route: str, path: str, query: bytes, body: bytes) -> IdempotencyKey:
    """Check a caller's key. Raises Invalid unless it is 1 to 255 visible ASCII characters."""
    if not 0 < len(key) <= KEY_CHARACTERS_MAX or not all("!" <= character <= "~" for character in key):
        raise Invalid(
            f"`Idempotency-Key` is 1 to {KEY_CHARACTERS_MAX} visible ASCII characters.",
            errors=[InputError("/headers/Idempotency-Key", "not a usable key")],
        )
    digest = hashlib.sha256()
    for part in (path.encode(), query, body):
        digest.update(len(part).to_bytes(8) + part)
    return IdempotencyKey(key, route, digest.digest())


async def find_answer(db: Db, principal: Principal, used: IdempotencyKey, vault: Vault) -> Answer | None:
    """The stored answer of this key, None when it is new. Raises KeyReused when it answered another request.

    To be asked in a statement later than the one that took the lock, which may read an older snapshot.
    """
    row = await db.row(
        "select digest, status, headers::text as headers, answer from idempotency_keys"
        " where tenant_id = $1 and principal_id = $2 and route = $3 and key = $4"
        f" and created_at > now() - interval '{KEPT_DAYS} days'",
        *_place(principal, used),
    )
    if row is None:
        return None
    if row["digest"] != used.digest:
        raise KeyReused
    sealed: bytes | None = row["answer"]
    body = None if sealed is None else open_body(vault, sealed, _about(principal, used)).decode()
    headers: Mapping[str, str] = orjson.loads(row["headers"])
    return Answer(body, row["status"], {**headers, **REPLAYED})


async def store_answer(db: Db, principal: Principal, used: IdempotencyKey, given: Answer, vault: Vault) -> None:
    """Keep an answer beside its effect. Raises AnsweredElsewhere when another transaction did so first."""
    sealed = None if given.body is None else _seal(vault, given.body.encode(), _about(principal, used))
    stored = await db.value(
        "insert into idempotency_keys (tenant_id, principal_id, route, key, digest, status, headers, answer)"
        " values ($1, $2, $3, $4, $5, $6, $7::jsonb, $8)"
        " on conflict (tenant_id, principal_id, route, key) do update set digest = excluded.digest,"
        " status = excluded.status, headers = excluded.headers, answer = excluded.answer, created_at = now()"
        f" where idempotency_keys.created_at <= now() - interval '{KEPT_DAYS} days' returning true",
        *_place(principal, used),
        used.digest,
        given.status,
        orjson.dumps(dict(given.headers)).decode(),
        sealed,
    )
    if not stored:
        raise AnsweredElsewhere


def open_body(vault: Vault, sealed: bytes, about: bytes) -> bytes:
    """The body of a stored answer. Raises app.secrets.Unsealable."""
    return zlib.decompress(vault.open(sealed, about=about))


def _seal(vault: Vault, body: bytes, about: bytes) -> bytes:
    """Packed before it is sealed: the database cannot pack what is encrypted, and a whole incident is 50 kB."""
    return vault.seal(zlib.compress(body, level=1), about=about)


def _place(principal: Principal, used: IdempotencyKey) -> tuple[object, object, str, str]:
    return principal.tenant_id, principal.id, used.route, used.key


def _about(principal: Principal, used: IdempotencyKey) -> bytes:
    return f"idempotency\n{principal.tenant_id}\n{principal.id}\n{used.route}\n{used.key}".encode()
