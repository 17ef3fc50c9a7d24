"""Tokens that must open nothing, whatever the door: one good token of an issuer, wrong in one way each."""

from __future__ import annotations

import json
import time
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey, OKPKey

from tests.issuer import AUDIENCE, CLIENT, Issuer, encoded, rsa_key, signed


def forged_tokens(issuer: Issuer, subject: str, audience: str = AUDIENCE) -> dict[str, str]:
    """Forged tokens by what is wrong with them. `subject` may sign in with a good token for `audience`."""
    good = issuer.claims(subject, aud=audience)
    return {
        **_of_algorithm(issuer, good),
        **_of_header(issuer, good),
        **_of_signature(issuer, good),
        **_of_claims(issuer, good),
        **_of_form(issuer, good),
    }


def _of_algorithm(issuer: Issuer, good: dict[str, Any]) -> dict[str, str]:
    found = {f"alg {word}": signed(issuer.header(alg=word), good, None) for word in ("none", "None", "NONE", "nOnE")}
    _, rsa = issuer.keys["RS256"]
    pem: bytes = rsa.as_pem(private=False)
    der = rsa.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[union-attr]
    secrets = {"PEM": pem, "PEM without newline": pem.rstrip(b"\n"), "DER": der, "empty": b"", "kid": b"RS256"}
    for name, secret in secrets.items():
        for algorithm in ("HS256", "HS512") if name == "PEM" else ("HS256",):
            header = issuer.header("RS256", alg=algorithm)
            found[f"{algorithm} signed with the public key as {name}"] = signed(header, good, secret)
    found["ES256 said, RS256 signed"] = signed(
        issuer.header("RS256", alg="ES256"), good, issuer.keys["RS256"][1], "RS256"
    )
    found["RS256 said, ES256 signed"] = signed(issuer.header("RS256"), good, issuer.keys["ES256"][1], "ES256")
    found["RS256 with the key of PS256"] = signed(
        issuer.header("PS256", alg="RS256"), good, issuer.keys["PS256"][1], "RS256"
    )
    found["PS256 said, RS256 signed"] = signed(issuer.header("PS256"), good, issuer.keys["PS256"][1], "RS256")
    found["RS384"] = signed(issuer.header("RS256", alg="RS384"), good, issuer.keys["RS256"][1], "RS384")
    found["no algorithm"] = signed({"kid": "x", "typ": "at+jwt"}, good, issuer.keys["ES256"][1], "ES256")
    found["an algorithm that is a list"] = signed(issuer.header(alg=["ES256"]), good, issuer.keys["ES256"][1], "ES256")
    return found


def _of_header(issuer: Issuer, good: dict[str, Any]) -> dict[str, str]:
    own = ECKey.generate_key("P-256")
    evil = "https://evil.example/keys"
    brought: dict[str, dict[str, Any]] = {
        "jwk": {"jwk": own.as_dict(private=False)},
        "jku": {"jku": evil},
        "x5u": {"x5u": evil},
        "x5c": {"x5c": ["MIIB"]},
        "crit": {"crit": ["exp"], "exp": 1},
        "an empty crit": {"crit": []},
        "b64": {"b64": False, "crit": ["b64"]},
        "zip": {"zip": "DEF"},
        "nested": {"cty": "JWT"},
    }
    key = issuer.keys["ES256"][1]
    found = {f"header brings {name}": signed(issuer.header(**more), good, own) for name, more in brought.items()}
    found |= {
        f"signed, header brings {name}": signed(issuer.header(**more), good, key) for name, more in brought.items()
    }
    names = ("../../../../dev/null", "' OR '1'='1", "https://evil.example/key", "", "\0", "x" * 300, 7, None, ["ES256"])
    found |= {f"kid {name!r:.30}": signed(issuer.header(kid=name), good, key) for name in names}
    types = ("JWT", "id+jwt", "", None, "logout+jwt", "dpop+jwt", 1)
    found |= {f"typ {name!r}": signed(issuer.header(typ=name), good, key) for name in types}
    return found


def _of_signature(issuer: Issuer, good: dict[str, Any]) -> dict[str, str]:
    token = signed(issuer.header(), good, issuer.keys["ES256"][1])
    body, _, signature = token.rpartition(".")
    other = encoded({**good, "sub": "somebody-else"})
    head, _, _ = body.partition(".")
    return {
        "no signature": f"{body}.",
        "a signature of zeros": f"{body}.{encoded(bytes(64))}",
        "a short signature": f"{body}.{signature[:40]}",
        "another body": f"{head}.{other}.{signature}",
        "a stranger's EC key": signed(issuer.header(), good, ECKey.generate_key("P-256")),
        "a stranger's RSA key": signed(issuer.header("RS256"), good, rsa_key(2)),
        "a stranger's Ed25519 key": signed(issuer.header("EdDSA"), good, OKPKey.generate_key("Ed25519")),
        "padded": f"{body}.{signature}==",
        "in other letters": f"{body}.{signature.swapcase()}",
    }


def _of_claims(issuer: Issuer, good: dict[str, Any]) -> dict[str, str]:
    now = int(time.time())
    changes: dict[str, dict[str, Any]] = {
        "another audience": {"aud": "https://other.example"},
        "no audience": {"aud": None},
        "the console as audience": {"aud": CLIENT},
        "audience prefix": {"aud": good["aud"] + ".evil.example"},
        "an audience that is an object": {"aud": {"0": good["aud"]}},
        "an empty list of audiences": {"aud": []},
        "many audiences": {"aud": [good["aud"]] * 50},
        "another issuer": {"iss": "https://evil.example"},
        "the issuer with a slash": {"iss": good["iss"] + "/"},
        "the issuer in capitals": {"iss": good["iss"].upper()},
        "no issuer": {"iss": None},
        "no exp": {"exp": None},
        "exp as text": {"exp": str(now + 600)},
        "exp as float": {"exp": now + 600.5},
        "exp 1e308": {"exp": 1e308},
        "exp as true": {"exp": True},
        "exp negative": {"exp": -1},
        "exp of next year": {"exp": now + 31_536_000},
        "exp past the integers": {"exp": 10**30},
        "expired": {"iat": now - 700, "exp": now - 100},
        "nbf in the future": {"nbf": now + 300},
        "nbf as text": {"nbf": "now"},
        "no iat": {"iat": None},
        "iat in the future": {"iat": now + 300},
        "iat after exp": {"iat": now + 50, "exp": now + 40},
        "no subject": {"sub": None},
        "an empty subject": {"sub": ""},
        "a subject that is a number": {"sub": 7},
        "a subject with NUL": {"sub": good["sub"] + "\0"},
        "a long subject": {"sub": "a" * 256},
        "a subject in capitals": {"sub": good["sub"].upper() + "X"},
        "an ID token": {"at_hash": "x"},
    }
    key = issuer.keys["ES256"][1]
    left_out = {
        name: {k: v for k, v in {**good, **change}.items() if v is not None} for name, change in changes.items()
    }
    return {name: signed(issuer.header(), claims, key) for name, claims in left_out.items()}


def _of_form(issuer: Issuer, good: dict[str, Any]) -> dict[str, str]:
    key = issuer.keys["ES256"][1]
    token = signed(issuer.header(), good, key)
    text = json.dumps(good)
    twice = (text[:-1] + f', "sub": "{good["sub"]}"}}').encode()
    name, kind = issuer.keys["ES256"][0], "at+jwt"
    header_twice = f'{{"alg":"none","alg":"ES256","kid":"{name}","typ":"{kind}"}}'.encode()
    found = {
        "claims twice": signed(issuer.header(), twice, key),
        "header twice": signed(header_twice, good, key, "ES256"),
        "NaN": signed(issuer.header(), (text[:-1] + ', "x": NaN}').encode(), key),
        "a list of claims": signed(issuer.header(), [good], key),
        "no JSON": signed(issuer.header(), b"claims", key),
        "no UTF-8": signed(issuer.header(), b'{"sub": "\xff"}', key),
        "deep": signed(issuer.header(), b"[" * 5_000, key),
        "nested token": signed(issuer.header(), token.encode(), key),
        "encrypted": "a.b.c.d.e",
        "two parts": token.rpartition(".")[0],
        "four parts": token + ".x",
        "12 kB": signed(issuer.header(), {**good, "groups": ["g" * 9_000]}, key),
        "as JSON": json.dumps({"payload": token.split(".")[1], "signatures": []}).replace(" ", ""),
    }
    assert len(found["12 kB"]) > 12_000
    return found
