"""People when two administrators act at once, and what the directory is told."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.database import Database
from tests.api.people import calling, enrolled


@pytest.fixture
async def second(http: httpx.AsyncClient, server: str) -> AsyncIterator[tuple[str, httpx.AsyncClient]]:
    """Another administrator: the id, and calls in its name."""
    person, key = await enrolled(http, "tenant_admin")
    async with calling(server, key) as other:
        yield person, other


async def version(database: Database, tenant: Any) -> int:
    async with database.transaction(tenant.tenant_id) as db:
        found: int = await db.value("SELECT directory_version FROM tenants")
    return found


async def test_two_last_administrators_cannot_dismiss_each_other(
    http: httpx.AsyncClient, second: tuple[str, httpx.AsyncClient], tenant: Any
) -> None:
    person, other = second
    answers = await asyncio.gather(
        http.patch(f"/v1/people/{person}", json={"active": False}),
        other.patch(f"/v1/people/{tenant.person_id}", json={"active": False}),
    )
    assert sorted(answer.status_code for answer in answers) in ([200, 401], [200, 403], [200, 409])


async def test_of_two_edits_of_one_version_one_wins(
    http: httpx.AsyncClient, second: tuple[str, httpx.AsyncClient]
) -> None:
    person, other = second
    tag = {"If-Match": (await http.get(f"/v1/people/{person}")).headers["etag"]}
    answers = await asyncio.gather(
        *(
            one.patch(f"/v1/people/{person}", json={"name": name}, headers=tag)
            for one, name in ((http, "A"), (other, "B"))
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412]


async def test_one_user_name_asked_for_at_once_is_given_once(http: httpx.AsyncClient) -> None:
    body = {"name": "A", "user_name": "ada"}
    answers = await asyncio.gather(*(http.post("/v1/people", json=body) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]


async def test_what_rules_look_at_moves_the_directory_and_a_token_that_waits_does_not(
    http: httpx.AsyncClient, database: Database, tenant: Any
) -> None:
    before = await version(database, tenant)
    person = (await http.post("/v1/people", json={"name": "A"})).json()["id"]
    assert await version(database, tenant) == before + 1
    await http.patch(f"/v1/people/{person}", json={"roles": ["hr"]})
    assert await version(database, tenant) == before + 2
    token = (await http.post(f"/v1/people/{person}/enrolment")).json()["token"]
    assert await version(database, tenant) == before + 3  # who issued it is what four eyes look at
    await http.post("/v1/enrolments/redeem", json={"token": token})
    assert await version(database, tenant) == before + 3
    await http.patch("/v1/settings", json={"grace": "PT5M"})
    assert await version(database, tenant) == before + 4
    await http.post("/v1/keys", json={"name": "k"})
    assert await version(database, tenant) == before + 4
