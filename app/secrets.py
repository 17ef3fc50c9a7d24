"""Secrets: those we make (keys, hook tokens), those we keep (sealed) and the codes that bind text to us (MAC).

A key reads `hf_<tenant>_<secret><checksum>`, each part base62. The tenant lets a request choose its tenant before
anything is looked up; the checksum (CRC-32) lets scanners and us tell a mistyped key without asking the database.
Only the SHA-256 of the whole key is stored: 256 random bits need no slow hash.
"""

import hashlib
import hmac
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.settings import Settings, secret_key

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
DIGITS = {character: value for value, character in enumerate(ALPHABET)}
TENANT_CHARACTERS = 22  # 62**22 > 2**128
SECRET_BYTES = 32
SECRET_CHARACTERS = 43  # 62**43 > 2**256
CHECKSUM_CHARACTERS = 6  # 62**6 > 2**32
KEY_CHARACTERS = len("hf_") + TENANT_CHARACTERS + len("_") + SECRET_CHARACTERS + CHECKSUM_CHARACTERS
PREFIX_CHARACTERS = len("hf_") + TENANT_CHARACTERS + len("_") + 4  # enough to recognise a key, 23 of its 256 bits
SEAL_VERSION = b"\x01"
KEY_ID_BYTES = 4
NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A secret just made. `text` is shown once and never stored; `hash` is stored; `prefix` may be shown."""

    text: str
    hash: bytes
    prefix: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A well-formed secret somebody presented: which tenant it claims and the hash to look up. Proves nothing yet."""

    tenant_id: UUID
    hash: bytes
    prefix: str


def new_api_key(tenant_id: UUID) -> NewSecret:
    """A new API key of a tenant."""
    secret = _base62(int.from_bytes(os.urandom(SECRET_BYTES)), SECRET_CHARACTERS)
    body = f"hf_{_base62(tenant_id.int, TENANT_CHARACTERS)}_{secret}"
    text = body + _checksum(body)
    return NewSecret(text, digest(text), text[:PREFIX_CHARACTERS])


def parse_api_key(text: str) -> Claim | None:
    """The claim of a well-formed key, None for anything else (wrong length, alphabet or checksum)."""
    if len(text) != KEY_CHARACTERS or not text.startswith("hf_") or text[3 + TENANT_CHARACTERS] != "_":
        return None
    body, checksum = text[:-CHECKSUM_CHARACTERS], text[-CHECKSUM_CHARACTERS:]
    tenant = _number(text[3 : 3 + TENANT_CHARACTERS])
    if tenant is None or tenant >= 1 << 128 or _checksum(body) != checksum:
        return None
    return Claim(UUID(int=tenant), digest(text), text[:PREFIX_CHARACTERS])


def new_hook_token(tenant_id: UUID) -> NewSecret:
    """A new token for the path of an inbound webhook: `<tenant>.<secret>`, both base62."""
    tenant = _base62(tenant_id.int, TENANT_CHARACTERS)
    text = f"{tenant}.{_base62(int.from_bytes(os.urandom(SECRET_BYTES)), SECRET_CHARACTERS)}"
    return NewSecret(text, digest(text), text[: TENANT_CHARACTERS + 5])


def parse_hook_token(text: str) -> Claim | None:
    """The claim of a well-formed hook token, None for anything else."""
    if len(text) != TENANT_CHARACTERS + 1 + SECRET_CHARACTERS or text[TENANT_CHARACTERS] != ".":
        return None
    tenant, secret = _number(text[:TENANT_CHARACTERS]), text[TENANT_CHARACTERS + 1 :]
    if tenant is None or tenant >= 1 << 128 or not (secret.isascii() and secret.isalnum()):
        return None
    return Claim(UUID(int=tenant), digest(text), text[: TENANT_CHARACTERS + 5])


def digest(text: str) -> bytes:
    """SHA-256 of a secret, the only form in which it is stored."""
    return hashlib.sha256(text.encode()).digest()


class Unsealable(Exception):
    """Sealed bytes that no key of ours opens, or that belong to something else."""


class Vault:
    """Seals secrets at rest with AES-256-GCM and makes message authentication codes.

    Everything derives from one secret (HKDF-SHA-256, a label per purpose). Sealed bytes name the key that sealed them
    (`key_id`), so that a new secret can be introduced while the `previous` ones still open what they sealed.
    """

    def __init__(self, secret: bytes, previous: Sequence[bytes] = ()) -> None:
        keys = [_derive(one, b"seal") for one in (secret, *previous)]
        self._ciphers = {hashlib.sha256(key).digest()[:KEY_ID_BYTES]: AESGCM(key) for key in keys}
        self.key_id = next(iter(self._ciphers))
        self._mac_keys = [_derive(one, b"mac") for one in (secret, *previous)]

    def seal(self, plain: bytes, *, about: bytes) -> bytes:
        """Encrypt. `about` says what the bytes belong to; they open only with the same `about`."""
        nonce = os.urandom(NONCE_BYTES)
        return SEAL_VERSION + self.key_id + nonce + self._ciphers[self.key_id].encrypt(nonce, plain, about)

    def open(self, sealed: bytes, *, about: bytes) -> bytes:
        """Decrypt. Raises Unsealable when the key is gone, the bytes were changed or `about` is another."""
        start = 1 + KEY_ID_BYTES + NONCE_BYTES
        cipher = self._ciphers.get(sealed[1 : 1 + KEY_ID_BYTES])
        if sealed[:1] != SEAL_VERSION or cipher is None:
            raise Unsealable("no key of this name")
        try:
            return cipher.decrypt(sealed[1 + KEY_ID_BYTES : start], sealed[start:], about)
        except InvalidTag:
            raise Unsealable("the bytes were changed or belong to something else") from None

    def is_current(self, sealed: bytes) -> bool:
        """Whether the newest key sealed these bytes; others want to be sealed again."""
        return sealed[1 : 1 + KEY_ID_BYTES] == self.key_id

    def mac(self, message: bytes) -> bytes:
        """Message authentication code (HMAC-SHA-256, cut to 16 bytes)."""
        return _mac(self._mac_keys[0], message)

    def verify(self, message: bytes, code: bytes) -> bool:
        """Whether a key of ours, the present one or a previous one, made `code` for `message`; in constant time."""
        return any(hmac.compare_digest(_mac(key, message), code) for key in self._mac_keys)


def vault_of(settings: Settings) -> Vault:
    """The vault of an installation: its secret, and the one before the last rotation."""
    previous = settings.previous_secret_key
    return Vault(secret_key(settings), [previous.get_secret_value().encode()] if previous else [])


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")[:16]


def _derive(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=b"holdfast", info=purpose).derive(secret)


def _base62(number: int, width: int) -> str:
    characters = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        characters.append(ALPHABET[digit])
    return "".join(reversed(characters))


def _number(text: str) -> int | None:
    number = 0
    for character in text:
        digit = DIGITS.get(character)
        if digit is None:
            return None
        number = number * 62 + digit
    return number


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), CHECKSUM_CHARACTERS)
