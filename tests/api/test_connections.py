"""Connections over HTTP: what may be one, what is shown of it, and what a check finds."""

from collections.abc import AsyncIterator
from ipaddress import ip_network
from typing import Any
from uuid import UUID

import httpx
import pytest

from app.database import Database
from app.rebuild import check_tenant
from app.settings import Settings
from tests.conftest import serving
from tests.people import add_person
from tests.stand_ins.desk import Desk
from tests.stand_ins.zendesk import Zendesk

CONNECTIONS = "/v1/connections"
GIVEN = {
    "name": "Tickets",
    "system": "zendesk",
    "base_url": "https://acme.zendesk.example/",
    "credentials": {"email": "bot@msp.example", "api_token": "the-secret-token"},
}


@pytest.fixture(scope="module")
async def near(settings: Settings) -> AsyncIterator[str]:
    """A service that may call this machine."""
    from api.server import create_api

    networks = {"webhook_networks": (ip_network("127.0.0.0/8"),)}
    async with serving(create_api(settings.model_copy(update=networks))) as address:
        yield address


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    found = Zendesk()
    async with serving(found.app()) as address:
        found.url = address
        yield found


@pytest.fixture
async def here(near: str, tenant: Any) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {tenant.key}"}
    async with httpx.AsyncClient(base_url=near, headers=headers, timeout=30, trust_env=False) as client:
        yield client


async def add(http: httpx.AsyncClient, **members: Any) -> dict[str, Any]:
    answer = await http.post(CONNECTIONS, json={**GIVEN, **members})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_credentials_are_kept_sealed_and_never_shown(
    http: httpx.AsyncClient, database: Database, tenant: Any
) -> None:
    made = await add(http)
    assert made["base_url"] == "https://acme.zendesk.example"
    assert made["instance"] == made["id"]
    new = {"credentials": {"email": "bot@msp.example", "api_token": "the-newer-token"}}
    rotated = (await http.post(f"{CONNECTIONS}/{made['id']}/rotate", json=new)).json()
    assert rotated["version"] == made["version"] + 1
    shown = (await http.get(CONNECTIONS)).text + (await http.get(f"{CONNECTIONS}/{made['id']}")).text
    async with database.transaction(tenant.tenant_id) as db:
        kept = await db.value("select c::text from connections c where id = $1", UUID(made["id"]))
        told = await db.fetch("select data::text from event_data where stream = 'connection'")
        kinds = await db.fetch("select kind from events where stream = 'connection' order by seq")
    everything = shown + kept + "".join(one["data"] for one in told)
    assert "token" not in everything.replace("/token", "")
    assert [one["kind"] for one in kinds] == ["connection.created", "connection.rotated"]
    assert (await check_tenant(database, tenant.tenant_id))["faults"] == []


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"system": "abacus"}, "/system"),
        ({"credentials": {"email": "bot@msp.example"}}, "/credentials"),
        ({"credentials": {"email": "a@b.example", "api_token": "x", "other": "y"}}, "/credentials"),
        ({"base_url": "http://acme.example"}, "/base_url"),
        ({"base_url": "https://10.0.0.1"}, "/base_url"),
        ({"base_url": "https://169.254.169.254/latest"}, "/base_url"),
        ({"base_url": "https://user:pass@acme.example"}, "/base_url"),
        ({"base_url": "https://acme.example/?a=b"}, "/base_url"),
        ({"base_url": "https://acme.example/?"}, "/base_url"),
        ({"base_url": "https://acme.example/#"}, "/base_url"),
    ],
)
async def test_what_cannot_work_is_refused_with_a_reason(
    http: httpx.AsyncClient, members: dict[str, Any], pointer: str
) -> None:
    answer = await http.post(CONNECTIONS, json={**GIVEN, **members})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_an_address_changes_with_its_credentials_alone(http: httpx.AsyncClient) -> None:
    made = await add(http)
    moved = await http.patch(f"{CONNECTIONS}/{made['id']}", json={"base_url": "https://evil.example"})
    assert moved.status_code == 422
    renamed = await http.patch(f"{CONNECTIONS}/{made['id']}", json={"name": "Desk", "instance": "main"})
    assert (renamed.json()["name"], renamed.json()["instance"]) == ("Desk", "main")
    stale = await http.patch(f"{CONNECTIONS}/{made['id']}", json={"name": "X"}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    both = {"credentials": GIVEN["credentials"], "base_url": "https://other.zendesk.example"}
    answer = await http.post(f"{CONNECTIONS}/{made['id']}/rotate", json=both)
    assert answer.json()["base_url"] == "https://other.zendesk.example"


async def test_a_check_tells_what_the_system_says(here: httpx.AsyncClient, desk: Desk) -> None:
    made = await add(here, base_url=desk.base_url, credentials=desk.credentials)
    answer = await here.post(f"{CONNECTIONS}/{made['id']}/check")
    assert answer.status_code == 200, answer.text
    assert answer.json()["ok"] is True
    assert answer.json()["seen"] == {"account": "35436", "name": "Bot"}
    read = (await here.get(f"{CONNECTIONS}/{made['id']}")).json()
    assert (read["account"], read["last_error"]) == ("35436", None)
    assert read["last_checked_at"] is not None
    wrong = {"credentials": {**desk.credentials, "api_token": "wrong"}}
    await here.post(f"{CONNECTIONS}/{made['id']}/rotate", json=wrong)
    answer = await here.post(f"{CONNECTIONS}/{made['id']}/check")
    assert answer.json()["ok"] is False
    assert "401" in answer.json()["error"]
    assert "401" in (await here.get(f"{CONNECTIONS}/{made['id']}")).json()["last_error"]


async def test_a_system_that_is_not_there_is_told_of(here: httpx.AsyncClient) -> None:
    made = await add(here, base_url="http://127.0.0.1:9")
    answer = await here.post(f"{CONNECTIONS}/{made['id']}/check")
    assert (answer.status_code, answer.json()["ok"]) == (200, False)
    assert "127.0.0.1" not in answer.json()["error"]


async def test_a_retired_connection_stays_readable_and_is_called_no_more(
    http: httpx.AsyncClient, database: Database, tenant: Any
) -> None:
    made = await add(http)
    answer = await http.post(f"{CONNECTIONS}/{made['id']}/retire")
    assert (answer.status_code, answer.json()["status"]) == (200, "retired")
    for path in ("retire", "check"):
        again = await http.post(f"{CONNECTIONS}/{made['id']}/{path}")
        assert (again.status_code, again.json()["code"]) == (409, "connection-retired")
    assert (await http.get(CONNECTIONS, params={"status": "active"})).json()["items"] == []
    async with database.transaction(tenant.tenant_id) as db:
        assert await db.value("select credentials from connections where id = $1", UUID(made["id"])) == b""


async def test_others_see_nothing_of_connections(
    http: httpx.AsyncClient, database: Database, tenant: Any, server: str
) -> None:
    made = await add(http)
    client = (await http.post("/v1/clients", json={"name": "Acme"})).json()
    limited = {"name": "Limited", "client_ids": [client["id"]], "roles": ["tenant_admin"]}
    key = (await http.post("/v1/keys", json=limited)).json()["key"]
    somebody = await add_person(database, tenant.tenant_id, "it_security")
    for headers, status in (({"Authorization": f"Bearer {key}"}, 404), (somebody.headers, 403)):
        answer = await http.get(f"{CONNECTIONS}/{made['id']}", headers=headers)
        assert answer.status_code == status, answer.text
        assert (await http.post(CONNECTIONS, json=GIVEN, headers=headers)).status_code == 403


async def test_every_system_says_what_it_asks_for(http: httpx.AsyncClient) -> None:
    items = {one["system"]: one for one in (await http.get("/v1/connection-systems")).json()["items"]}
    assert items.keys() >= {"connectwise", "halopsa", "jira", "servicenow", "autotask", "zendesk", "freshservice"}
    assert [len(one["auth"]) for one in items.values() if one["system"] == "servicenow"] == [2]
    assert set(items["defender_xdr"]["operations"]) == {"check", "get_alert", "get_incident"}  # read, never written to
    for one in items.values():
        assert one["system"] == "defender_xdr" or set(one["operations"]) >= {
            "check",
            "create_ticket",
            "get_ticket",
            "find_ticket",
            "add_note",
            "set_status",
        }
        assert one["system"] == "defender_xdr" or one["map"]


async def test_credentials_that_cannot_be_opened_are_asked_for_again(
    here: httpx.AsyncClient, desk: Desk, database: Database, tenant: Any
) -> None:
    """As after a restore without the key that sealed them."""
    made = await add(here, base_url=desk.base_url, credentials=desk.credentials)
    async with database.transaction(tenant.tenant_id) as db:
        await db.execute("UPDATE connections SET credentials = 'nothing'::bytea WHERE id = $1", UUID(made["id"]))
    answer = await here.post(f"{CONNECTIONS}/{made['id']}/check")
    assert (answer.status_code, answer.json()["code"]) == (409, "credentials-unreadable")
    new = {"credentials": desk.credentials}
    assert (await here.post(f"{CONNECTIONS}/{made['id']}/rotate", json=new)).status_code == 200
    assert (await here.post(f"{CONNECTIONS}/{made['id']}/check")).json()["ok"] is True
