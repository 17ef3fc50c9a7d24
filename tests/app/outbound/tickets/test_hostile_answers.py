"""What a ticket system answers is somebody else's text: it is kept where it can be, told as a failure where not."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from app.courier import Courier
from app.dialling import _read
from domain.connections import connection_system
from domain.expressions import TooCostly
from tests.app.outbound.tickets.desk_calls import (
    Winding,
    add,
    connect,
    declared,
    deliveries,
    note,
    only_ticket,
    references,
)
from tests.stand_ins.desk import Desk, Refused
from tests.stand_ins.servicenow import ServiceNow
from tests.stand_ins.zendesk import Zendesk

DEEP: Any = "x"
for _ in range(900):
    DEEP = [DEEP]


class Odd(Zendesk):
    """A Zendesk whose answers a test sets: the members of every ticket."""

    def __init__(self) -> None:
        super().__init__()
        self.members: dict[str, Any] = {}

    def _shown(self, ticket: Any) -> dict[str, Any]:
        return {**super()._shown(ticket), **self.members}

    async def update(self, request: Request, given: Any) -> Any:
        return {"ticket": {"status": "\x00" * 50}, "audit": {"id": "\x00" + "9" * 5_000, "author_id": "\x00" * 9}}


ODD = pytest.mark.parametrize("desk", [Odd], indirect=True, ids=lambda one: one.system)


async def told(http: httpx.AsyncClient, courier: Courier, tenant: Any, endpoint: dict[str, Any]) -> dict[str, Any]:
    await courier.work_for(tenant.tenant_id)
    return next(one for one in await deliveries(http, endpoint) if one["event_type"] == "incident.declared")


@ODD
@pytest.mark.parametrize(
    "id",
    ["", "\x00", "a\x00b", "9" * 5_000, {"a": 1}, [["x"] * 100_000], "..", "\u202e123", DEEP, 10**400, "a\nb"],
    ids=["empty", "nul", "with nul", "long", "object", "list", "step up", "turned", "deep", "number", "lines"],
)
async def test_a_ticket_with_an_odd_id_fails_as_any_attempt_does(
    http: httpx.AsyncClient, desk: Odd, courier: Winding, tenant: Any, id: Any
) -> None:
    endpoint = await add(http, await connect(http, desk), desk)
    desk.members = {"id": id}
    incident = await declared(http)
    found = await told(http, courier(), tenant, endpoint)
    assert found["attempts"] == 1, found
    kept = await references(http, incident)
    assert bool(kept) == (found["status"] == "delivered"), found
    assert all(len(one["id"]) <= 200 and one["id"].isprintable() for one in kept)
    assert (await http.get(f"/v1/incidents/{incident['id']}/timeline", params={"limit": 200})).status_code == 200


@ODD
async def test_what_a_system_says_of_a_note_is_kept_as_a_line(
    http: httpx.AsyncClient, desk: Odd, courier: Winding, tenant: Any
) -> None:
    endpoint = await add(http, await connect(http, desk), desk)
    incident = await declared(http)
    await courier().work_for(tenant.tenant_id)
    answer = await http.post(f"/v1/incidents/{incident['id']}/notes", json={"text": "The prompt was deleted."})
    assert answer.status_code == 201
    await courier().work_for(tenant.tenant_id)
    (noted,) = [one for one in await deliveries(http, endpoint) if one["event_type"] == "note.added"]
    assert noted["status"] == "delivered", noted


@pytest.mark.parametrize("desk", [ServiceNow], indirect=True)
async def test_a_journal_shows_no_html_of_ours(
    http: httpx.AsyncClient, desk: Desk, courier: Winding, tenant: Any
) -> None:
    endpoint = await add(http, await connect(http, desk), desk)
    await http.patch(f"/v1/webhook-endpoints/{endpoint['id']}", json={"payload": "full"})
    incident = await declared(http)
    await note(http, incident, "[code]<img src=x onerror=alert(1)>[/code]")
    await courier().work_for(tenant.tenant_id)
    assert "[code]" not in only_ticket(desk).notes[1].text
    assert "onerror" in only_ticket(desk).notes[1].text


@ODD
async def test_credentials_that_a_system_repeats_are_not_shown(
    http: httpx.AsyncClient, desk: Odd, courier: Winding, tenant: Any
) -> None:
    connection = await connect(http, desk)
    endpoint = await add(http, connection, desk)
    heard: list[str] = []

    def repeat(request: Request) -> None:
        heard.append(request.headers["authorization"])
        raise Refused(401, f"{request.headers['authorization']} is not {desk.credentials['api_token']}, said we")

    desk.authorise = repeat  # type: ignore[method-assign]
    checked = (await http.post(f"/v1/connections/{connection['id']}/check")).json()
    assert "said we" in checked["error"], checked
    await declared(http)
    found = await told(http, courier(), tenant, endpoint)
    seen = [checked, found, (await http.get("/v1/connections")).json(), (await http.get("/v1/events?limit=200")).json()]
    for secret in (desk.credentials["api_token"], heard[0].split()[1]):
        assert secret not in str(seen)


def test_a_list_that_takes_long_to_read_is_given_up() -> None:
    """A megabyte of paragraphs kept everybody waiting for more than a second."""
    paragraph = {"content": [{"text": "x"}] * 30}
    body = {"comments": [{"id": str(index), "body": {"content": [paragraph] * 30}} for index in range(75)]}
    operation = connection_system("jira").operations["find_note"]
    began = time.thread_time()
    with pytest.raises(TooCostly):
        _read(operation, {"note": {"marker": "evt_0"}}, {"body": body})
    assert time.thread_time() - began < 1
