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
from tests.api.crew import crew, refusals
from tests.api.walker import Walker

pytestmark = pytest.mark.timeout(120)
SLUGS = catalogue().slugs()
ALL_ROLES = tuple(sorted(CONTENT))


@pytest.fixture
async def team(
    http: httpx.AsyncClient, server: str, database: Database, tenant: Any
) -> AsyncIterator[tuple[list[httpx.AsyncClient], list[str]]]:
    """People who hold every role that works on incidents: a writer, and as many as a rule asks of different persons."""
    roles = dict.fromkeys(("ann", "bob", "cyd", "dee"), ALL_ROLES)
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


@pytest.mark.parametrize("loud", [False, True], ids=["all-answers-no", "all-answers-yes"])
@pytest.mark.parametrize("slug", SLUGS)
async def test_a_playbook_is_walked_from_report_to_closed(
    http: httpx.AsyncClient, team: Any, database: Database, tenant: Any, slug: str, loud: bool
) -> None:
    people, ids = team
    walker = Walker(people, ids, await shown(http, slug), loud=loud)
    await walker.report(people[0])
    assert_closed(await walker.walk())
    assert (await check_tenant(database, tenant.tenant_id))["faults"] == []
    assert await refusals(walker.all[0]) == set()
