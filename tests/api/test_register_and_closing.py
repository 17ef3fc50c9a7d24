"""No incident closes without the register: a revision of its primary risk, or the stated reason for none."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.risk_calls import made, revise
from tests.api.test_show import alone, opened
from tests.api.test_walk import WHY, Caller, assess, contain, decide, remedy, review

pytestmark = pytest.mark.timeout(180)
SIGN: dict[str, Any] = {"statement": "All is done.", "overrides": [alone()]}


async def all_but_the_register(http: httpx.AsyncClient) -> Caller:
    """Everything that `data-leakage` asks for, the register left out, done by the only person of the provider."""
    me = await opened(http)
    myself = (await http.get("/v1/me")).json()["id"]
    await contain(me)
    await assess(me)
    await decide(me)
    await me.step("DL.3")
    await remedy(me)
    await me.act("DL.4.3")
    await me.step("DL.4")
    await review(me, myself)
    await me.ok("PUT", "/documentation/D02", {"discovered_by": myself, "discovery_method": "self_report"})
    await me.ok("PATCH", "", {"person_concerned": "person", "person_concerned_id": myself})
    return me


async def test_closing_waits_for_the_register_and_takes_no_change_with_a_reason(http: httpx.AsyncClient) -> None:
    me = await all_but_the_register(http)
    number = me.base.rpartition("/")[2]

    async def is_refused_for_d10() -> None:
        refused = await me.refused("POST", "/sign-off", SIGN)
        assert refused["code"] == "documentation-incomplete", refused
        assert {missing["ref"] for missing in refused["missing"] if missing["kind"] == "document"} == {"D10"}
        assert (await me.ok("GET", ""))["status"] == "post_incident"

    await is_refused_for_d10()
    # Nothing else satisfies it: another risk, a revision that cites nothing, a proposal that nobody accepted.
    await made(http, "AR-005", incident_id=number)
    await made(http, "AR-001")
    await made(http, "AR-001", incident_id=number, proposed_only=True)
    assert (await revise(http, "AR-001", incident_id=number, reason=" ")).status_code == 422
    await is_refused_for_d10()

    revision = await made(http, "AR-001", incident_id=number, decision="no_change", reason=WHY)
    assert (revision["decision"], revision["reason"], revision["cause"]) == ("no_change", WHY, "incident")
    closed = await me.ok("POST", "/sign-off", SIGN)
    assert closed["status"] == "closed"
    documented = next(item for item in await listed(me) if item["id"] == "D10")
    assert (documented["state"], documented["value"]["no_change"]) == ("complete", True)
    assert documented["value"]["revision_id"] == revision["id"]


async def listed(me: Caller) -> list[dict[str, Any]]:
    answer = await me.http.get(f"{me.base}/documentation")
    items: list[dict[str, Any]] = answer.json()
    return items
