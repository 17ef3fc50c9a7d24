"""A receiver that was away reads what it missed from the feed: all of it, and nothing twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from app.courier import Courier
from app.database import Database
from app.secrets import vault_of
from app.sequencer import Sequencer
from app.settings import Settings
from tests.people import report
from tests.receiver import Receiver, answer


async def test_a_receiver_that_was_down_for_a_day_catches_up_without_a_gap(
    http: httpx.AsyncClient, receiver: Receiver, database: Database, loopback: Settings, tenant: Any
) -> None:
    async def pass_hours(hours: int) -> None:
        ahead = timedelta(hours=hours)
        await Courier(database, loopback, vault_of(loopback), clock=lambda: datetime.now(UTC) + ahead).work_for(
            tenant.tenant_id
        )

    wanted = {"name": "SIEM", "url": receiver.url, "event_types": ["*"], "payload": "full"}
    assert (await http.post("/v1/webhook-endpoints", json=wanted)).status_code == 201
    await pass_hours(0)  # it takes its test
    first = await report(http)
    await pass_hours(0)
    known = {event["id"] for event in receiver.events}
    told = [event["log_index"] for event in receiver.events if event["stream"] == "incident"]
    assert told and None not in told, "the courier gives places where there are none"
    place = max(event["log_index"] or 0 for event in receiver.events)

    receiver.then = answer(503)
    for hour in range(0, 24, 6):
        await report(http, playbook="data-leakage")
        await http.post(f"/v1/incidents/{first['id']}/notes", json={"text": f"Hour {hour}"})
        await pass_hours(hour)

    await Sequencer(database).work_for(tenant.tenant_id)
    caught: list[dict[str, Any]] = []
    more = True
    while more:
        page = (await http.get("/v1/events", params={"after": place, "limit": 20})).json()
        caught, place, more = caught + page["items"], page["next_after"], page["has_more"]
    assert [event["log_index"] for event in caught] == list(range(caught[0]["log_index"], place + 1))
    assert not known & {event["id"] for event in caught}

    receiver.got.clear()
    receiver.then = answer()
    await pass_hours(48)
    late = {event["id"]: event for event in receiver.events}
    assert {event["id"]: event for event in caught if event["id"] in late} == late, "both say the same"
    assert late.keys() == {event["id"] for event in caught}, "what was refused is what the feed told"
