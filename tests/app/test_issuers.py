"""The keys of issuers: rotation, outage, floods of unknown keys, and documents that lie."""

import asyncio
from collections.abc import AsyncIterator
from ipaddress import ip_network
from typing import Any

import pytest

from app.fetching import FetchFailed
from app.issuers import FRESH_SECONDS, KEPT_SECONDS, PAUSE_SECONDS, Issuers, fetch_keys
from app.tokens import TokenRefused
from tests.issuer import Issuer, issuing

LOOPBACK = (ip_network("127.0.0.0/8"),)


class Clock:
    """A clock that a test winds."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with issuing() as found:
        yield found


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuers(clock: Clock) -> Issuers:
    return Issuers(LOOPBACK, clock)


async def knows(issuers: Issuers, issuer: Issuer, key_id: str) -> bool:
    try:
        await issuers.find_key(issuer.url, key_id, "ES256")
    except TokenRefused:
        return False
    return True


async def settled(issuers: Issuers) -> None:
    """Let what refreshes in the background end."""
    await asyncio.gather(*issuers._refreshing)


async def test_an_issuer_is_asked_once_for_many(issuers: Issuers, issuer: Issuer) -> None:
    name = issuer.keys["ES256"][0]
    assert all(await asyncio.gather(*(knows(issuers, issuer, name) for _ in range(50))))
    assert issuer.questions == 2  # the discovery document and the keys


async def test_a_flood_of_unknown_keys_is_one_question_a_minute(issuers: Issuers, issuer: Issuer, clock: Clock) -> None:
    name = issuer.keys["ES256"][0]
    assert await knows(issuers, issuer, name)
    for minute in range(1, 4):
        clock.now += PAUSE_SECONDS
        assert not any(await asyncio.gather(*(knows(issuers, issuer, f"unknown-{n}") for n in range(300))))
        assert issuer.questions == 2 + 2 * minute
        assert await knows(issuers, issuer, name)


async def test_a_rotated_key_is_found_and_the_former_one_ends(issuers: Issuers, issuer: Issuer, clock: Clock) -> None:
    former = issuer.keys["ES256"][0]
    assert await knows(issuers, issuer, former)
    issuer.rotate()
    latter = issuer.keys["ES256"][0]
    assert not await knows(issuers, issuer, latter)  # it was asked just now
    clock.now += PAUSE_SECONDS
    assert await knows(issuers, issuer, latter)
    assert not await knows(issuers, issuer, former)


async def test_a_withdrawn_key_ends_although_nobody_presents_a_new_one(
    issuers: Issuers, issuer: Issuer, clock: Clock
) -> None:
    former = issuer.keys["ES256"][0]
    assert await knows(issuers, issuer, former)
    issuer.rotate()
    clock.now += FRESH_SECONDS
    assert await knows(issuers, issuer, former)  # who comes first does not wait
    await settled(issuers)
    assert not await knows(issuers, issuer, former)


async def test_an_outage_neither_opens_nor_shuts(issuers: Issuers, issuer: Issuer, clock: Clock) -> None:
    name = issuer.keys["ES256"][0]
    assert await knows(issuers, issuer, name)
    issuer.is_down = True
    for _ in range(5):
        clock.now += FRESH_SECONDS
        assert await knows(issuers, issuer, name)
        assert not await knows(issuers, issuer, "another")
        await settled(issuers)
    assert issuer.questions == 2 + 5
    clock.now += KEPT_SECONDS
    assert not await knows(issuers, issuer, name)
    issuer.is_down = False
    clock.now += PAUSE_SECONDS
    assert await knows(issuers, issuer, name)


async def test_an_issuer_that_was_never_reached_opens_nothing(issuers: Issuers, issuer: Issuer, clock: Clock) -> None:
    issuer.is_down = True
    assert not await knows(issuers, issuer, issuer.keys["ES256"][0])
    issuer.is_down = False
    clock.now += PAUSE_SECONDS
    assert await knows(issuers, issuer, issuer.keys["ES256"][0])


@pytest.mark.parametrize(
    "lies",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"jwks_uri": "http://evil.example/keys"},
        {"jwks_uri": "https://127.0.0.1@evil.example/keys"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "http://169.254.169.254/latest"},
        {"jwks_uri": "http://10.0.0.1/keys"},
        {"jwks_uri": 7},
        {"jwks_uri": None},
        {"padding": "x" * 300_000},
    ],
    ids=lambda lies: str(lies)[:50],
)
async def test_a_discovery_document_that_lies_gives_no_keys(issuer: Issuer, lies: dict[str, Any]) -> None:
    assert await fetch_keys(issuer.url, LOOPBACK)
    issuer.lies = lies
    with pytest.raises(FetchFailed):
        await fetch_keys(issuer.url, LOOPBACK)


async def test_an_issuer_may_have_a_path(issuer: Issuer) -> None:
    issuer.path = "/realms/one"
    assert await fetch_keys(issuer.url, LOOPBACK)
    assert issuer.asked["/realms/one/.well-known/openid-configuration"] == 1
