"""What a tenant with one of everything was told is what the catalogue says, and what the document promises."""

from __future__ import annotations

from typing import Any

import httpx
from fastapi import FastAPI

from app.database import Database
from app.sequencer import Sequencer
from domain.event_types import TYPES
from tests.catalogued import misfits
from tests.surface.prepared import Prepared


async def test_every_event_is_one_of_the_catalogue(
    database: Database, ours: Prepared, anybody: httpx.AsyncClient
) -> None:
    await Sequencer(database).work_for(ours.tenant_id)
    found: list[dict[str, Any]] = []
    after, more = 0, True
    while more:
        page = await anybody.get("/v1/events", params={"after": after, "limit": 200}, headers=ours.boss.headers)
        assert page.status_code == 200, page.text
        found, after, more = found + page.json()["items"], page.json()["next_after"], page.json()["has_more"]
    assert len({event["type"] for event in found}) > 20
    assert misfits(found) == []


async def test_the_catalogue_can_be_read(ours: Prepared, anybody: httpx.AsyncClient) -> None:
    answer = await anybody.get("/v1/event-types", headers=ours.boss.headers)
    assert [one["type"] for one in answer.json()["items"]] == list(TYPES)


def test_the_document_has_a_webhook_for_each_type(api: FastAPI) -> None:
    told = api.openapi()["webhooks"]
    assert told.keys() == TYPES.keys()
    schema = told["step.completed"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema["allOf"][1]["properties"]["type"] == {"const": "step.completed"}
