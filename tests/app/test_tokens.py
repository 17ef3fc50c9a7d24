"""Tokens are read strictly, and believed only when a key of the issuer signed them."""

import time

import pytest

from app.tokens import LEEWAY_SECONDS, LIFETIME_SECONDS_MAX, TokenRefused, check_token, read_keys, read_token
from tests.forged_tokens import forged_tokens
from tests.issuer import AUDIENCE, Issuer, rsa_key, signed


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


def keys_of(issuer: Issuer) -> dict:  # type: ignore[type-arg]
    import json

    return read_keys(json.dumps(issuer.document("/keys")).encode())


def opens(issuer: Issuer, text: str) -> bool:
    """Whether a token would be believed for (issuer, AUDIENCE, at+jwt)."""
    try:
        token = read_token(text, time.time())
        key = keys_of(issuer).get((token.key_id, token.algorithm))
        if key is None:
            return False
        check_token(token, key)
    except TokenRefused:
        return False
    ours = token.issuer == issuer.url and AUDIENCE in token.audiences
    return ours and token.type == "at+jwt" and token.subject == "ann"


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_a_good_token_is_believed(issuer: Issuer, algorithm: str) -> None:
    assert opens(issuer, issuer.token(algorithm=algorithm))
    assert opens(issuer, issuer.token(algorithm=algorithm, aud=["https://other.example", AUDIENCE]))


def test_a_type_is_read_in_its_short_form(issuer: Issuer) -> None:
    header = issuer.header(typ="application/AT+JWT")
    assert opens(issuer, signed(header, issuer.claims(), issuer.keys["ES256"][1]))


def test_no_forged_token_is_believed(issuer: Issuer) -> None:
    forged = forged_tokens(issuer, "ann")
    assert len(forged) >= 80
    assert [name for name, text in forged.items() if opens(issuer, text)] == []


@pytest.mark.parametrize(
    ("claims", "is_read"),
    [
        ({"exp": -LEEWAY_SECONDS + 1}, True),
        ({"exp": -LEEWAY_SECONDS}, False),
        ({"nbf": LEEWAY_SECONDS}, True),
        ({"nbf": LEEWAY_SECONDS + 1}, False),
        ({"iat": LEEWAY_SECONDS}, True),
        ({"iat": LEEWAY_SECONDS + 1}, False),
        ({"exp": LIFETIME_SECONDS_MAX - 100}, True),
        ({"exp": LIFETIME_SECONDS_MAX - 99}, False),
    ],
)
def test_clocks_may_differ_by_a_minute(issuer: Issuer, claims: dict[str, int], is_read: bool) -> None:
    now = 1_800_000_000
    times = {"iat": now - 100, "exp": now + 600} | {name: now + seconds for name, seconds in claims.items()}
    text = issuer.token(**times)
    if is_read:
        assert read_token(text, now).subject == "ann"
    else:
        with pytest.raises(TokenRefused):
            read_token(text, now)


def test_keys_that_sign_nothing_of_ours_are_left_out() -> None:
    import json

    good, small = rsa_key(0).as_dict(private=False), rsa_key(3, 1024).as_dict(private=False)
    entries = [
        {**good, "kid": "any"},
        {**good, "kid": "one", "alg": "RS256"},
        {**good, "kid": "for encryption", "use": "enc"},
        {**good},
        {**small, "kid": "small"},
        {"kty": "oct", "kid": "secret", "k": "AAAA"},
        {"kty": "EC", "crv": "P-256", "kid": "no point", "x": "AAAA", "y": "AAAA"},
        {"kty": "RSA", "kid": "no modulus", "e": "AQAB"},
        "no key",
    ]
    found = read_keys(json.dumps({"keys": entries}).encode())
    assert set(found) == {("any", "RS256"), ("any", "PS256"), ("one", "RS256")}
    assert not any(key.is_private for key in found.values())
    for text in (b"{}", b'{"keys": 1}', b"nothing"):
        with pytest.raises(ValueError):
            read_keys(text)
