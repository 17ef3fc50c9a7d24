"""Keys through HTTP: no key reaches further than the one that issued it, and a revoked one opens nothing."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from tests.api.people import calling, enrolled


async def test_a_key_is_shown_once_and_works(
    http: httpx.AsyncClient, server: str, superuser: asyncpg.Connection
) -> None:
    made = await http.post("/v1/keys", json={"name": "laptop"})
    assert made.status_code == 201
    issued = made.json()
    read = await http.get(made.headers["location"])
    assert "key" not in read.json() and read.json()["prefix"] == issued["prefix"]
    assert issued["key"].startswith(issued["prefix"])
    stored = await superuser.fetchval("SELECT k::text FROM api_keys k WHERE id = $1", issued["id"])
    assert issued["key"] not in stored
    async with calling(server, issued["key"]) as again:
        assert (await again.get("/v1/me")).json()["key"]["id"] == issued["id"]


async def test_a_revoked_key_opens_nothing_from_the_next_request_on(http: httpx.AsyncClient, server: str) -> None:
    issued = (await http.post("/v1/keys", json={"name": "lost"})).json()
    async with calling(server, issued["key"]) as other:
        assert (await other.get("/v1/me")).status_code == 200
        revoked = await http.post(f"/v1/keys/{issued['id']}/revoke")
        assert (revoked.status_code, revoked.json()["is_active"]) == (200, False)
        assert (await other.get("/v1/me")).status_code == 401
    assert (await http.delete(f"/v1/keys/{issued['id']}")).json() == revoked.json()


async def test_a_key_holds_no_more_roles_than_the_one_that_issued_it(http: httpx.AsyncClient, server: str) -> None:
    narrow = (await http.post("/v1/keys", json={"name": "n", "roles": ["it_security"]})).json()
    assert (await http.post("/v1/keys", json={"name": "w", "roles": ["legal_counsel"]})).status_code == 422
    async with calling(server, narrow["key"]) as other:
        assert (await other.get("/v1/me")).json()["roles"] == ["it_security"]
        assert (await other.post("/v1/keys", json={"name": "w", "roles": ["tenant_admin"]})).status_code == 422
        child = (await other.post("/v1/keys", json={"name": "w"})).json()
        assert child["roles"] == ["it_security"]


async def test_a_key_ends_no_later_than_the_one_that_issued_it(http: httpx.AsyncClient, server: str) -> None:
    ends = datetime.now(UTC) + timedelta(hours=1)
    short = (await http.post("/v1/keys", json={"name": "s", "expires_at": ends.isoformat()})).json()
    async with calling(server, short["key"]) as other:
        later = (ends + timedelta(hours=1)).isoformat()
        assert (await other.post("/v1/keys", json={"name": "l", "expires_at": later})).status_code == 422
        assert (await other.post("/v1/keys", json={"name": "l"})).json()["expires_at"] == short["expires_at"]
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    assert (await http.post("/v1/keys", json={"name": "p", "expires_at": past})).status_code == 422


async def test_a_limited_key_administers_nothing(http: httpx.AsyncClient, server: str) -> None:
    client = (await http.post("/v1/clients", json={"name": "Acme"})).json()["id"]
    limited = (await http.post("/v1/keys", json={"name": "c", "client_ids": [client]})).json()
    async with calling(server, limited["key"]) as other:
        assert (await other.get("/v1/me")).json()["client_ids"] == [client]
        assert [one["id"] for one in (await other.get("/v1/clients")).json()["items"]] == [client]
        for address, body in (
            ("keys", {"name": "w"}),
            ("people", {"name": "w"}),
            ("clients", {"name": "w"}),
            ("service-accounts", {"name": "w"}),
        ):
            assert (await other.post(f"/v1/{address}", json=body)).status_code == 403
        assert (await other.patch("/v1/settings", json={"grace": "PT1M"})).status_code == 403
        assert (await other.patch(f"/v1/clients/{client}", json={"name": "w"})).status_code == 403
    unknown = {"name": "c", "client_ids": [str(uuid4())]}
    assert (await http.post("/v1/keys", json=unknown)).status_code == 422


async def test_nobody_gets_a_key_for_somebody_else(http: httpx.AsyncClient, server: str, tenant: Any) -> None:
    person, key = await enrolled(http, "hr")
    assert (await http.post("/v1/keys", json={"name": "x", "person_id": person})).status_code == 403
    assert (await http.post("/v1/keys", json={"name": "x", "person_id": str(tenant.person_id)})).status_code == 201
    async with calling(server, key) as other:
        answer = await other.post("/v1/keys", json={"name": "x", "person_id": str(tenant.person_id)})
        assert answer.status_code == 403


async def test_everybody_sees_and_revokes_only_own_keys(http: httpx.AsyncClient, server: str, tenant: Any) -> None:
    person, key = await enrolled(http)
    async with calling(server, key) as other:
        own = (await other.get("/v1/keys")).json()["items"]
        assert {one["person_id"] for one in own} == {person}
        assert (await other.get(f"/v1/keys/{tenant.key_id}")).status_code == 404
        assert (await other.post(f"/v1/keys/{tenant.key_id}/revoke")).status_code == 404
        assert (await other.get("/v1/keys", params={"person_id": str(tenant.person_id)})).status_code == 403
    assert len((await http.get("/v1/keys")).json()["items"]) == 2
    assert (await http.post(f"/v1/keys/{own[0]['id']}/revoke")).status_code == 200


async def test_a_service_account_gets_keys_from_an_administrator(http: httpx.AsyncClient, server: str) -> None:
    account = (await http.post("/v1/service-accounts", json={"name": "PSA"})).json()["id"]
    issued = (await http.post("/v1/keys", json={"name": "k", "service_account_id": account})).json()
    async with calling(server, issued["key"]) as machine:
        me = (await machine.get("/v1/me")).json()
        assert (me["kind"], me["id"], me["roles"]) == ("service_account", account, ["service_account"])
        for address in ("keys", "people", "clients", "settings"):
            assert (await machine.get(f"/v1/{address}")).status_code == 403
        assert (await machine.post("/v1/keys", json={"name": "k"})).status_code == 403
        await http.patch(f"/v1/service-accounts/{account}", json={"active": False})
        assert (await machine.get("/v1/me")).status_code == 401
    assert (await http.post("/v1/keys", json={"name": "k", "service_account_id": account})).status_code == 409
    await http.patch(f"/v1/service-accounts/{account}", json={"active": True})
    roles = {"name": "k", "service_account_id": account, "roles": ["risk_owner"]}
    assert (await http.post("/v1/keys", json=roles)).status_code == 422
    nobody = {"name": "k", "service_account_id": str(uuid4())}
    assert (await http.post("/v1/keys", json=nobody)).status_code == 404
    _, key = await enrolled(http, "risk_owner")
    async with calling(server, key) as other:
        assert (await other.post("/v1/keys", json={"name": "k", "service_account_id": account})).status_code == 403
        assert (await other.get("/v1/service-accounts")).status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "k", "roles": []},
        {"name": "k", "roles": "hr"},
        {"name": "k", "expires_at": "2026-01-01T00:00:00"},
        {"name": "k", "period_from": "2026-02-01T00:00:00Z", "period_to": "2026-01-01T00:00:00Z"},
        {"name": "k", "secret_hash": "x"},
        {"name": "k", "prefix": "hf_"},
        {"name": "k", "client_ids": []},
    ],
)
async def test_what_cannot_be_is_refused(http: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert (await http.post("/v1/keys", json=body)).status_code == 422


async def test_a_repeated_request_gives_the_same_key(http: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "once"}
    first = await http.post("/v1/keys", json={"name": "k"}, headers=headers)
    second = await http.post("/v1/keys", json={"name": "k"}, headers=headers)
    assert first.json() == second.json()
