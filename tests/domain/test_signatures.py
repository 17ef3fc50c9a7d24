"""Proofs of senders: right over the exact bytes, wrong with one bit changed, bounded in age, two secrets at once."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from domain.signatures import Received, Scheme, authentic, check_secret, credential_headers
from domain.systems import system_of

PAYLOADS = Path(__file__).parents[1] / "payloads"
NOW = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
SECRET = "example-signing-secret"
SCHEME: TypeAdapter[Any] = TypeAdapter(Scheme)
CASES = [
    pytest.param(name, entry, id=f"{name}: {entry['case']}")
    for name in ("generic", "connectwise", "sentinel")
    for entry in json.loads((PAYLOADS / f"{name}.json").read_text(encoding="utf-8"))
]


def received(body: bytes = b'{"a":1}', **headers: str) -> Received:
    return Received(body=body, headers={name.replace("_", "-"): value for name, value in headers.items()})


def scheme(**given: Any) -> Any:
    return SCHEME.validate_python(given)


def secret_of(entry: dict[str, Any]) -> str:
    signing = entry["signing"]
    return str(signing.get("secret") or signing["value"].removeprefix("Bearer "))


@pytest.mark.parametrize(("name", "entry"), CASES)
def test_it_verifies_what_the_systems_sent(name: str, entry: dict[str, Any]) -> None:
    headers = {key.lower(): value for key, value in entry["headers"].items()}
    at = entry["signing"].get("verify_at")
    now = datetime.fromtimestamp(at, UTC) if at else NOW
    schemes, secret = system_of(name).verify, secret_of(entry)
    delivery = Received(body=entry["raw_body"].encode(), headers=headers)
    is_valid = entry["signing"].get("valid", True)
    assert authentic(schemes, [secret], delivery, now) is is_valid
    assert authentic(schemes, ["another-secret", secret], delivery, now) is is_valid
    assert not authentic(schemes, ["another-secret"], delivery, now)
    if entry["signing"].get("value"):
        return  # a token proves the sender and not the body
    changed = bytearray(delivery.body)
    changed[len(changed) // 2] ^= 1
    assert not authentic(schemes, [secret], Received(body=bytes(changed), headers=headers), now)
    again = json.dumps(json.loads(delivery.body)).encode()
    assert not authentic(schemes, [secret], Received(body=again, headers=headers), now)
    if at:
        for seconds in (-400, 400):
            assert not authentic(schemes, [secret], delivery, now + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("given", "sign"),
    [
        ({"algorithm": "sha1", "prefix": "sha1=", "encoding": "base64"}, lambda b, k: b64(mac(k, b, "sha1"), "sha1=")),
        ({"algorithm": "sha512"}, lambda b, k: mac(k, b, "sha512").hex()),
        ({"encoding": "base64", "key": "sha256_digest"}, lambda b, k: b64(mac(hashlib.sha256(k).digest(), b))),
        ({"prefix": "v1=", "separator": ","}, lambda b, k: "v1=00, v1=" + mac(k, b).hex().upper()),
    ],
)
def test_a_hash_is_read_as_the_scheme_says(given: dict[str, Any], sign: Any) -> None:
    made = scheme(kind="hmac", header="X-Sign", **given)
    body = b'{"a":1}'
    assert authentic([made], [SECRET], received(body, x_sign=sign(body, SECRET.encode())), NOW)
    assert not authentic([made], [SECRET], received(body, x_sign=sign(body + b" ", SECRET.encode())), NOW)


def mac(key: bytes, body: bytes, algorithm: str = "sha256") -> bytes:
    return hmac.digest(key, body, algorithm)


def b64(digest: bytes, prefix: str = "") -> str:
    return prefix + base64.b64encode(digest).decode()


@pytest.mark.parametrize(
    ("form", "text"), [("s", "1795320000"), ("ms", "1795320000000"), ("iso", "2026-11-22T04:00:00Z")]
)
def test_a_timestamp_is_signed_and_bounded(form: str, text: str) -> None:
    made = scheme(
        kind="hmac",
        header="X-Slack-Signature",
        prefix="v0=",
        signed="v0:{timestamp}:{body}",
        timestamp_header="X-Time",
        timestamp_format=form,
    )
    at = datetime.fromisoformat("2026-11-22T04:00:00+00:00")
    signature = "v0=" + mac(SECRET.encode(), f"v0:{text}:".encode() + b"{}").hex()
    delivery = received(b"{}", x_slack_signature=signature, x_time=text)
    assert authentic([made], [SECRET], delivery, at + timedelta(seconds=300))
    assert authentic([made], [SECRET], delivery, at - timedelta(seconds=300))
    assert not authentic([made], [SECRET], delivery, at + timedelta(seconds=301))
    for wrong in ("", "soon", "-1", "9" * 30, "1795320001", "٣"):
        assert not authentic([made], [SECRET], received(b"{}", x_slack_signature=signature, x_time=wrong), at)


@pytest.mark.parametrize("value", ["", "v1", "v1,", "v1,,", "v1,%%%", "  ", "v1,é", "v1a,AAAA", "v1,AAAA  v1,BBBB"])
def test_a_malformed_signature_is_just_wrong(value: str) -> None:
    secret = "whsec_" + base64.b64encode(b"key").decode()
    delivery = received(b"\xff", webhook_id="m", webhook_timestamp=str(int(NOW.timestamp())), webhook_signature=value)
    assert not authentic([scheme(kind="standard_webhooks")], [secret], delivery, NOW)


def test_tokens_and_basic() -> None:
    token = scheme(kind="header_token", header="X-Api-Token", prefix="T ")
    assert authentic([token], [SECRET], received(x_api_token=f"T {SECRET}"), NOW)
    assert not authentic([token], [SECRET], received(x_api_token=SECRET), NOW)
    assert not authentic([token], [SECRET], received(), NOW)
    basic = scheme(kind="basic")
    header = "Basic " + base64.b64encode(b"user:pass word").decode()
    assert authentic([basic], ["user:pass word"], received(authorization=header), NOW)
    assert not authentic([basic], ["user:other"], received(authorization=header), NOW)


def test_nobody_gets_past_a_secret_by_leaving_the_proof_away() -> None:
    schemes = system_of("generic").verify
    assert authentic(schemes, [], received(), NOW)
    assert not authentic(schemes, [SECRET], received(), NOW)
    assert not authentic([scheme(kind="bearer")], [], received(), NOW)


@pytest.mark.parametrize(
    "given",
    [
        {"kind": "hmac", "header": "X", "signed": "nothing"},
        {"kind": "hmac", "header": "X", "signed": "{body}{body}"},
        {"kind": "hmac", "header": "X", "signed": "{timestamp}{body}"},
        {"kind": "hmac", "header": "X", "timestamp_header": "Y"},
        {"kind": "hmac", "header": "X", "signed": "{id}{body}"},
        {"kind": "hmac", "header": "X", "tolerance_seconds": 3_600},
        {"kind": "hmac", "header": "X\r\nY"},
        {"kind": "md5", "header": "X"},
    ],
)
def test_a_scheme_that_proves_nothing_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SCHEME.validate_python(given)


def test_a_secret_has_to_fit_its_scheme() -> None:
    assert check_secret(scheme(kind="standard_webhooks"), "whsec_!!!")
    assert check_secret(scheme(kind="hmac", header="X", key="base64"), "!!!")
    assert check_secret(scheme(kind="basic"), "no colon")
    assert check_secret(scheme(kind="url_only"), "anything")
    assert check_secret(scheme(kind="bearer"), SECRET) is None


def test_the_headers_of_proofs_are_known() -> None:
    assert "x-api-token" in credential_headers([scheme(kind="header_token", header="X-Api-Token")])
    assert "authorization" in credential_headers([])
