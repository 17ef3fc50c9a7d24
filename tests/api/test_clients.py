"""Clients through HTTP."""

import asyncio
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from app.database import Database
from tests.api.people import calling, enrolled

CLAUSE = {
    "kind": "msa",
    "notice_duration": "PT48H",
    "notice_clock": "aware_at",
    "recipient": "security@acme.example",
    "threshold": "any",
}


async def test_a_client_is_added_read_listed_and_changed(http: httpx.AsyncClient) -> None:
    body = {
        "name": "Acme",
        "hipaa_role": "business_associate",
        "gdpr_role": "processor",
        "jurisdictions": ["US-CA", "DE"],
        "profile": {"data_role": "maintainer", "sectors": ["health"]},
        "contract": {"clauses": [CLAUSE]},
        "external_references": [{"system": "psa", "id": "42"}],
    }
    made = await http.post("/v1/clients", json=body)
    assert made.status_code == 201
    client = made.json()
    assert (client["jurisdictions"], client["contract"]["clauses"]) == (["DE", "US-CA"], [CLAUSE])
    assert [one["id"] for one in client["external_references"]] == ["42"]
    assert (await http.get(made.headers["location"])).json() == client
    listed = (await http.get("/v1/clients", params={"active": "true"})).json()["items"]
    assert [one["id"] for one in listed] == [client["id"]]
    edited = await http.patch(made.headers["location"], json={"active": False}, headers={"If-Match": '"1"'})
    assert (edited.status_code, edited.json()["version"], edited.json()["profile"]) == (200, 2, client["profile"])
    assert (await http.patch(made.headers["location"], json={}, headers={"If-Match": '"1"'})).status_code == 412
    taken = await http.post("/v1/clients", json={"name": "B", "external_references": [{"system": "psa", "id": "42"}]})
    assert (taken.status_code, taken.json()["current"]) == (409, {"id": client["id"]})


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/name"),
        ({"name": ""}, "/name"),
        ({"name": "A", "hipaa_role": "patient"}, "/hipaa_role"),
        ({"name": "A", "jurisdictions": ["Germany"]}, "/jurisdictions/0"),
        ({"name": "A", "profile": {"mood": "good"}}, "/profile/mood"),
        ({"name": "A", "contract": {"clauses": [{**CLAUSE, "notice_duration": "2 days"}]}}, "/contract/clauses/0"),
        ({"name": "A", "contract": {"clauses": [{}]}}, "/contract/clauses/0/kind"),
        ({"name": "A", "tenant_id": str(uuid4())}, "/tenant_id"),
        ({"name": "A", "version": 3}, "/version"),
        ({"name": "A", "created_at": "2020-01-01T00:00:00Z"}, "/created_at"),
    ],
)
async def test_what_cannot_be_is_refused_with_its_place(
    http: httpx.AsyncClient, body: dict[str, Any], pointer: str
) -> None:
    answer = await http.post("/v1/clients", json=body)
    assert answer.status_code == 422
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]


async def test_an_upsert_creates_once_and_leaves_absent_members(http: httpx.AsyncClient) -> None:
    address = "/v1/clients/by-reference/psa/-/company/7"
    nameless = await http.put(address, json={})
    assert nameless.status_code == 422
    made = await http.put(address, json={"name": "Acme", "gdpr_role": "processor"})
    again = await http.put(address, json={"name": "Acme Inc"})
    assert (made.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == made.json()["id"]
    assert (again.json()["name"], again.json()["gdpr_role"]) == ("Acme Inc", "processor")
    assert again.json()["external_references"][0]["id"] == "company/7"


async def test_many_upserts_at_once_make_one_client(http: httpx.AsyncClient) -> None:
    address = "/v1/clients/by-reference/psa/-/9"
    answers = await asyncio.gather(*(http.put(address, json={"name": "Acme"}) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_only_administrators_write_and_content_reads(http: httpx.AsyncClient, server: str) -> None:
    client = (await http.post("/v1/clients", json={"name": "Acme"})).json()["id"]
    _, content = await enrolled(http, "account_owner")
    _, member = await enrolled(http)
    async with calling(server, content) as other:
        assert (await other.get(f"/v1/clients/{client}")).status_code == 200
        assert (await other.patch(f"/v1/clients/{client}", json={"name": "B"})).status_code == 403
        assert (await other.put("/v1/clients/by-reference/psa/-/1", json={"name": "B"})).status_code == 403
    async with calling(server, member) as other:
        assert (await other.get(f"/v1/clients/{client}")).status_code == 403


async def test_clients_of_another_tenant_do_not_exist(http: httpx.AsyncClient, database: Database, server: str) -> None:
    from app.tenants import create_tenant

    other = await create_tenant(database, "Other")
    mine = await http.put("/v1/clients/by-reference/psa/-/1", json={"name": "Mine"})
    async with calling(server, other.key) as stranger:
        assert (await stranger.get(f"/v1/clients/{mine.json()['id']}")).status_code == 404
        assert (await stranger.put("/v1/clients/by-reference/psa/-/1", json={"name": "Theirs"})).status_code == 201


async def test_a_change_asks_for_its_open_incidents_again(
    http: httpx.AsyncClient, superuser: asyncpg.Connection
) -> None:
    client = (await http.post("/v1/clients", json={"name": "Acme"})).json()["id"]
    incident = (await http.post("/v1/incidents", json={"title": "A", "client_ids": [client]})).json()["id"]
    await http.patch(f"/v1/clients/{client}", json={"hipaa_role": "business_associate"})
    kinds = await superuser.fetch("SELECT kind FROM due_work WHERE subject_id = $1", incident)
    assert "reevaluate" in {row["kind"] for row in kinds}
