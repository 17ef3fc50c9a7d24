"""The criteria over HTTP: all of them, what cites them, and the crosswalk both ways."""

from __future__ import annotations

import csv
import io
from typing import Any

import httpx

from domain.playbooks import catalogue


async def found(http: httpx.AsyncClient, query: str = "") -> list[dict[str, Any]]:
    answer = await http.get(f"/v1/controls{query}")
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_all_33_criteria_are_read_with_what_an_auditor_asks(http: httpx.AsyncClient) -> None:
    items = await found(http)
    assert len(items) == 33
    triage = next(item for item in items if item["id"] == "CC7.3")
    assert (triage["title"], triage["mark"], triage["coso"]) == ("Events evaluated: is it an incident?", "cited", None)
    assert triage["audit"]["timeliness"] == "SLA of evaluate steps"
    assert triage["crosswalk"]["iso_27001_2022"] == ["A.5.25"]
    assert items[0] | {"steps": []} == {
        "id": "CC1.1", "title": "Integrity and ethical values", "coso": 1, "mark": "none",
        "audit": None, "crosswalk": {}, "steps": [],
    }  # fmt: skip
    assert (await http.get("/v1/controls/CC7.3")).json() == triage
    assert (await http.get("/v1/controls/CC9.9")).status_code == 404


async def test_every_step_that_cites_a_criterion_is_named_by_it(http: httpx.AsyncClient) -> None:
    told = {
        (step["playbook"], step["step_id"], item["id"], step["mark"])
        for item in await found(http)
        for step in item["steps"]
    }
    wanted = {
        (playbook.slug, step.id, control, mark)
        for slug in catalogue().slugs()
        if (playbook := catalogue().get(slug))
        for step in playbook.steps
        for mark, named in (("cited", step.controls), ("suggested", step.controls_suggested))
        for control in named
    }
    assert told == wanted
    assert ("data-leakage", "DL.2", "CC7.3", "cited") in told


async def test_the_crosswalk_is_read_backwards_and_filters_combine(http: httpx.AsyncClient) -> None:
    query = "?framework=iso_27001_2022&reference=A.5.20"
    assert [item["id"] for item in await found(http, query)] == ["CC2.3", "CC9.2"]
    assert [item["id"] for item in await found(http, query + "&playbook=data-leakage")] == ["CC2.3"]
    assert [item["id"] for item in await found(http, "?mark=added")] == ["CC7.2", "CC7.5"]
    assert await found(http, "?playbook=nothing") == []
    refused = await http.get("/v1/controls?reference=A.5.20")
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/query/reference")


async def test_the_crosswalk_is_a_spreadsheet(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/controls", headers={"Accept": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 33
    assert next(row["gdpr"] for row in rows if row["id"] == "CC2.3") == "33; 34"
