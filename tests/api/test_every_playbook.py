"""It walks every playbook of the catalogue from report to closed, and is refused by every gate on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.database import Database
from app.rebuild import check_tenant
from domain.glossary import CONTENT
from domain.playbooks import catalogue
from domain.tools import STATUS_OF
from tests.api.crew import crew, exceptions, refusals
from tests.api.gate_probe import GENERAL, Gates
from tests.api.test_walk import WHY
from tests.api.walker import Walker, actions_in, is_open, permits, run_of

pytestmark = pytest.mark.timeout(120)
SLUGS = catalogue().slugs()
ALL_ROLES = tuple(sorted(CONTENT))
BOOKS = {slug: book for slug in SLUGS if (book := catalogue().get(slug)) is not None}
EXTENDS = {slug: book.extends for slug, book in BOOKS.items()}
ACTIONS = {slug: book.actions for slug, book in BOOKS.items()}
DECISIONS = sorted(
    {(a.id, outcome) for book in BOOKS.values() for a in book.actions.values() if a.decides for outcome in a.outcomes}
)
TOOLS = [{"name": "ExampleChat", "identification": "identified"}]
Team = tuple[list[httpx.AsyncClient], list[str]]


@pytest.fixture
async def team(http: httpx.AsyncClient, server: str, database: Database, tenant: Any) -> AsyncIterator[Team]:
    """People who hold every role that works on incidents: a writer, and as many as a rule asks of different persons."""
    roles = dict.fromkeys(("ann", "bob", "cyd", "dee"), ALL_ROLES)
    # Bob takes the manager's seat of a review before anybody takes the others: so each gate on a text speaks.
    roles["bob"] = tuple(role for role in ALL_ROLES if role not in ("communications", "legal_counsel"))
    async with crew(server, database, tenant.tenant_id, **roles) as found:
        yield list(found.calls.values()), [found.id_of(name) for name in found.calls]


async def shown(http: httpx.AsyncClient, slug: str) -> dict[str, Any]:
    """The playbook as a caller reads it."""
    answer = await http.get(f"/v1/playbooks/{slug}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["resolved"]
    return found


def assert_closed(record: dict[str, Any]) -> None:
    assert record["status"] == "closed"
    assert {step["status"] for step in record["steps"]} == {"completed"}
    assert {item["state"] for item in record["documentation"]} <= {"complete", "not_applicable"}
    left = [a["id"] for s in record["steps"] for a in s["actions"] if a["status"] not in ("done", "not_applicable")]
    assert left == []


@pytest.mark.parametrize("slug", SLUGS)
async def test_a_playbook_is_walked_from_report_to_closed(
    http: httpx.AsyncClient, team: Team, database: Database, tenant: Any, slug: str
) -> None:
    people, ids = team
    walker = Walker(people, ids, await shown(http, slug))
    await walker.report(people[0])
    assert_closed(await walker.walk())
    assert (await check_tenant(database, tenant.tenant_id))["faults"] == []
    assert await refusals(walker.all[0]) == set()


@pytest.mark.parametrize(("action", "outcome"), DECISIONS)
async def test_a_tool_is_decided_on_in_each_way(http: httpx.AsyncClient, team: Team, action: str, outcome: str) -> None:
    people, ids = team
    slug = next(slug for slug in SLUGS if not EXTENDS[slug] and action in ACTIONS[slug])
    walker = Walker(people, ids, await shown(http, slug), outcomes={action: outcome})
    await walker.report(people[0])
    record = await walker.walk()
    assert_closed(record)
    assert run_of(record, {"id": action})["outcome"] == outcome
    tools = (await people[0].get("/v1/tools")).json()["items"]
    assert [tool["status"] for tool in tools] == [STATUS_OF[outcome]]


@pytest.mark.parametrize("slug", SLUGS)
async def test_every_gate_refuses_on_the_way_and_the_walk_still_closes(
    http: httpx.AsyncClient, team: Team, slug: str
) -> None:
    people, ids = team
    walker = Walker(people, ids, await shown(http, slug), loud=True)
    await walker.report(people[0], ai_systems=TOOLS)
    gates = Gates(walker)
    await gates.write_early()
    await gates.refuse_what_no_verdict_tells()
    walker.probe = gates.probe
    assert_closed(await walker.walk())
    wanted = {g["id"] for g in walker.book["gates"] if g.get("when")} | GENERAL
    if all(action["type"] != "evidence" for action in walker.actions.values()):
        wanted -= {"G-ALL-3"}
    assert gates.refused >= wanted, f"never refused: {sorted(wanted - gates.refused)}"
    assert await refusals(walker.all[0]) >= wanted - gates.untold


@pytest.mark.parametrize("slug", SLUGS)
async def test_a_gate_that_may_be_overridden_is_and_shows_as_an_exception(
    http: httpx.AsyncClient, team: Team, slug: str
) -> None:
    people, ids = team
    book = await shown(http, slug)
    walker = Walker(people, ids, book)
    await walker.report(people[0], ai_systems=TOOLS)
    me, second = walker.all[0], book["steps"][1]["id"]
    assert {g["id"] for g in book["gates"] if g.get("override_role")} == {"G-ALL-1", "G-ALL-4", "G-ALL-11"}
    await walker.work(second)
    await walker.decide_duties()
    complete = {"transition": "complete", "overrides": [{"gate": "G-ALL-1", "reason": WHY}]}
    await me.ok("POST", f"/steps/{second}/transitions", complete)
    skippable = next(
        run["id"]
        for run in actions_in(await walker.read())
        if is_open(run) and permits(run["allowed_transitions"]).get("skip") == "allowed"
    )
    await me.ok("POST", f"/actions/{skippable}/transitions", {"transition": "skip", "reason": WHY})
    assert {("override", "G-ALL-1"), ("skip", "G-ALL-4")} <= set(await exceptions(me))
