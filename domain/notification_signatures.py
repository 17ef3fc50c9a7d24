"""Signatures of Amazon SNS: inside the message, by a certificate that the message names.

Source: Amazon SNS developer guide, "Verifying the signatures of Amazon SNS messages". Version 1 is RSA PKCS #1 v1.5
with SHA-1, version 2 the same with SHA-256.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from domain.payloads import Unreadable, loads

CERTIFICATE_AT = re.compile(
    r"https://sns\.[a-z]{2}(?:-[a-z]{1,12}){1,3}-[0-9]{1,2}\.amazonaws\.com(?:\.cn)?/SimpleNotificationService-[A-Za-z0-9]{1,64}\.pem"
)
NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
HASHES: dict[str, hashes.HashAlgorithm] = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303 (as the sender signs)


class CertificateUnknown(Exception):
    """The certificate of a message has not been fetched yet. `url` is an address of Amazon's."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


class NotificationSignature:
    """The signature of one message, and what it covers. Nothing of the body is believed before."""

    def __init__(self, body: bytes) -> None:
        try:
            found = loads(body)
        except Unreadable:
            found = None
        self._message: dict[str, Any] = found if isinstance(found, dict) else {}

    def is_valid(self, certificates: Mapping[str, bytes]) -> bool:
        """Whether the certificate that the message names signed it. Raises CertificateUnknown."""
        url = self._message.get("SigningCertURL")
        if not isinstance(url, str) or CERTIFICATE_AT.fullmatch(url) is None:
            return False
        if url not in certificates:
            raise CertificateUnknown(url)
        return self.is_signed_by(certificates[url])

    def is_signed_by(self, certificate: bytes) -> bool:
        """Whether the key of `certificate` (PEM) signed the message."""
        algorithm = HASHES.get(str(self._message.get("SignatureVersion")))
        key = _public_key(certificate)
        if algorithm is None or key is None:
            return False
        try:
            signature = base64.b64decode(str(self._message.get("Signature")), validate=True)
            key.verify(signature, self._covered(), PKCS1v15(), algorithm)
        except (binascii.Error, ValueError, InvalidSignature):
            return False
        return True

    @staticmethod
    def fault_of_certificate(certificate: bytes) -> str | None:
        """Why this is no certificate to check with, None when it is one."""
        return "is no certificate (PEM) with an RSA key" if _public_key(certificate) is None else None

    def _covered(self) -> bytes:
        """Name and value of each member, each on a line of its own, in the order of the names."""
        names = NOTIFICATION if self._message.get("Type") == "Notification" else CONFIRMATION
        given = [(name, self._message.get(name)) for name in names]
        return "".join(f"{name}\n{value}\n" for name, value in given if isinstance(value, str)).encode()


def _public_key(certificate: bytes) -> RSAPublicKey | None:
    try:
        key = x509.load_pem_x509_certificate(certificate).public_key()
    except ValueError:
        return None
    return key if isinstance(key, RSAPublicKey) else None
