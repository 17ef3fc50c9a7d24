"""Signatures of Amazon SNS: of the samples and of what was changed, by certificates that are known or not yet."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from domain.notification_signatures import CertificateUnknown, NotificationSignature
from domain.signatures import Received, Sns, authentic

ENTRIES = json.loads((Path(__file__).parents[1] / "payloads" / "aws_sns.json").read_text(encoding="utf-8"))
URL = "https://sns.us-west-2.amazonaws.com/SimpleNotificationService-00000000000000000000000000000001.pem"
SCHEMES = (Sns(kind="sns"),)


def certificate(entry: dict[str, Any]) -> bytes:
    return str(entry["signing"]["certificate_pem"]).encode()


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["case"])
def test_the_samples_are_signed_and_nothing_else_is(entry: dict[str, Any]) -> None:
    raw, known = entry["raw_body"].encode(), {URL: certificate(entry)}
    assert NotificationSignature(raw).is_valid(known) is entry["signing"]["valid"]
    for name in ("Message", "MessageId", "TopicArn", "Timestamp", "Type", "Signature"):
        changed = {**entry["body"], name: entry["body"][name] + "x"}
        assert not NotificationSignature(json.dumps(changed).encode()).is_valid(known), name
    for version in ("3", "", None, 1.5):
        changed = {**entry["body"], "SignatureVersion": version}
        assert not NotificationSignature(json.dumps(changed).encode()).is_valid(known)


def test_a_certificate_is_asked_for_once_and_only_of_amazon() -> None:
    body = ENTRIES[0]["body"]
    now = datetime.now(UTC)
    with pytest.raises(CertificateUnknown) as unknown:
        authentic(SCHEMES, (), Received(body=json.dumps(body).encode(), headers={}), now)
    assert unknown.value.url == URL
    known = {URL: certificate(ENTRIES[0])}
    assert authentic(SCHEMES, (), Received(body=json.dumps(body).encode(), headers={}), now, known)
    for url in (
        "http://sns.us-west-2.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.us-west-2.amazonaws.com.evil.example/SimpleNotificationService-0.pem",
        "https://evil.example/sns.us-west-2.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.us-west-2.amazonaws.com@evil.example/SimpleNotificationService-0.pem",
        "https://s3.us-west-2.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.us-west-2.amazonaws.com:8443/SimpleNotificationService-0.pem",
        "https://sns.us-west-2.amazonaws.com/SimpleNotificationService-0.pem\n",
        None,
    ):
        changed = json.dumps({**body, "SigningCertURL": url}).encode()
        assert not authentic(SCHEMES, (), Received(body=changed, headers={}), now)


def test_what_is_no_message_is_not_signed() -> None:
    for raw in (b"", b"[]", b"null", b"not json", b'{"SigningCertURL": 1}'):
        assert not NotificationSignature(raw).is_valid({})
        assert not NotificationSignature(raw).is_signed_by(certificate(ENTRIES[0]))
    assert NotificationSignature.fault_of_certificate(b"no certificate") is not None
    assert NotificationSignature.fault_of_certificate(certificate(ENTRIES[0])) is None
