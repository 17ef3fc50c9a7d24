"""Subscriptions tell every change once, to those who may see it, and end in time for those who may not."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest

from api.graphql import sockets
from app.database import Database
from tests.api.places import Place
from tests.forged_tokens import forged_tokens
from tests.issuer import Issuer
from tests.people import add_person, report
from tests.sockets import BOARD, FOLLOW, console

DEEP = (
    "subscription { incidentChanged(id: 1) { incident " + "{ steps { actions { step" * 4 + "{ key }" + "}}}" * 4 + "}}"
)
WHOLE = BOARD % "incident { number status clients { name } steps { key } }"


@pytest.fixture
async def incident(http: httpx.AsyncClient) -> dict[str, Any]:
    return await report(http, playbook="data-leakage")


async def complete(http: httpx.AsyncClient, incident: dict[str, Any], action: str = "DL.1.1") -> None:
    url = f"/v1/incidents/{incident['id']}/actions/{action}/transitions"
    answer = await http.post(url, json={"transition": "complete"})
    assert answer.status_code == 200, answer.text


async def note(http: httpx.AsyncClient, incident: dict[str, Any], text: str = "Seen.") -> None:
    answer = await http.post(f"/v1/incidents/{incident['id']}/notes", json={"text": text})
    assert answer.status_code == 201, answer.text


def gone(incident: dict[str, Any]) -> dict[str, Any]:
    """What a board tells of an incident that left it."""
    return {"resync": False, "left": True, "incidentId": f"Incident:{incident['id']}", "incident": None}


async def seqs(http: httpx.AsyncClient, incident: dict[str, Any]) -> list[int]:
    page = await http.get(f"/v1/incidents/{incident['id']}/timeline", params={"limit": 200})
    return [one["seq"] for one in page.json()["items"]]


# -- what is told ------------------------------------------------------------------------------------------------------


async def test_a_change_made_by_one_server_is_told_by_another(
    http: httpx.AsyncClient, other_server: str, tenant: Any, incident: dict[str, Any]
) -> None:
    head = (await seqs(http, incident))[-1]
    async with console(other_server, tenant.key) as live:
        await live.subscribe(FOLLOW, {"id": incident["number"]})
        first = await live.told()
        assert (first["seq"], first["kind"], first["resync"], first["step"]) == (head, None, True, None)
        assert first["incident"]["number"] == incident["number"]
        await complete(http, incident)
        *_, told = await live.until("action.completed")
        assert told["action"] == {"key": "DL.1.1", "status": "done"}
        assert told["step"]["key"] == "DL.1"
        assert told["incident"]["version"] == 2


async def test_nothing_is_missing_between_two_sockets(
    http: httpx.AsyncClient, server: str, tenant: Any, incident: dict[str, Any]
) -> None:
    async with console(server, tenant.key) as live:
        await live.subscribe(FOLLOW, {"id": incident["id"]})
        seen = (await live.told())["seq"]
    for number in range(25):  # more than is read at once
        await note(http, incident, f"Note {number}.")
    async with console(server, tenant.key) as live:
        await live.subscribe(FOLLOW, {"id": incident["id"], "after": seen})
        first = await live.told()
        assert (first["seq"], first["resync"]) == (seen, True)
        found = [(await live.told())["seq"] for _ in range(25)]
        await complete(http, incident)
        found += [one["seq"] for one in await live.until("action.completed")]
    assert found == list(range(seen + 1, found[-1] + 1))
    assert found[-1] in await seqs(http, incident)


async def test_a_place_that_the_timeline_never_reached_begins_at_its_end(
    http: httpx.AsyncClient, server: str, tenant: Any, incident: dict[str, Any]
) -> None:
    async with console(server, tenant.key) as live:
        await live.subscribe(FOLLOW, {"id": incident["id"], "after": 1_000})
        assert (await live.told())["seq"] == (await seqs(http, incident))[-1]


async def test_writers_at_the_same_time_are_all_told_in_order(
    http: httpx.AsyncClient, server: str, other_server: str, tenant: Any, incident: dict[str, Any]
) -> None:
    async with console(server, tenant.key) as one, console(other_server, tenant.key) as two:
        for live in (one, two):
            await live.subscribe(FOLLOW, {"id": incident["id"]})
        seen = (await one.told())["seq"]
        assert (await two.told())["seq"] == seen
        await asyncio.gather(*(note(http, incident, f"Note {number}.") for number in range(40)))
        wanted = list(range(seen + 1, seen + 41))
        assert [(await one.told())["seq"] for _ in wanted] == wanted
        assert [(await two.told())["seq"] for _ in wanted] == wanted


async def test_the_ordinary_executor_says_the_same(
    http: httpx.AsyncClient, server: str, tenant: Any, incident: dict[str, Any]
) -> None:
    inner = "seq kind incident { number steps { id key viewerCan { transition permit } } } step { key status }"
    exact = f"subscription S($id: ID!) {{ incidentChanged(id: $id) {{ {inner} }} }}"
    other = exact.replace("{ number", "{ __typename number @include(if: true)")
    async with console(server, tenant.key) as live:
        await live.subscribe(exact, {"id": incident["id"]}, "1")
        first = await live.told("1")
        await live.subscribe(other, {"id": incident["id"]}, "2")
        same = await live.told("2")
        assert same["incident"].pop("__typename") == "Incident"
        assert first == same
        await note(http, incident)
        both = {}
        for _ in range(2):
            message = await live.hear()
            both[message["id"]] = message["payload"]["data"]["incidentChanged"]
        assert both["2"]["incident"].pop("__typename") == "Incident"
        assert both["1"] == both["2"]


async def test_a_board_tells_what_changed_and_what_left_its_filter(
    http: httpx.AsyncClient, other_server: str, tenant: Any
) -> None:
    async with console(other_server, tenant.key) as live:
        await live.subscribe(WHOLE, {"filter": {"status": ["reported"]}})
        assert await live.told() == {"resync": True, "left": False, "incidentId": None, "incident": None}
        made = await report(http)
        told = await live.told()
        assert (told["incident"]["number"], told["incident"]["status"]) == (made["number"], "reported")
        answer = await http.post(f"/v1/incidents/{made['id']}/transitions", json={"transition": "acknowledge"})
        assert answer.status_code == 200
        told = await live.told()
        assert told == gone(made)


async def test_a_write_that_commits_late_is_not_skipped(
    http: httpx.AsyncClient, server: str, tenant: Any, database: Database, incident: dict[str, Any]
) -> None:
    """The late one has an older transaction and an older number than the one that was told before."""
    from app.events import append
    from domain.actors import Actor

    late = await report(http)
    actor = Actor(kind="person", id=tenant.person_id, roles=frozenset())
    async with console(server, tenant.key) as live:
        await live.subscribe(BOARD % "", {})
        assert (await live.told())["resync"]
        async with database.transaction(tenant.tenant_id) as db:
            await append(db, "incident", late["id"], "note.added", {"text": "late"}, actor=actor)
            await note(http, incident)
            assert (await live.told())["incidentId"] == f"Incident:{incident['id']}"
        assert (await live.told())["incidentId"] == f"Incident:{late['id']}"


async def test_a_board_ends_with_the_last_state_of_everything(
    http: httpx.AsyncClient, server: str, other_server: str, tenant: Any
) -> None:
    made = [await report(http) for _ in range(8)]

    async def edit(incident: dict[str, Any]) -> int:
        for number in range(8):
            url = f"/v1/incidents/{incident['id']}"
            answer = await http.patch(url, json={"labels": [f"label-{number}"]})
            assert answer.status_code == 200, answer.text
        found: int = answer.json()["version"]
        return found

    async with console(server, tenant.key) as one, console(other_server, tenant.key) as two:
        for live in (one, two):
            await live.subscribe(BOARD % "incident { number version }")
            assert (await live.told())["resync"]
        last = dict(zip([each["number"] for each in made], await asyncio.gather(*map(edit, made)), strict=True))
        for live in (one, two):
            found: dict[str, int] = {}
            while found != last:
                told = (await live.told())["incident"]
                assert told["version"] >= found.get(told["number"], 0)
                found[told["number"]] = told["version"]


async def test_a_reader_that_is_too_slow_is_closed(
    http: httpx.AsyncClient, server: str, tenant: Any, incident: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "SEND_SECONDS_MAX", 0.5)
    steps = "steps { id title summary actions { id text inputs viewerCan { transition } } }"
    query = f'subscription {{ incidentChanged(id: "{incident["id"]}") {{ seq incident {{ {steps} }} }} }}'
    async with console(server, tenant.key, max_queue=1) as slow, console(server, tenant.key) as other:
        await other.subscribe(FOLLOW, {"id": incident["id"]})
        seen = (await other.told())["seq"]
        for number in range(20):
            await slow.subscribe(query, {}, str(number))
        for number in range(15):
            await note(http, incident, f"Note {number}.")
        assert [(await other.told())["seq"] for _ in range(15)] == list(range(seen + 1, seen + 16))
        await asyncio.sleep(1.5)
        assert await slow.closed() == 4413


# -- who is told -------------------------------------------------------------------------------------------------------


async def test_a_board_shows_nobody_elses_incidents(
    http: httpx.AsyncClient, server: str, tenant: Any, database: Database
) -> None:
    from app.tenants import create_tenant

    stranger = await create_tenant(database, "Somebody else")
    reader = await add_person(database, tenant.tenant_id)
    headers = {"Authorization": f"Bearer {reader.key}"}
    async with console(server, stranger.key) as other, console(server, reader.key) as own:
        for live in (other, own):
            await live.subscribe(BOARD % "incident { number }", {})
            assert (await live.told())["resync"]
        await report(http)
        mine = await report(http, headers=headers)
        theirs = await report(http, headers={"Authorization": f"Bearer {stranger.key}"})
        assert (await own.told())["incident"]["number"] == mine["number"]
        assert (await other.told())["incidentId"] == f"Incident:{theirs['id']}"


async def test_a_key_of_one_client_sees_its_incidents_alone(
    http: httpx.AsyncClient, server: str, tenant: Any, database: Database
) -> None:
    clients = [(await http.post("/v1/clients", json={"name": name})).json()["id"] for name in ("North", "South")]
    person = await add_person(database, tenant.tenant_id, "auditor")
    async with database.transaction(tenant.tenant_id) as db:
        await db.execute("update api_keys set client_ids = $2 where person_id = $1", person.id, clients[:1])
    hidden = await report(http, client_ids=clients)
    shown = await report(http, client_ids=clients[:1])
    async with console(server, person.key) as live:
        await live.subscribe(FOLLOW, {"id": hidden["id"]}, "hidden")
        assert (await live.hear())["payload"][0]["extensions"]["code"] == "not-found"
        await live.subscribe(WHOLE, {}, "board")
        assert (await live.told("board"))["resync"]
        await note(http, hidden)
        await note(http, shown)
        assert (await live.told("board"))["incidentId"] == f"Incident:{shown['id']}"
        await live.send(type="complete", id="board")
        await live.subscribe(FOLLOW, {"id": shown["id"]}, "shown")
        assert (await live.told("shown"))["resync"]
        answer = await http.patch(f"/v1/incidents/{shown['id']}", json={"client_ids": clients})
        assert answer.status_code == 200, answer.text
        message = await live.hear()
        assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "not-found")


@pytest.mark.parametrize("selected", ["incident { number }", ""])
async def test_a_board_tells_what_is_out_of_sight_and_nothing_that_never_was_in_it(
    http: httpx.AsyncClient, server: str, tenant: Any, database: Database, selected: str
) -> None:
    north, south = [(await http.post("/v1/clients", json={"name": name})).json()["id"] for name in ("North", "South")]
    person = await add_person(database, tenant.tenant_id, "auditor")
    async with database.transaction(tenant.tenant_id) as db:
        await db.execute("update api_keys set client_ids = $2 where person_id = $1", person.id, [north])
    before = await report(http, client_ids=[north])
    hidden = await report(http, client_ids=[south])

    async def move(incident: dict[str, Any], *clients: str) -> None:
        answer = await http.patch(f"/v1/incidents/{incident['id']}", json={"client_ids": list(clients)})
        assert answer.status_code == 200, answer.text

    async with console(server, person.key) as live:
        await live.subscribe(BOARD % selected, {})
        assert (await live.told())["resync"]
        await note(http, hidden)
        await move(before, south)
        assert {**(await live.told()), "incident": None} == gone(before)
        await note(http, before)  # which is none of the caller's business any more
        await move(hidden, north)
        told = await live.told()
        assert (told["incidentId"], told["left"]) == (f"Incident:{hidden['id']}", False)
        await move(hidden, north, south)
        assert {**(await live.told()), "incident": None} == gone(hidden)
        last = await report(http, client_ids=[north])
        told = await live.told()
        assert (told["incidentId"], told["left"]) == (f"Incident:{last['id']}", False)


async def test_another_tenants_incident_is_not_found(server: str, database: Database, incident: dict[str, Any]) -> None:
    from app.tenants import create_tenant

    stranger = await create_tenant(database, "Somebody else")
    async with console(server, stranger.key) as live:
        await live.subscribe(FOLLOW, {"id": incident["id"]})
        message = await live.hear()
        assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "not-found")


async def test_a_revoked_key_is_cut_off(http: httpx.AsyncClient, server: str, tenant: Any, database: Database) -> None:
    person = await add_person(database, tenant.tenant_id, "auditor")
    idle, busy = console(server, person.key), console(server, person.key)
    async with idle as one, busy as two:
        await two.subscribe(WHOLE, {})
        assert (await two.told())["resync"]
        async with database.transaction(tenant.tenant_id) as db:
            await db.execute("update api_keys set revoked_at = now() where person_id = $1", person.id)
        async with asyncio.timeout(5):
            assert [await one.closed(), await two.closed()] == [4403, 4403]


async def test_a_demotion_ends_the_socket(server: str, tenant: Any, database: Database) -> None:
    person = await add_person(database, tenant.tenant_id, "auditor")
    async with console(server, person.key) as live:
        await live.subscribe(WHOLE, {})
        assert (await live.told())["resync"]
        async with database.transaction(tenant.tenant_id) as db:
            await db.execute("update people set roles = '{}' where id = $1", person.id)
        async with asyncio.timeout(5):
            assert await live.closed() == 4415


# -- access tokens -----------------------------------------------------------------------------------------------------


async def test_a_token_opens_a_socket_until_it_expires(
    believing: str, place: Place, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = int(time.time())
    lasting, short = issuer.token(), issuer.token(exp=now + 3, iat=now - 60)
    monkeypatch.setattr(sockets, "LEEWAY_SECONDS", 0)
    async with console(believing, lasting) as one, console(believing, short) as two:
        for live in (one, two):
            await live.subscribe(WHOLE)
            assert (await live.told())["resync"]
        assert await two.closed() == 4403
        await one.send(type="ping")
        assert await one.hear() == {"type": "pong"}


async def test_forged_tokens_open_no_socket(believing: str, place: Place, issuer: Issuer) -> None:
    forged = forged_tokens(issuer, "ann")
    assert len(forged) >= 30

    async def code(text: str) -> int:
        async with console(believing) as live:
            await live.send(type="connection_init", payload={"Authorization": f"Bearer {text}"})
            return await live.closed()

    assert {name: found for name, text in forged.items() if (found := await code(text)) != 4403} == {}
