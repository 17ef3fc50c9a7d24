"""Access tokens of identity providers: signed JSON Web Tokens (RFC 7519, RFC 9068), read strictly.

`read_token` reads what a token says and believes nothing of it; `check_token` believes it once a key of the issuer has
signed it. In between lies the search for the key, which may have to ask the issuer.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwa import JWS_ALGORITHMS
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.util import urlsafe_b64decode

ALGORITHMS = {"RS256": "RSA", "PS256": "RSA", "ES256": "P-256", "EdDSA": "Ed25519"}  # -> what kind of key it takes
TOKEN_CHARACTERS_MAX = 8_192
TEXT_CHARACTERS_MAX = 255  # of a subject (OpenID Connect Core section 2), and of names in the header
URL_CHARACTERS_MAX = 500
AUDIENCES_MAX = 10
LEEWAY_SECONDS = 60  # clocks differ
LIFETIME_SECONDS_MAX = 86_400  # a bearer token that is good for longer is refused, however it is signed
RSA_BITS_MIN = 2_048
INSTANT_MAX = 2**53 - 1
# A token never tells where its key is, never brings one along, is never nested, packed or extended.
FORBIDDEN_IN_HEADER = frozenset({"jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc", "cty", "p2c", "p2s", "epk"})
OF_ID_TOKENS = frozenset({"at_hash", "c_hash", "s_hash"})  # an ID token tells a console who signed in; it opens nothing

Key = RSAKey | ECKey | OKPKey
_VERIFIERS = {model.name: model for model in JWS_ALGORITHMS if model.name in ALGORITHMS}


class TokenRefused(Exception):
    """The token does not open anything. The message says why: for the log and for whoever sets a provider up."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a well-formed token says. Proves nothing before `check_token`. Instants are seconds since the epoch."""

    text: str
    algorithm: str
    key_id: str
    type: str
    issuer: str
    audiences: tuple[str, ...]
    subject: str
    issued_at: int
    not_before: int | None
    expires_at: int
    claims: Mapping[str, Any]


def read_token(text: str, now: float) -> Token:
    """Read a token that could be valid at `now` (seconds since the epoch). Raises TokenRefused."""
    if len(text) > TOKEN_CHARACTERS_MAX or text.count(".") != 2 or not text.isascii():
        raise TokenRefused("no signed token in compact form, or one that is too long")
    parts = text.split(".")
    header, claims = (_object(part) for part in parts[:2])
    if unwanted := FORBIDDEN_IN_HEADER & header.keys():
        raise TokenRefused(f"the header holds {', '.join(sorted(unwanted))}")
    algorithm = _text(header, "alg")
    if algorithm not in ALGORITHMS:
        raise TokenRefused(f"signed with another algorithm than {', '.join(ALGORITHMS)}")
    token = Token(
        text=text,
        algorithm=algorithm,
        key_id=_text(header, "kid"),
        type=token_type(_text(header, "typ")),
        issuer=_text(claims, "iss", URL_CHARACTERS_MAX),
        audiences=_audiences(claims.get("aud")),
        subject=_text(claims, "sub"),
        issued_at=_instant(claims, "iat"),
        not_before=_instant(claims, "nbf") if "nbf" in claims else None,
        expires_at=_instant(claims, "exp"),
        claims=claims,
    )
    if unwanted := OF_ID_TOKENS & claims.keys():
        raise TokenRefused(f"an ID token ({', '.join(sorted(unwanted))}), not an access token")
    _check_times(token, now)
    return token


def check_token(token: Token, key: Key) -> None:
    """Believe the token, or raise TokenRefused: the signature is not that of the issuer's key."""
    signed, _, signature = token.text.rpartition(".")
    try:
        fits = _VERIFIERS[token.algorithm].verify(signed.encode(), urlsafe_b64decode(signature.encode()), key)
    except (JoseError, ValueError, TypeError):
        fits = False
    if not fits:
        raise TokenRefused("the signature does not fit the issuer's key")


def token_type(text: str) -> str:
    """A type of token in its short form: lower case, without `application/` (RFC 7515 section 4.1.9)."""
    return text.lower().removeprefix("application/")


def read_keys(body: bytes) -> dict[tuple[str, str], Key]:
    """The public keys of a key set (RFC 7517) by (key id, algorithm). Keys for other uses are left out.

    Raises ValueError when the text is no key set at all.
    """
    entries = json.loads(body).get("keys")
    if not isinstance(entries, list):
        raise ValueError("no key set")
    found: dict[tuple[str, str], Key] = {}
    for entry in entries[:100]:
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig" or not isinstance(entry.get("kid"), str):
            continue
        for algorithm, kind in ALGORITHMS.items():
            if entry.get("alg", algorithm) == algorithm and (key := _key(entry, kind)) is not None:
                found.setdefault((entry["kid"], algorithm), key)
    return found


def _key(entry: Mapping[str, Any], kind: str) -> Key | None:
    """The public part of an entry, when it is of the kind that an algorithm takes."""
    try:
        if kind == "RSA" and entry.get("kty") == "RSA":
            rsa = RSAKey.import_key({name: entry[name] for name in ("kty", "n", "e")})
            return rsa if rsa.public_key.key_size >= RSA_BITS_MIN else None
        if kind == "P-256" and (entry.get("kty"), entry.get("crv")) == ("EC", kind):
            return ECKey.import_key({name: entry[name] for name in ("kty", "crv", "x", "y")})
        if kind == "Ed25519" and (entry.get("kty"), entry.get("crv")) == ("OKP", kind):
            return OKPKey.import_key({name: entry[name] for name in ("kty", "crv", "x")})
    except (JoseError, ValueError, TypeError, KeyError):
        pass  # a key that cannot be read is a key that we do not know
    return None


def _check_times(token: Token, now: float) -> None:
    if token.expires_at + LEEWAY_SECONDS <= now:
        raise TokenRefused("expired")
    if token.not_before is not None and token.not_before - LEEWAY_SECONDS > now:
        raise TokenRefused("not valid yet")
    if token.issued_at - LEEWAY_SECONDS > now:
        raise TokenRefused("issued in the future")
    if not 0 < token.expires_at - token.issued_at <= LIFETIME_SECONDS_MAX:
        raise TokenRefused("valid for no time, or for longer than a day")


def _object(part: str) -> dict[str, Any]:
    """The JSON object in one part of a token. Raises TokenRefused, for a member that is given twice too."""
    try:
        raw = urlsafe_b64decode(part.encode())
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise TokenRefused("a part of it is no JSON that has one meaning") from error
    if not isinstance(value, dict):
        raise TokenRefused("a part of it is no JSON object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member is given twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _text(members: Mapping[str, Any], name: str, characters_max: int = TEXT_CHARACTERS_MAX) -> str:
    value = members.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= characters_max or not value.isprintable():
        raise TokenRefused(f"`{name}` is missing or no usable text")
    return value


def _audiences(value: Any) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    if not 0 < len(listed) <= AUDIENCES_MAX:
        raise TokenRefused("`aud` is missing or too long")
    return tuple(_text({"aud": one}, "aud", URL_CHARACTERS_MAX) for one in listed)


def _instant(members: Mapping[str, Any], name: str) -> int:
    value = members.get(name)
    if type(value) is not int or not 0 <= value <= INSTANT_MAX:
        raise TokenRefused(f"`{name}` is missing or no whole number of seconds")
    return value
