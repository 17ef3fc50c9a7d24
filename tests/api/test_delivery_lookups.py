"""What a delivery only names is fetched over the connection of its source, and no alert is lost by that."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.database import Database
from app.settings import Settings
from app.worker import Worker
from tests.conftest import serving
from tests.stand_ins.connectwise import ConnectWise

PAYLOADS = Path(__file__).parents[1] / "payloads"


class Clock:
    """A clock that can be wound forward."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def of(system: str, case: str) -> dict[str, Any]:
    entries: list[dict[str, Any]] = json.loads((PAYLOADS / f"{system}.json").read_text(encoding="utf-8"))
    return next(one for one in entries if one["case"] == case)


@pytest.fixture(scope="module")
def near(settings: Settings) -> Settings:
    return settings.model_copy(update={"webhook_networks": (ip_network("127.0.0.0/8"),)})


@pytest.fixture
async def here(near: Settings, tenant: Any) -> AsyncIterator[httpx.AsyncClient]:
    from api.server import create_api

    headers = {"Authorization": f"Bearer {tenant.key}"}
    async with (
        serving(create_api(near)) as address,
        httpx.AsyncClient(base_url=address, headers=headers, timeout=30, trust_env=False) as client,
    ):
        yield client


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def worker(database: Database, near: Settings, clock: Clock) -> Worker:
    return Worker(database, near, clock=clock)


@pytest.fixture
async def desk() -> AsyncIterator[ConnectWise]:
    found = ConnectWise()
    ticket = found.add({"summary": "Staff pasted client contract into public chatbot", "status": {"name": "New"}})
    found.note(ticket, "The contract of Northwind went into ChatGPT.", "jamie")
    async with serving(found.app()) as address:
        found.url = address
        yield found


async def connect(here: httpx.AsyncClient, system: str, base_url: str, credentials: dict[str, str]) -> Any:
    given = {"name": "There", "system": system, "base_url": base_url, "credentials": credentials}
    made = await here.post("/v1/connections", json=given)
    assert made.status_code == 201, made.text
    named = {"name": system, "system": system, "connection_id": made.json()["id"]}
    source = await here.post("/v1/sources", json=named)
    assert source.status_code == 201, source.text
    assert source.json()["connection_id"] == made.json()["id"]
    return source.json()


async def send(here: httpx.AsyncClient, source: Any, entry: dict[str, Any]) -> Any:
    path = "/hooks/" + source["hook_url"].rsplit("/", 1)[1]
    answer = await here.post(path, content=entry["raw_body"].encode(), headers={"content-type": "application/json"})
    assert answer.status_code == 202, answer.text
    return answer.json()


async def delivery(here: httpx.AsyncClient, source: Any, told: Any) -> Any:
    return (await here.get(f"/v1/sources/{source['id']}/deliveries/{told['delivery_id']}")).json()


async def test_the_first_note_of_a_ticket_is_its_summary(
    here: httpx.AsyncClient, tenant: Any, desk: ConnectWise, worker: Worker
) -> None:
    source = await connect(here, "connectwise", desk.base_url, desk.credentials)
    told = await send(here, source, of("connectwise", "opened"))
    assert (told["result"], told["incident"], desk.asked) == ("unmapped", None, [])
    assert "fetched" in told["because"]
    assert (await send(here, source, of("connectwise", "opened")))["result"] == "duplicate"
    assert await worker.work_for(tenant.tenant_id) > 0
    done = await delivery(here, source, told)
    assert (done["result"], done["error"]) == ("created", None)
    found = (await here.get(f"/v1/incidents/{done['incident_id']}")).json()
    assert found["summary"].startswith("The contract of Northwind went into ChatGPT.")
    assert [one["id"] for one in found["external_references"]] == ["418823"]
    assert (await send(here, source, of("connectwise", "updated")))["result"] in ("updated", "noted")


async def test_a_system_that_is_away_is_asked_again_and_then_the_alert_acts_by_itself(
    here: httpx.AsyncClient, tenant: Any, desk: ConnectWise, worker: Worker, clock: Clock
) -> None:
    source = await connect(here, "connectwise", desk.base_url, desk.credentials)
    desk.answers = [503] * 7
    told = await send(here, source, of("connectwise", "opened"))
    await worker.work_for(tenant.tenant_id)
    waiting = await delivery(here, source, told)
    assert waiting["result"] == "unmapped"
    assert "503" in waiting["error"]
    for _ in range(6):
        clock.ahead += timedelta(minutes=6)
        await worker.work_for(tenant.tenant_id)
    done = await delivery(here, source, told)
    assert done["result"] == "created"
    assert "503" in done["error"]
    assert len(desk.asked) == 7


async def test_trying_again_by_hand_fetches_again(
    here: httpx.AsyncClient, tenant: Any, desk: ConnectWise, worker: Worker
) -> None:
    source = await connect(here, "connectwise", desk.base_url, desk.credentials)
    desk.answers = [503]
    told = await send(here, source, of("connectwise", "opened"))
    await worker.work_for(tenant.tenant_id)
    retried = await here.post(f"/v1/sources/{source['id']}/deliveries/{told['delivery_id']}/retry")
    assert (retried.status_code, retried.json()["result"]) == (200, "unmapped")
    await worker.work_for(tenant.tenant_id)
    assert (await delivery(here, source, told))["result"] == "created"


class Graph:
    """A stand-in of Microsoft Graph and of the issuer of its tokens, after their documentation."""

    def __init__(self) -> None:
        self.alert = of("defender_xdr", "alert (alerts_v2 resource, as fetched or relayed)")["body"]

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/{tenant}/oauth2/v2.0/token", self.token, methods=["POST"]),
                Route("/v1.0/security/alerts_v2/{id}", self.read, methods=["GET"]),
            ]
        )

    async def token(self, request: Request) -> Response:
        form = dict(httpx.QueryParams((await request.body()).decode()))
        if (form["grant_type"], form["client_secret"]) != ("client_credentials", "a-secret"):
            return JSONResponse({"error": "invalid_client"}, 401)
        return JSONResponse({"access_token": "a-token", "expires_in": 3599, "token_type": "Bearer"})

    async def read(self, request: Request) -> Response:
        if request.headers.get("authorization") != "Bearer a-token":
            return JSONResponse({"error": {"code": "InvalidAuthenticationToken"}}, 401)
        if request.path_params["id"] != self.alert["id"]:
            return JSONResponse({"error": {"code": "NotFound"}}, 404)
        return JSONResponse(self.alert)


async def test_a_change_notification_is_filled_with_the_alert_it_names(
    here: httpx.AsyncClient, tenant: Any, worker: Worker
) -> None:
    async with serving(Graph().app()) as address:
        credentials = {"tenant_id": "t", "client_id": "c", "client_secret": "a-secret", "authority": address}
        source = await connect(here, "defender_xdr", address, credentials)
        told = await send(here, source, of("defender_xdr", "change notification"))
        await worker.work_for(tenant.tenant_id)
    done = await delivery(here, source, told)
    assert (done["result"], done["error"]) == ("created", None)
    found = (await here.get(f"/v1/incidents/{done['incident_id']}")).json()
    expected = of("defender_xdr", "alert (alerts_v2 resource, as fetched or relayed)")["expect"]
    assert (found["title"], found["severity_hint"]) == (expected["title"], expected["severity"])


async def test_what_the_connection_wrote_is_our_own_doing(
    here: httpx.AsyncClient, tenant: Any, desk: ConnectWise, database: Database
) -> None:
    source = await connect(here, "connectwise", desk.base_url, desk.credentials)
    async with database.transaction(tenant.tenant_id) as db:
        await db.execute("UPDATE connections SET account = 'apimember' WHERE tenant_id = $1", tenant.tenant_id)
    entry = of("connectwise", "updated")
    assert entry["body"]["MemberId"] == "apimember"
    told = await send(here, source, entry)
    assert (told["result"], told["because"]) == ("ignored", "It is our own doing, which comes back.")


@pytest.mark.parametrize("system", ["zendesk", "generic"])
async def test_a_connection_to_another_system_is_refused(
    here: httpx.AsyncClient, desk: ConnectWise, system: str
) -> None:
    source = await connect(here, "connectwise", desk.base_url, desk.credentials)
    given = {"name": "Other", "system": system, "connection_id": source["connection_id"]}
    answer = await here.post("/v1/sources", json=given)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/connection_id"


@pytest.mark.parametrize(
    "notes",
    [
        [{"text": "a\x00b\x1b[2J"}],
        [{"text": "x" * 900_000}],
        [{"text": {"a": [1]}}, None, 7],
        {"text": "no list"},
        [{"text": f"note {index}"} for index in range(20_000)],
        None,
        "text",
        [],
    ],
    ids=["controls", "long", "odd", "object", "many", "null", "text", "empty"],
)
async def test_whatever_a_system_answers_the_alert_opens_its_incident(
    here: httpx.AsyncClient, tenant: Any, worker: Worker, notes: Any
) -> None:
    class Odd(ConnectWise):
        async def notes(self, request: Request, given: Any) -> Any:
            return notes

    desk = Odd()
    async with serving(desk.app()) as desk.url:
        source = await connect(here, "connectwise", desk.base_url, desk.credentials)
        told = await send(here, source, of("connectwise", "opened"))
        await worker.work_for(tenant.tenant_id)
        assert len(desk.asked) == 1
        done = await delivery(here, source, told)
    assert done["result"] == "created", done
    found = (await here.get(f"/v1/incidents/{done['incident_id']}")).json()
    assert len(found["summary"] or "") <= 20_000
    assert "\x1b" not in str(found)


@pytest.mark.parametrize("id", ["..", ".", "../users", "418823?x=1", "https://evil.example/", "é/\r\nX: y"])
async def test_an_id_out_of_a_body_leads_nowhere_else(
    here: httpx.AsyncClient, tenant: Any, desk: ConnectWise, worker: Worker, id: str
) -> None:
    source = await connect(here, "connectwise", desk.base_url, desk.credentials)
    entry = of("connectwise", "opened")
    told = await send(here, source, {"raw_body": entry["raw_body"].replace('"ID":418823', f'"ID":{json.dumps(id)}')})
    await worker.work_for(tenant.tenant_id)
    done = await delivery(here, source, told)
    assert done["result"] in ("created", "unmapped"), done
    assert all(path.startswith(f"{desk.base_path}/service/tickets/") for _, path in desk.asked), desk.asked
    assert not any(path.split("/")[-2] in (".", "..") for _, path in desk.asked)


async def test_an_alert_acts_although_credentials_cannot_be_opened(
    here: httpx.AsyncClient, tenant: Any, desk: ConnectWise, worker: Worker, database: Database
) -> None:
    source = await connect(here, "connectwise", desk.base_url, desk.credentials)
    async with database.transaction(tenant.tenant_id) as db:
        await db.execute("UPDATE connections SET credentials = 'nothing'::bytea")
    told = await send(here, source, of("connectwise", "opened"))
    await worker.work_for(tenant.tenant_id)
    done = await delivery(here, source, told)
    assert (done["result"], "connection" in done["error"]) == ("created", True)
