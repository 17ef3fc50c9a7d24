"""Identity providers: one pair belongs to one tenant, proven by a token; claims narrow roles; consoles learn where."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import httpx

from app.database import Database
from app.rebuild import check_tenant
from app.settings import Settings
from app.tenants import create_tenant
from tests.api.people import enrolled
from tests.api.places import Place, a_place, registration
from tests.conftest import serving
from tests.issuer import AUDIENCE, CLIENT, Issuer, issuing, signed


async def test_a_pair_belongs_to_one_tenant(place: Place, believing: str, database: Database) -> None:
    other = await create_tenant(database, "Another")
    async with httpx.AsyncClient(base_url=believing, headers=place.holding(other.key), trust_env=False) as http:
        for caller in (http, place.http):
            taken = await caller.post("/v1/identity-providers", json=registration(place.issuer))
            assert (taken.status_code, taken.json()["code"]) == (409, "identity-provider-taken")
        free = registration(place.issuer, audience="free", proof=place.issuer.token(aud="free"))
        assert (await http.post("/v1/identity-providers", json=free)).status_code == 201


async def test_registering_takes_a_valid_token_of_the_pair(believing: str, database: Database, issuer: Issuer) -> None:
    tenant = await create_tenant(database, "A tenant")
    headers = {"Authorization": f"Bearer {tenant.key}"}
    async with (
        issuing() as other,
        httpx.AsyncClient(base_url=believing, headers=headers, timeout=30, trust_env=False) as http,
    ):
        jwt = signed(issuer.header(typ="JWT"), issuer.claims(aud=CLIENT), issuer.keys["ES256"][1])
        wrong: list[tuple[str, dict[str, Any]]] = [
            ("/proof", {"proof": "nothing"}),
            ("/proof", {"proof": issuer.token(aud="https://other.example")}),
            ("/proof", {"proof": other.token(iss=issuer.url)}),
            ("/proof", {"proof": issuer.token(exp=1_000)}),
            ("/proof", {"proof": other.token()}),
            ("/proof", {"token_type": "JWT"}),
            ("/audience", {"token_type": "JWT", "audience": CLIENT, "proof": jwt}),
            ("/issuer", {"issuer": "http://issuer.example"}),
            ("/issuer", {"issuer": issuer.url + "?x=1"}),
            ("/issuer", {"issuer": "https://user:secret@issuer.example"}),
            ("/role_claim", {"role_map": {"g": ["hr"]}}),
            ("/role_map", {"role_claim": "groups"}),
            ("/role_map", {"role_claim": "groups", "role_map": {"g": ["service_account"]}}),
        ]
        for pointer, changes in wrong:
            answer = await http.post("/v1/identity-providers", json=registration(issuer, **changes))
            assert answer.status_code == 422, (changes, answer.text)
            assert [one["pointer"] for one in answer.json()["errors"]] == [pointer], changes
        key = {"Idempotency-Key": uuid4().hex}
        body = registration(issuer)
        first = await http.post("/v1/identity-providers", json=body, headers=key)
        assert first.status_code == 201, first.text
        issuer.is_down = True
        again = await http.post("/v1/identity-providers", json=body, headers=key)
        assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])


async def test_addresses_inside_our_network_are_not_asked(server: str, tenant: Any, issuer: Issuer) -> None:
    headers = {"Authorization": f"Bearer {tenant.key}"}
    async with httpx.AsyncClient(base_url=server, headers=headers, timeout=30, trust_env=False) as http:
        for address in (issuer.url, f"https://127.0.0.1:{issuer.port}", f"https://localhost:{issuer.port}"):
            body = registration(issuer, issuer=address, proof=issuer.token(iss=address))
            assert (await http.post("/v1/identity-providers", json=body)).status_code == 422
    assert issuer.connections == 0


async def test_only_an_administrator_registers_and_nobody_else_makes_us_ask(place: Place) -> None:
    _, key = await enrolled(place.http, "risk_owner")
    async with issuing() as other:
        body = registration(other)
        refused = await place.http.post("/v1/identity-providers", json=body, headers=place.holding(key))
        assert refused.status_code == 403
        assert (await place.http.get("/v1/identity-providers", headers=place.holding(key))).status_code == 403
        assert other.connections == 0


async def test_changing_a_provider_is_guarded_and_told(place: Place, database: Database) -> None:
    path = f"/v1/identity-providers/{place.provider['id']}"
    stale = await place.http.patch(path, json={"name": "Other"}, headers={"If-Match": '"9"'})
    assert stale.status_code == 412
    assert (await place.http.patch(path, json={"issuer": "https://x.example"})).status_code == 422
    assert (await place.http.patch(path, json={"role_claim": "groups"})).status_code == 422
    mapped = {"role_claim": "groups", "role_map": {"g": ["hr"]}}
    changed = await place.http.patch(path, json=mapped, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.json()["version"], changed.json()["role_map"]) == (200, 2, {"g": ["hr"]})
    await place.http.delete(path)
    async with database.transaction(UUID(place.tenant_id)) as db:
        rows = await db.fetch("select kind from events where stream = 'identity_provider' order by seq")
    assert [row["kind"].partition(".")[2] for row in rows] == ["created", "changed", "retired"]
    report = await check_tenant(database, UUID(place.tenant_id))
    assert (report["faults"], report["erased"]) == ([], 0)  # state is what the events fold to


async def test_a_claim_narrows_roles_and_never_grants_any(believing: str, database: Database, issuer: Issuer) -> None:
    role_map = {"g-risk": ["risk_owner", "legal_counsel"], "g-admin": ["tenant_admin"]}
    async with a_place(believing, database, issuer, role_claim="realm_access.roles", role_map=role_map) as place:
        await place.http.post("/v1/identities", json={"access_token": issuer.token()})

        async def roles(**claims: Any) -> list[str]:
            found: list[str] = (await place.me(issuer.token(**claims))).json()["roles"]
            return found

        assert await roles(realm_access={"roles": ["g-risk", "g-admin", "g-other"]}) == ["risk_owner", "tenant_admin"]
        assert await roles(realm_access={"roles": ["g-risk"]}) == ["risk_owner"]
        assert await roles(realm_access={"roles": "g-admin"}) == ["tenant_admin"]
        assert await roles(realm_access=["g-admin"]) == []
        assert await roles() == []
        assert await roles(realm_access={"roles": [1, None, {"g-admin": 1}, ["g-admin"]]}) == []
        narrow = place.holding(issuer.token(realm_access={"roles": ["g-risk"]}))
        refused = await place.http.post("/v1/identities", json={"access_token": issuer.token("b")}, headers=narrow)
        assert refused.status_code == 403
        key = (await place.http.post("/v1/keys", json={"name": "Narrow"}, headers=narrow)).json()
        assert "tenant_admin" not in key["roles"]  # a key never reaches further than what issued it


async def test_a_console_learns_where_to_sign_in_and_nothing_else(place: Place, database: Database) -> None:
    anybody = httpx.AsyncClient(base_url=str(place.http.base_url), trust_env=False)
    empty = await create_tenant(database, "Without a provider")
    async with anybody:
        found = await anybody.get("/v1/config", params={"tenant": place.tenant_id})
        expected = {"name": "Our directory", "issuer": place.issuer.url, "client_id": CLIENT, "audience": AUDIENCE}
        assert (found.status_code, found.json()) == (200, {"sign_in": [expected]})
        same = {"X-Request-Id": "same-request"}
        answers = [
            await anybody.get("/v1/config", params={"tenant": tenant}, headers=same)
            for tenant in (str(empty.tenant_id), str(uuid4()), "no-tenant", "00000000-0000-0000-0000-000000000000")
        ]
        told = [{name: text for name, text in one.headers.items() if name != "date"} for one in answers]
        assert {(one.status_code, one.content) for one in answers} == {(200, b'{"sign_in":[]}')}
        assert all(one == told[0] for one in told)
        await place.http.patch(f"/v1/identity-providers/{place.provider['id']}", json={"enabled": False})
        assert (await anybody.get("/v1/config", params={"tenant": place.tenant_id})).json() == {"sign_in": []}
        assert (await anybody.get("/v1/config")).status_code == 422


async def test_a_console_of_a_configured_origin_may_call(settings: Settings, tenant: Any) -> None:
    from api.server import create_api

    origin = "https://console.example"
    api = create_api(settings.model_copy(update={"cors_origins": (origin,)}))
    async with serving(api) as address, httpx.AsyncClient(base_url=address, trust_env=False) as browser:
        asking = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
        }
        ours = await browser.options("/v1/incidents", headers=asking | {"Origin": origin})
        assert (ours.status_code, ours.headers["access-control-allow-origin"]) == (200, origin)
        assert "access-control-allow-credentials" not in ours.headers  # tokens travel in a header, never as a cookie
        for stranger in ("https://evil.example", "null", f"{origin}.evil.example", "http://console.example"):
            theirs = await browser.options("/v1/incidents", headers=asking | {"Origin": stranger})
            assert theirs.status_code == 400
            assert "access-control-allow-origin" not in theirs.headers
        for path, status in (("/v1/config?tenant=x", 200), ("/v1/me", 401)):
            answer = await browser.get(path, headers={"Origin": origin})
            assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, origin)
            assert "Retry-After" in answer.headers["access-control-expose-headers"]
