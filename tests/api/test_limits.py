"""Limits hold, tell when to come back, and never lock the rightful owner out."""

import asyncpg
import httpx
import hypothesis
from hypothesis import given
from hypothesis import strategies as st

from app.limits import Limiter
from app.secrets import new_api_key
from app.settings import Settings
from tests.api.small_api import Caller, make_key, make_tenant, routes
from tests.conftest import serving


def test_a_limit_allows_its_number_at_once_and_then_its_pace() -> None:
    limiter = Limiter(10, window=60)
    assert [limiter.take("a", 0.0).allowed for _ in range(11)] == [True] * 10 + [False]
    refused = limiter.take("a", 0.0)
    assert refused.retry_after == 6
    assert limiter.take("b", 0.0).allowed
    assert limiter.take("a", 6.0).allowed
    assert not limiter.take("a", 6.0).allowed
    assert [limiter.take("a", 100.0).allowed for _ in range(11)] == [True] * 10 + [False]


def test_what_remains_counts_down() -> None:
    limiter = Limiter(3, window=60)
    assert [limiter.take("a", 5.0).remaining for _ in range(4)] == [2, 1, 0, 0]


@hypothesis.settings(deadline=None)
@given(st.lists(st.floats(0, 30), max_size=60))
def test_no_window_ever_sees_more_than_twice_the_limit(steps: list[float]) -> None:
    limiter, now, allowed = Limiter(5, window=10), 0.0, []
    for step in steps:
        now += step
        if limiter.take("a", now).allowed:
            allowed.append(now)
    for start in allowed:
        assert sum(start <= instant < start + 10 for instant in allowed) <= 10


def test_asking_for_a_block_counts_nothing() -> None:
    limiter = Limiter(1, window=60)
    assert limiter.blocked("a", 0.0) == 0
    assert limiter.take("a", 0.0).allowed
    assert limiter.blocked("a", 0.0) == 60
    assert limiter.blocked("a", 60.0) == 0


def limited(settings: Settings, **limits: int) -> Settings:
    return settings.model_copy(update=limits)


async def test_a_credential_has_its_limit(settings: Settings, caller: Caller, superuser: asyncpg.Connection) -> None:
    from api.server import create_api

    second = await make_key(superuser, caller.tenant_id, caller.id)
    api = create_api(limited(settings, key_requests_per_minute=3), routers=[routes])
    async with serving(api) as address, httpx.AsyncClient(base_url=address, trust_env=False) as http:
        codes = [(await http.get("/v1/things", headers=caller.headers)).status_code for _ in range(4)]
        assert codes == [200, 200, 200, 429]
        refused = await http.get("/v1/things", headers=caller.headers)
        assert refused.json()["code"] == "rate-limited"
        assert 1 <= int(refused.headers["retry-after"]) <= 20
        assert "r=0" in refused.headers["ratelimit"]
        assert (await http.get("/v1/things", headers=second.headers)).status_code == 200


async def test_a_tenant_has_its_limit(settings: Settings, caller: Caller, superuser: asyncpg.Connection) -> None:
    from api.server import create_api

    second = await make_key(superuser, caller.tenant_id, caller.id)
    elsewhere = await make_tenant(superuser)
    api = create_api(limited(settings, tenant_requests_per_minute=3), routers=[routes])
    async with serving(api) as address, httpx.AsyncClient(base_url=address, trust_env=False) as http:
        for headers in (caller.headers, second.headers, caller.headers):
            assert (await http.get("/v1/things", headers=headers)).status_code == 200
        assert (await http.get("/v1/things", headers=second.headers)).status_code == 429
        assert (await http.get("/v1/things", headers=elsewhere.headers)).status_code == 200


async def test_wrong_credentials_are_limited_and_the_owner_is_not(
    settings: Settings, caller: Caller, superuser: asyncpg.Connection
) -> None:
    from api.server import create_api

    proxied = limited(settings, refused_credentials_per_minute=5)
    proxied = proxied.model_copy(update={"trusted_proxies": Settings(trusted_proxies="127.0.0.1").trusted_proxies})  # type: ignore[arg-type]
    api = create_api(proxied, routers=[routes])
    async with serving(api) as address, httpx.AsyncClient(base_url=address, trust_env=False) as http:
        attacker, owner = {"X-Forwarded-For": "192.0.2.66"}, {"X-Forwarded-For": "192.0.2.1"}
        assert (await http.get("/v1/things", headers=caller.headers | attacker)).status_code == 200
        codes = []
        for _ in range(8):
            wrong = {"Authorization": f"Bearer {new_api_key(caller.tenant_id).text}"}
            codes.append((await http.get("/v1/things", headers=wrong | attacker)).status_code)
        assert codes[:5] == [401] * 5
        assert codes[5] == 429
        # The owner is known here already, so even the attacker's address does not shut it out.
        assert (await http.get("/v1/things", headers=caller.headers | attacker)).status_code == 200
        fresh = await make_key(superuser, caller.tenant_id, caller.id)
        assert (await http.get("/v1/things", headers=fresh.headers | owner)).status_code == 200
        codes = [(await http.get("/v1/things", headers={"Authorization": "Bearer junk"} | attacker)).status_code
                 for _ in range(60)]  # fmt: skip
        assert codes[:50] == [401] * 50
        assert 429 in codes  # one comes back per second or so, and a slow machine takes seconds
