"""Is a delivery from who it says it is? Verification over the bytes as they were received, before anything reads them.

A scheme says where a sender puts its proof and how it is made. Comparisons take the same time whatever differs, and
every secret and every signature given is tried before the answer.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.notification_signatures import NotificationSignature
from domain.payloads import Unreadable, loads

SIGNATURES_MAX = 10  # in one header, as during the rotation of a sender's secret
PIECE = re.compile(r"\{(body|timestamp|id)\}")
WHSEC = "whsec_"
NONE_KNOWN: Mapping[str, bytes] = {}

HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]
ShortText = Annotated[str, Field(max_length=40)]


class Received(Struct, frozen=True, kw_only=True):
    """One delivery as it arrived: the exact bytes, header names in lower case, the parameters of the address."""

    body: bytes
    headers: Mapping[str, str]
    query: Mapping[str, str] = {}


def content_key(received: Received) -> str:
    """A name for a delivery whose sender gives it none: the digest of what was received."""
    digest = hashlib.sha256(received.body)
    for name, value in sorted(received.query.items()):
        digest.update(f"\n{name}={value}".encode("utf-8", "replace"))
    return f"sha256:{digest.hexdigest()}"


class _Scheme(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Hmac(_Scheme):
    """A keyed hash in a header.

    `signed` is what the sender hashes: `{body}` and, where it adds them, `{timestamp}` and `{id}`, each from its
    header. `key` says how the secret becomes the key; `separator` divides several signatures. A timestamp may be off by
    `tolerance_seconds` to both sides; null where the sender repeats old deliveries with their first timestamp.
    """

    kind: Literal["hmac"]
    header: HeaderName
    algorithm: Literal["sha256", "sha1", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: ShortText = ""
    key: Literal["raw", "base64", "sha256_digest", "whsec"] = "raw"
    signed: Annotated[str, Field(max_length=100)] = "{body}"
    timestamp_header: HeaderName | None = None
    timestamp_format: Literal["s", "ms", "iso"] = "s"
    id_header: HeaderName | None = None
    tolerance_seconds: Annotated[int, Field(ge=1, le=300)] | None = 300
    separator: Annotated[str, Field(min_length=1, max_length=3)] | None = None

    @model_validator(mode="after")
    def _signs_the_body(self) -> "Hmac":
        pieces = PIECE.findall(self.signed)
        if pieces.count("body") != 1 or len(pieces) != len(set(pieces)):
            raise ValueError("`signed` holds {body} once, and {timestamp} and {id} at most once")
        if ("timestamp" in pieces) != (self.timestamp_header is not None):
            raise ValueError("`timestamp_header` and {timestamp} in `signed` go together")
        if ("id" in pieces) != (self.id_header is not None):
            raise ValueError("`id_header` and {id} in `signed` go together")
        return self


class StandardWebhooks(_Scheme):
    """Standard Webhooks 1.0.0: `webhook-id`, `webhook-timestamp`, `webhook-signature`, a secret `whsec_...`."""

    kind: Literal["standard_webhooks"]


class HeaderToken(_Scheme):
    """The secret itself in a header, after `prefix`."""

    kind: Literal["header_token"]
    header: HeaderName
    prefix: ShortText = ""


class Bearer(_Scheme):
    """`Authorization: Bearer <secret>`."""

    kind: Literal["bearer"]


class Basic(_Scheme):
    """`Authorization: Basic ...`; the secret reads `user:password`."""

    kind: Literal["basic"]


class QueryToken(_Scheme):
    """The secret itself as a parameter of the address, from senders that can set nothing but an address."""

    kind: Literal["query_token"]
    parameter: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


class BodyToken(_Scheme):
    """The secret itself inside a JSON body. `at` is a dotted path, which leads into every element of a list it meets.

    Whoever proves nothing so is not told: such senders repeat whatever is refused.
    """

    kind: Literal["body_token"]
    at: Annotated[str, Field(min_length=1, max_length=200)]


class Sns(_Scheme):
    """The signature of an Amazon SNS message, inside its body, by a certificate of Amazon's.

    The secret, where there is one, is the certificate itself as PEM; else it is fetched from where the message says, if
    that is Amazon's. Amazon signs for every customer: name the topic in `limits.sender`.
    """

    kind: Literal["sns"]


class UrlOnly(_Scheme):
    """The sender can prove nothing: the token in the address is the only credential."""

    kind: Literal["url_only"]


Scheme = Annotated[
    Hmac | StandardWebhooks | HeaderToken | QueryToken | Bearer | Basic | BodyToken | Sns | UrlOnly,
    Field(discriminator="kind"),
]

STANDARD_WEBHOOKS = Hmac(
    kind="hmac",
    header="webhook-signature",
    encoding="base64",
    prefix="v1,",
    key="whsec",
    signed="{id}.{timestamp}.{body}",
    timestamp_header="webhook-timestamp",
    id_header="webhook-id",
    separator=" ",
)


def authentic(
    schemes: Sequence[Scheme],
    secrets: Sequence[str],
    received: Received,
    now: datetime,
    certificates: Mapping[str, bytes] = NONE_KNOWN,
) -> bool:
    """Whether one of the schemes proves that the sender knows one of the secrets.

    Two secrets are given while one replaces the other. Without any secret only `url_only` passes; with one it never
    does, so that nobody gets past a signature by leaving it away. `certificates` are those of SNS, by their addresses.
    Raises CertificateUnknown for one that has to be fetched first.
    """
    if not secrets:
        if any(isinstance(scheme, Sns) for scheme in schemes):
            return NotificationSignature(received.body).is_valid(certificates)
        return any(isinstance(scheme, UrlOnly) for scheme in schemes)
    proven = [proves(scheme, secret, received, now) for scheme in schemes for secret in secrets]
    return any(proven)


def proves(scheme: Scheme, secret: str, received: Received, now: datetime) -> bool:
    """Whether the delivery proves knowledge of `secret` in the way of `scheme`."""
    if isinstance(scheme, UrlOnly):
        return False
    if isinstance(scheme, StandardWebhooks):
        scheme = STANDARD_WEBHOOKS
    if isinstance(scheme, Hmac):
        return _is_signed(scheme, secret, received, now)
    if isinstance(scheme, HeaderToken):
        header, wanted = scheme.header.lower(), scheme.prefix + secret
    elif isinstance(scheme, Bearer):
        header, wanted = "authorization", f"Bearer {secret}"
    elif isinstance(scheme, QueryToken):
        return _equal(received.query.get(scheme.parameter, ""), secret)
    elif isinstance(scheme, BodyToken):
        return _is_carried(scheme, secret, received.body)
    elif isinstance(scheme, Sns):
        return NotificationSignature(received.body).is_signed_by(secret.encode())
    else:
        header, wanted = "authorization", "Basic " + base64.b64encode(secret.encode()).decode()
    return _equal(received.headers.get(header, ""), wanted)


def is_quiet(schemes: Sequence[Scheme], received: Received) -> bool:
    """Whether a delivery that proved nothing tried to prove itself by its body: its sender is not told."""
    return any(isinstance(scheme, BodyToken) and _carried(scheme, received.body) for scheme in schemes)


def check_secret(scheme: Scheme, secret: str) -> str | None:
    """Why this secret cannot be used with the scheme; None when it can."""
    if isinstance(scheme, UrlOnly):
        return "the scheme url_only takes no secret"
    if isinstance(scheme, Basic) and ":" not in secret:
        return "reads user:password"
    if isinstance(scheme, Sns):
        return NotificationSignature.fault_of_certificate(secret.encode())
    key = scheme.key if isinstance(scheme, Hmac) else "whsec" if isinstance(scheme, StandardWebhooks) else "raw"
    if _key(key, secret) is None:
        return "is not base64" if key == "base64" else "reads whsec_ and base64"
    return None


def credential_headers(schemes: Sequence[Scheme]) -> frozenset[str]:
    """The headers, in lower case, and parameters (`:query.name`) that carry a proof or secret: they are never kept."""
    found = {"authorization", "cookie", "proxy-authorization", STANDARD_WEBHOOKS.header}
    found |= {scheme.header.lower() for scheme in schemes if isinstance(scheme, Hmac | HeaderToken)}
    found |= {f":query.{scheme.parameter}" for scheme in schemes if isinstance(scheme, QueryToken)}
    return frozenset(found)


def _is_signed(scheme: Hmac, secret: str, received: Received, now: datetime) -> bool:
    key = _key(scheme.key, secret)
    given = received.headers.get(scheme.header.lower(), "")
    if key is None or not given:
        return False
    timestamp = _header(received, scheme.timestamp_header)
    if scheme.timestamp_header is not None and not _is_recent(scheme, timestamp, now):
        return False
    pieces = {"timestamp": timestamp.encode(), "id": _header(received, scheme.id_header).encode()}
    message = hmac.new(key, digestmod=scheme.algorithm)
    for index, piece in enumerate(PIECE.split(scheme.signed)):
        # Every second piece is a name: split keeps what the pattern captures.
        message.update(piece.encode() if index % 2 == 0 else received.body if piece == "body" else pieces[piece])
    digest = message.digest()
    wanted = digest.hex() if scheme.encoding == "hex" else base64.b64encode(digest).decode()
    found = False
    for one in _signatures(scheme, given):
        text = one.removeprefix(scheme.prefix)
        is_prefixed = one.startswith(scheme.prefix)
        found |= _equal(text.lower() if scheme.encoding == "hex" else text, wanted) and is_prefixed
    return found


def _is_carried(scheme: BodyToken, secret: str, body: bytes) -> bool:
    """Whether all places that `at` leads to hold the secret, and there is one."""
    equal = [isinstance(text, str) and _equal(text, secret) for text in _carried(scheme, body)]
    return bool(equal) and all(equal)


def _carried(scheme: BodyToken, body: bytes) -> list[object]:
    """What lies where `at` leads, an absent member as None."""
    try:
        found = [loads(body)]
    except Unreadable:
        return []
    for name in scheme.at.split("."):
        found = [element.get(name) for one in found for element in _elements(one) if isinstance(element, dict)]
    given = [text for one in found for text in _elements(one)]
    return given if any(text is not None for text in given) else []


def _elements(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _signatures(scheme: Hmac, given: str) -> list[str]:
    if scheme.separator is None:
        return [given.strip()]
    return [one.strip() for one in given.split(scheme.separator)[:SIGNATURES_MAX]]


def _key(kind: str, secret: str) -> bytes | None:
    if kind == "raw":
        return secret.encode()
    if kind == "sha256_digest":
        return hashlib.sha256(secret.encode()).digest()
    try:
        return base64.b64decode(secret.removeprefix(WHSEC) if kind == "whsec" else secret, validate=True) or None
    except (binascii.Error, ValueError):
        return None


def _is_recent(scheme: Hmac, text: str, now: datetime) -> bool:
    try:
        if scheme.timestamp_format == "iso":
            at = datetime.fromisoformat(text)
            at = at if at.tzinfo else at.replace(tzinfo=UTC)
        else:
            if not text.isascii() or not text.isdigit() or len(text) > 16:
                return False
            at = datetime.fromtimestamp(int(text) / (1000 if scheme.timestamp_format == "ms" else 1), UTC)
    except (ValueError, OverflowError, OSError):
        return False
    return scheme.tolerance_seconds is None or abs((now - at).total_seconds()) <= scheme.tolerance_seconds


def _header(received: Received, name: str | None) -> str:
    return "" if name is None else received.headers.get(name.lower(), "")


def _equal(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())
