"""Keys when several act at once, and as the installation issues them."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from app.database import Database
from app.keys import ACTIVE_MAX, issue_key_for, list_keys, revoke_any_key
from app.rebuild import check_tenant
from domain.refusals import Conflict


async def test_a_token_redeemed_at_once_gives_one_key(http: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    person = (await http.post("/v1/people", json={"name": "A"})).json()["id"]
    token = (await http.post(f"/v1/people/{person}/enrolment")).json()["token"]
    redeem = "/v1/enrolments/redeem"
    answers = await asyncio.gather(*(stranger.post(redeem, json={"token": token}) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, 401, 401, 401, 401, 401]


async def test_a_key_revoked_at_once_is_revoked_once(http: httpx.AsyncClient) -> None:
    key = (await http.post("/v1/keys", json={"name": "k"})).json()["id"]
    answers = await asyncio.gather(*(http.post(f"/v1/keys/{key}/revoke") for _ in range(4)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["revoked_at"] for answer in answers}) == 1


async def test_a_holder_has_so_many_active_keys_at_most(database: Database, tenant: Any) -> None:
    async with database.transaction(tenant.tenant_id) as db:
        for _ in range(ACTIVE_MAX - 1):
            made = await issue_key_for(db, tenant.person_id, None, "k", None)
        with pytest.raises(Conflict) as refused:
            await issue_key_for(db, tenant.person_id, None, "k", None)
        assert refused.value.code == "too-many-keys"
        assert await revoke_any_key(db, made["id"])
        await issue_key_for(db, tenant.person_id, None, "k", datetime(2099, 1, 1, tzinfo=UTC))


async def test_the_installation_issues_to_the_first_administrator(database: Database, tenant: Any) -> None:
    async with database.transaction(tenant.tenant_id) as db:
        made = await issue_key_for(db, None, None, "k", None)
        assert made["person_id"] == tenant.person_id
        assert not await revoke_any_key(db, tenant.tenant_id)
        assert [row["name"] for row in await list_keys(db)] == ["First key", "k"]
    assert (await check_tenant(database, tenant.tenant_id))["faults"] == []
