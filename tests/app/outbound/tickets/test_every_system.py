"""An incident has one ticket in each system that wants it, whatever the system, its answers and our own ends do."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.app.outbound.tickets.desk_calls import (
    EVERY,
    Winding,
    add,
    connect,
    declared,
    deliveries,
    move,
    note,
    only_ticket,
    references,
)
from tests.stand_ins.desk import Desk
from tests.stand_ins.halopsa import HaloPsa
from tests.stand_ins.jira import ACCOUNT
from tests.stand_ins.zendesk import AGENT

ACCOUNTS = {"connectwise": "holdfast", "halopsa": "Holdfast Agent", "jira": ACCOUNT, "zendesk": str(AGENT)}
ACCOUNTS |= {"servicenow": "holdfast", "autotask": "296"}


@EVERY
async def test_an_incident_has_a_ticket_that_carries_its_number_and_follows_it(
    http: httpx.AsyncClient, desk: Desk, courier: Winding, tenant: Any
) -> None:
    connection = await connect(http, desk)
    endpoint = await add(http, connection, desk)
    incident = await declared(http, title="A title about Jamie")
    await courier().work_for(tenant.tenant_id)
    ticket = only_ticket(desk)
    assert desk.title(ticket).startswith(f"[{incident['number']}] ")
    assert "Jamie" not in desk.title(ticket)
    assert incident["number"] in ticket.notes[0].text
    assert str(desk.status(ticket)) == str(desk.open_status)
    (reference,) = await references(http, incident)
    assert (reference["system"], reference["instance"]) == (desk.system, connection["id"])
    assert desk.tickets[reference["id"]] is ticket
    assert str(ticket.id) in reference["key"]
    assert reference["url"].startswith("http")
    await note(http, incident)
    await move(http, incident, "hold", waiting_for="the vendor")
    await courier().work_for(tenant.tenant_id)
    assert only_ticket(desk) is ticket
    assert len(ticket.notes) == 2
    assert ticket.notes[1].text.startswith(f"[Holdfast {incident['number']}] note added")
    assert "prompt was deleted" not in ticket.notes[1].text
    assert str(desk.status(ticket)) == str(desk.working_status)
    known = {"discovered_by": "Ann Alder", "discovery_method": "self_report"}
    await http.put(f"/v1/incidents/{incident['id']}/documentation/D02", json=known)
    await move(http, incident, "reject", disposition="false_positive")
    await courier().work_for(tenant.tenant_id)
    assert str(desk.status(ticket)) == str(desk.closed_status)
    assert {one["status"] for one in await deliveries(http, endpoint)} == {"delivered"}
    assert len(ticket.notes) == 2


@EVERY
@pytest.mark.parametrize("setting", ["reopen", "new_ticket", "note"])
async def test_a_ticket_that_was_closed_there_is_treated_as_wanted(
    http: httpx.AsyncClient, desk: Desk, courier: Winding, tenant: Any, setting: str
) -> None:
    await add(http, await connect(http, desk), desk, on_closed_ticket=setting)
    incident = await declared(http)
    await courier().work_for(tenant.tenant_id)
    first = only_ticket(desk)
    desk.set_status(first, desk.closed_status)
    await note(http, incident)
    await courier().work_for(tenant.tenant_id)
    if setting == "new_ticket":
        second = next(one for one in desk.tickets.values() if one is not first)
        assert len(desk.tickets) == 2
        assert (len(first.notes), len(second.notes)) == (1, 2)
        keys = [one["key"] for one in await references(http, incident)]
        assert len(keys) == 2
        await note(http, incident, "And another one.")
        await courier().work_for(tenant.tenant_id)
        assert (len(first.notes), len(second.notes)) == (1, 3)
    else:
        assert only_ticket(desk) is first
        assert len(first.notes) == 2
        wanted = desk.open_status if setting == "reopen" else desk.closed_status
        assert str(desk.status(first)) == str(wanted)


@EVERY
async def test_what_failed_is_done_once_in_the_end(
    http: httpx.AsyncClient, desk: Desk, courier: Winding, tenant: Any
) -> None:
    endpoint = await add(http, await connect(http, desk), desk, set_status=None)
    desk.answers, desk.headers = [429], {"Retry-After": "30"}
    incident = await declared(http)
    await courier().work_for(tenant.tenant_id)
    assert desk.tickets == {}
    (first,) = await deliveries(http, endpoint)
    wait = datetime.fromisoformat(first["next_attempt_at"]) - datetime.fromisoformat(first["attempted_at"])
    assert first["response_status"] == 429
    assert timedelta(seconds=29.9) < wait < timedelta(seconds=30.9)
    desk.lost = [500]
    await courier(seconds=31).work_for(tenant.tenant_id)
    ticket = only_ticket(desk)
    assert await references(http, incident) == []
    await courier(minutes=10).work_for(tenant.tenant_id)
    assert only_ticket(desk) is ticket
    (reference,) = await references(http, incident)
    assert desk.tickets[reference["id"]] is ticket
    await note(http, incident)
    desk.lost = [503]
    await courier(minutes=10).work_for(tenant.tenant_id)
    await courier(minutes=20).work_for(tenant.tenant_id)
    assert len(ticket.notes) == 2
    assert {one["status"] for one in await deliveries(http, endpoint)} == {"delivered"}


@EVERY
async def test_a_courier_that_dies_after_opening_a_ticket_leaves_one_ticket(
    http: httpx.AsyncClient, desk: Desk, courier: Winding, tenant: Any
) -> None:
    await add(http, await connect(http, desk), desk)
    incident = await declared(http)
    desk.talks.clear()
    working = asyncio.create_task(courier().work_for(tenant.tenant_id))
    await asyncio.wait_for(desk.done.wait(), 20)
    # What a process that is killed does not do any more: hear the answer, and record it.
    for task in asyncio.all_tasks():
        if getattr(task.get_coro(), "__qualname__", "") == "Courier._hold":
            task.cancel()
    await working
    desk.talks.set()
    ticket = only_ticket(desk)
    assert await references(http, incident) == []
    await courier().work_for(tenant.tenant_id)
    assert await references(http, incident) == []  # its lease has not ended
    await courier(seconds=61).work_for(tenant.tenant_id)
    assert only_ticket(desk) is ticket
    (reference,) = await references(http, incident)
    assert desk.tickets[reference["id"]] is ticket


@EVERY
async def test_who_we_are_there_is_learned_from_the_system(
    http: httpx.AsyncClient, desk: Desk, courier: Winding, tenant: Any
) -> None:
    connection = await connect(http, desk)
    await add(http, connection, desk)
    await declared(http)
    await courier().work_for(tenant.tenant_id)
    read = (await http.get(f"/v1/connections/{connection['id']}")).json()
    assert read["account"] == ACCOUNTS.get(desk.system)


@pytest.mark.parametrize("desk", [HaloPsa], indirect=True)
async def test_a_token_is_kept_until_it_is_refused(
    http: httpx.AsyncClient, desk: HaloPsa, courier: Winding, tenant: Any
) -> None:
    await add(http, await connect(http, desk), desk)
    one, before = courier(), desk.tokens
    await declared(http)
    await one.work_for(tenant.tenant_id)
    assert desk.tokens == before + 1
    desk.tokens += 1  # which ends the token that is kept
    await declared(http)
    await one.work_for(tenant.tenant_id)
    assert len(desk.tickets) == 2
    assert desk.tokens == before + 3
