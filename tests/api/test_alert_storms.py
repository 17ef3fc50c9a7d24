"""Many alerts, in any order: one incident for one cause, the same end whatever came first, a queue of unknown names."""

from __future__ import annotations

import asyncio
from itertools import permutations
from random import Random
from typing import Any

import httpx
import pytest

TRIGGER = {"event_action": "trigger", "dedup_key": "k", "title": "It leaks", "occurred_at": "2026-11-20T08:00:00Z"}
UPDATE = {"event_action": "update", "dedup_key": "k", "title": "It still leaks", "occurred_at": "2026-11-20T09:00:00Z"}
NOTE = {"event_action": "note", "dedup_key": "k", "note": "We look at it.", "occurred_at": "2026-11-20T08:30:00Z"}
RESOLVE = {"event_action": "resolve", "dedup_key": "k", "occurred_at": "2026-11-20T10:00:00Z"}


class Sender:
    """A system that sends to one source."""

    def __init__(self, stranger: httpx.AsyncClient, source: dict[str, Any]) -> None:
        self.http = stranger
        self.id = source["id"]
        self.path = "/hooks/" + source["hook_url"].rsplit("/", 1)[1]

    async def tell(self, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self.http.post(self.path, json=body)
        assert answer.status_code == 202, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
def add(http: httpx.AsyncClient, stranger: httpx.AsyncClient) -> Any:
    async def add_source(**given: Any) -> Sender:
        answer = await http.post("/v1/sources", json={"name": "Alerts", "system": "generic", **given})
        assert answer.status_code == 201, answer.text
        return Sender(stranger, answer.json())

    return add_source


async def only(http: httpx.AsyncClient) -> dict[str, Any]:
    items = (await http.get("/v1/incidents")).json()["items"]
    assert len(items) == 1
    found: dict[str, Any] = (await http.get(f"/v1/incidents/{items[0]['id']}")).json()
    return found


async def texts(http: httpx.AsyncClient, incident_id: str) -> list[str]:
    items = (await http.get(f"/v1/incidents/{incident_id}/timeline?limit=200")).json()["items"]
    return [str(event["data"].get("text")) for event in items if event["kind"] == "note.added"]


ORDERS = [
    pytest.param(order, id="-".join(one["event_action"] for one in order))
    for order in permutations([TRIGGER, NOTE, RESOLVE])
]


@pytest.mark.parametrize("order", ORDERS)
async def test_any_order_ends_alike(order: tuple[dict[str, Any], ...], http: httpx.AsyncClient, add: Any) -> None:
    sender = await add()
    for body in order:
        await sender.tell(body)
        assert (await sender.tell(body))["result"] in ("duplicate", "ignored")
    found = await only(http)
    assert (found["title"], found["status"]) == ("It leaks", "reported")
    assert found["close_asked"]["external_id"] == "k"
    assert found["discovered_at"] == "2026-11-20T08:00:00.000000Z"
    assert [text for text in await texts(http, found["id"]) if "We look at it." in text] != []
    kept = (await http.get(f"/v1/sources/{sender.id}/deliveries")).json()["items"]
    assert {one["incident_id"] for one in kept} == {found["id"]}
    assert {one["result"] for one in kept} <= {"created", "noted"}


async def test_an_end_that_is_older_than_the_beginning_ends_nothing(http: httpx.AsyncClient, add: Any) -> None:
    sender = await add()
    await sender.tell({**RESOLVE, "occurred_at": "2026-11-20T07:00:00Z"})
    await sender.tell(TRIGGER)
    assert (await only(http))["close_asked"] is None


async def test_shuffled_and_repeated_tickets_end_as_in_order(http: httpx.AsyncClient, add: Any) -> None:
    random, sender = Random(5), await add()
    bodies = [{**one, "dedup_key": f"t-{ticket}"} for ticket in range(8) for one in (TRIGGER, UPDATE, NOTE, RESOLVE)]
    bodies += [body for body in bodies for _ in range(random.randrange(3))]
    random.shuffle(bodies)
    for start in range(0, len(bodies), 6):
        await asyncio.gather(*(sender.tell(body) for body in bodies[start : start + 6]))
    items = (await http.get("/v1/incidents?limit=50")).json()["items"]
    assert len(items) == 8
    for item in items:
        found = (await http.get(f"/v1/incidents/{item['id']}")).json()
        assert (found["title"], found["close_asked"] is not None) == ("It still leaks", True)


async def test_a_storm_is_one_incident_and_a_short_timeline(http: httpx.AsyncClient, add: Any) -> None:
    sender = await add()
    alerts = [{**TRIGGER, "dedup_key": f"a-{n}", "correlation_key": "bucket"} for n in range(100)]
    first = await sender.tell(alerts[0])
    assert first["result"] == "created"
    for start in range(1, 100, 11):
        answers = await asyncio.gather(*(sender.tell(body) for body in alerts[start : start + 11]))
        assert {one["result"] for one in answers} == {"noted"}
        assert {one["incident"]["number"] for one in answers} == {"INC-1001"}
    assert (await sender.tell(alerts[40]))["result"] == "duplicate"
    found = await only(http)
    told = await texts(http, found["id"])
    assert len(told) == 9 + 3  # each of the first ten, then 16, 32 and 64
    assert "64 since " in " ".join(told)
    other = await sender.tell({**TRIGGER, "dedup_key": "b-1", "correlation_key": "another"})
    assert other["result"] == "created"
    separate = await add(limits={"correlation_seconds": 0})
    assert [(await separate.tell(body))["result"] for body in alerts[:2]] == ["created", "created"]


async def test_an_alert_that_fires_on_and_on_is_counted(http: httpx.AsyncClient, add: Any) -> None:
    sender = await add()
    for minute in range(40):
        told = await sender.tell({**TRIGGER, "occurred_at": f"2026-11-20T08:{minute:02}:00Z"})
        assert told["incident"]["number"] == "INC-1001"
    found = await only(http)
    assert len(await texts(http, found["id"])) < 16
    worse = await sender.tell({**TRIGGER, "severity_hint": "critical", "occurred_at": "2026-11-20T09:00:00Z"})
    assert worse["result"] == "updated"


async def test_our_own_note_comes_back_and_changes_nothing(http: httpx.AsyncClient, add: Any) -> None:
    first = await add()
    second = await add(name="Second", instance=first.id, limits={"own_authors": ["holdfast-api"]})
    told = await first.tell(TRIGGER)
    path = f"/v1/incidents/{told['incident']['id']}"
    before = (await http.get(path)).json()
    echo = {**NOTE, "note": "INC-1001 was opened.", "author": {"id": "holdfast-api"}}
    assert (await second.tell(echo))["because"] == "It is our own doing, which comes back."
    assert (await second.tell({**TRIGGER, "dedup_key": "other", "author": "holdfast-api"}))["result"] == "ignored"
    assert {**(await http.get(path)).json(), "server_time": None} == {**before, "server_time": None}
    assert (await second.tell({**NOTE, "author": {"id": "somebody"}}))["incident"] == told["incident"]
    assert len((await http.get("/v1/incidents")).json()["items"]) == 1


async def test_names_without_a_meaning_wait_for_people(http: httpx.AsyncClient, add: Any) -> None:
    client = (await http.post("/v1/clients", json={"name": "Example Client Ltd"})).json()
    everybody = (await http.post("/v1/clients", json={"name": "Not known yet"})).json()
    sender = await add(default_client_id=everybody["id"])
    for n in range(3):
        told = await sender.tell({**TRIGGER, "dedup_key": f"c-{n}", "company": {"id": "21", "name": "Example"}})
        assert "not known here" in told["because"]
    path = f"/v1/sources/{sender.id}/unmapped-clients"
    (item,) = (await http.get(path)).json()["items"]
    assert (item["external_id"], item["name"], item["incidents"]) == ("21", "Example", 3)
    assert item["incident_id"] == told["incident"]["id"]
    found = (await http.get(f"/v1/incidents/{told['incident']['id']}")).json()
    assert found["client_ids"] == [everybody["id"]]
    given = {"client_map": {"21": client["id"]}}
    assert (await http.patch(f"/v1/sources/{sender.id}", json=given)).status_code == 200
    assert (await http.get(path)).json()["items"] == []
