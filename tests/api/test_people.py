"""People through HTTP: who may add and change them, and how somebody gets a first key."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from app.database import Database
from tests.api.people import calling, enrolled


async def test_a_person_is_added_read_listed_and_changed(http: httpx.AsyncClient) -> None:
    made = await http.post("/v1/people", json={"name": "Ada", "email": "ada@example.com", "roles": ["privacy"]})
    assert made.status_code == 201
    person = made.json()
    assert made.headers["location"] == f"/v1/people/{person['id']}"
    assert (made.headers["etag"], person["kind"], person["roles"]) == ('"1"', "internal", ["privacy"])
    assert (await http.get(made.headers["location"])).json() == person
    listed = (await http.get("/v1/people", params={"role": "privacy"})).json()
    assert [one["id"] for one in listed["items"]] == [person["id"]]
    edited = await http.patch(made.headers["location"], json={"roles": ["privacy", "hr"]}, headers={"If-Match": '"1"'})
    assert (edited.status_code, edited.headers["etag"], edited.json()["roles"]) == (200, '"2"', ["hr", "privacy"])
    stale = await http.patch(made.headers["location"], json={"name": "Eve"}, headers={"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["current"]) == (412, {"version": 2})


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/name"),
        ({"name": " "}, "/name"),
        ({"name": "A", "email": "no address"}, "/email"),
        ({"name": "A", "roles": ["king"]}, "/roles/0"),
        ({"name": "A", "roles": ["service_account"]}, "/roles"),
        ({"name": "A", "roles": ["any_staff"]}, "/roles"),
        ({"name": "A", "manager_id": str(uuid4())}, "/manager_id"),
        ({"name": "A", "kind": "system"}, "/kind"),
        ({"name": "A", "incident_ids": [str(uuid4())]}, "/incident_ids"),
        ({"name": "A", "kind": "external"}, "/expires_at"),
        ({"name": "A", "created_by": str(uuid4())}, "/created_by"),
        ({"name": "A", "version": 7}, "/version"),
        ({"name": "A", "tenant_id": str(uuid4())}, "/tenant_id"),
        ({"name": "A", "token_issued_by": None}, "/token_issued_by"),
    ],
)
async def test_what_cannot_be_is_refused_with_its_place(
    http: httpx.AsyncClient, body: dict[str, Any], pointer: str
) -> None:
    answer = await http.post("/v1/people", json=body)
    assert answer.status_code == 422
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]


async def test_a_nul_is_refused(http: httpx.AsyncClient) -> None:
    assert (await http.post("/v1/people", json={"name": "a\0b"})).status_code == 422


async def test_nobody_but_an_administrator_writes_people(http: httpx.AsyncClient, server: str) -> None:
    person, key = await enrolled(http, "risk_owner", "executive_leadership")
    async with calling(server, key) as other:
        assert (await other.get("/v1/people")).status_code == 200
        assert (await other.post("/v1/people", json={"name": "B"})).status_code == 403
        assert (await other.patch(f"/v1/people/{person}", json={"roles": ["tenant_admin"]})).status_code == 403
        assert (await other.post(f"/v1/people/{person}/enrolment")).status_code == 403


async def test_a_role_counts_from_the_next_request_on(http: httpx.AsyncClient, server: str) -> None:
    person, key = await enrolled(http)
    async with calling(server, key) as other:
        assert (await other.get("/v1/people")).status_code == 403
        await http.patch(f"/v1/people/{person}", json={"roles": ["compliance"]})
        assert (await other.get("/v1/people")).status_code == 200
        await http.patch(f"/v1/people/{person}", json={"active": False})
        assert (await other.get("/v1/people")).status_code == 401


async def test_the_last_administrator_stays(http: httpx.AsyncClient, tenant: Any, server: str) -> None:
    me = f"/v1/people/{tenant.person_id}"
    for change in ({"active": False}, {"roles": []}):
        answer = await http.patch(me, json=change)
        assert (answer.status_code, answer.json()["code"]) == (409, "last-admin")
    _, key = await enrolled(http, "tenant_admin")
    assert (await http.patch(me, json={"roles": ["risk_owner"]})).status_code == 200
    async with calling(server, key) as other:
        assert (await other.patch(me, json={"roles": ["risk_owner", "tenant_admin"]})).status_code == 200


async def test_a_user_name_is_one_persons(http: httpx.AsyncClient) -> None:
    first = await http.post("/v1/people", json={"name": "A", "user_name": "ada"})
    second = await http.post("/v1/people", json={"name": "B", "user_name": "ada"})
    assert (first.status_code, second.status_code, second.json()["code"]) == (201, 409, "user-name-taken")


async def test_a_token_works_once_and_its_issuer_is_kept(
    http: httpx.AsyncClient, tenant: Any, stranger: httpx.AsyncClient, superuser: asyncpg.Connection
) -> None:
    person = (await http.post("/v1/people", json={"name": "A"})).json()["id"]
    old = (await http.post(f"/v1/people/{person}/enrolment")).json()["token"]
    new = (await http.post(f"/v1/people/{person}/enrolment")).json()["token"]
    row = await superuser.fetchrow("SELECT * FROM people WHERE id = $1", person)
    assert row["token_issued_by"] == tenant.person_id
    assert new not in str(row)
    redeem = "/v1/enrolments/redeem"
    assert (await stranger.post(redeem, json={"token": old})).status_code == 401
    assert (await stranger.post(redeem, json={"token": new})).status_code == 201
    assert (await stranger.post(redeem, json={"token": new})).status_code == 401
    assert (await stranger.post(redeem, json={"token": "nonsense"})).status_code == 401
    assert (await http.post(f"/v1/people/{tenant.person_id}/enrolment")).status_code == 409
    await superuser.execute("UPDATE people SET token_expires_at = now() WHERE id = $1", person)


async def test_a_token_ends(
    http: httpx.AsyncClient, stranger: httpx.AsyncClient, superuser: asyncpg.Connection
) -> None:
    person = (await http.post("/v1/people", json={"name": "A"})).json()["id"]
    token = (await http.post(f"/v1/people/{person}/enrolment")).json()["token"]
    await superuser.execute("UPDATE people SET token_expires_at = now() - interval '1 s' WHERE id = $1", person)
    assert (await stranger.post("/v1/enrolments/redeem", json={"token": token})).status_code == 401


async def test_an_outside_person_sees_only_the_incidents_it_is_named_for(http: httpx.AsyncClient, server: str) -> None:
    first, second = [(await http.post("/v1/incidents", json={"title": title})).json()["id"] for title in ("A", "B")]
    ends = datetime.now(UTC) + timedelta(days=29)
    outside = {"kind": "external", "expires_at": ends.isoformat(), "incident_ids": [first]}
    person, key = await enrolled(http, "legal_counsel", **outside)
    async with calling(server, key) as counsel:
        assert (await counsel.get(f"/v1/incidents/{first}")).status_code == 200
        assert (await counsel.get(f"/v1/incidents/{second}")).status_code == 404
        for address in ("people", "clients", "settings"):
            assert (await counsel.get(f"/v1/{address}")).status_code == 403
        moved = await http.patch(f"/v1/people/{person}", json={"incident_ids": [second]})
        assert moved.status_code == 200
        assert (await counsel.get(f"/v1/incidents/{first}")).status_code == 404
        assert (await counsel.get(f"/v1/incidents/{second}")).status_code == 200
    late = {**outside, "expires_at": (datetime.now(UTC) + timedelta(days=31)).isoformat()}
    assert (await http.post("/v1/people", json={"name": "C", **late})).status_code == 422


async def test_people_of_another_tenant_do_not_exist(http: httpx.AsyncClient, database: Database, server: str) -> None:
    from app.tenants import create_tenant

    other = await create_tenant(database, "Other")
    mine = (await http.post("/v1/people", json={"name": "A"})).json()["id"]
    async with calling(server, other.key) as stranger:
        for method, address in (("GET", ""), ("PATCH", ""), ("POST", "/enrolment")):
            body = {"json": {"name": "B"}} if method == "PATCH" else {}
            assert (await stranger.request(method, f"/v1/people/{mine}{address}", **body)).status_code == 404


async def test_every_change_is_an_event_of_the_person(http: httpx.AsyncClient, superuser: asyncpg.Connection) -> None:
    person, _ = await enrolled(http, "hr")
    await http.patch(f"/v1/people/{person}", json={"roles": ["privacy"]})
    await http.patch(f"/v1/people/{person}", json={"roles": ["privacy"]})
    rows = await superuser.fetch(
        "SELECT kind, data->'granted' AS granted, data->'taken' AS taken FROM events"
        " JOIN event_data USING (tenant_id, stream, stream_id, seq) WHERE stream_id = $1 ORDER BY seq",
        person,
    )
    assert [row["kind"] for row in rows] == ["person.created", "person.token_issued", "person.changed"]
    assert (rows[2]["granted"], rows[2]["taken"]) == ('["privacy"]', '["hr"]')
