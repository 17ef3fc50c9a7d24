"""`viewerCan` against what the call answers, in states that are come to by chance and for persons of several roles."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import httpx
import pytest

from app.database import Database
from tests.api.crew import crew
from tests.api.test_graph import ask
from tests.api.test_graph_refusals import ANSWERS, EVERYTHING, TRANSITIONS, WHY, _offers, do
from tests.people import report

pytestmark = pytest.mark.timeout(180)
ROLES = {
    "ann": ("risk_owner", "security_lead", "it_security", "legal_counsel"),
    "bob": ("legal_counsel", "executive_leadership"),
    "cyd": ("auditor",),
    "dee": ("security_lead", "it_security"),
}
CALLS = 160
ALLOWED = {"Success", "InvalidInput"}
"""What an offer that is allowed comes to: it is done, or says which of its inputs are not there yet."""


async def call(by: httpx.AsyncClient, incident: str, kind: str, thing: str, transition: str) -> str:
    """What a transition answers: the type, without the name of its mutation."""
    mutation = TRANSITIONS[transition if transition in TRANSITIONS else kind]
    filled = mutation % transition if "%s" in mutation else mutation
    needed = {"incident": incident, "thing": thing, "why": WHY}
    told = await do(by, filled, **{key: value for key, value in needed.items() if f"${key}" in filled})
    name = str(told["__typename"])
    return "Success" if name.endswith("Success") else name


@pytest.mark.parametrize("seed", [1, 2])
async def test_an_offer_is_what_the_call_answers(
    http: httpx.AsyncClient, server: str, database: Database, tenant: Any, seed: int
) -> None:
    dice, met = random.Random(seed), Counter[str]()
    async with crew(server, database, tenant.tenant_id, **ROLES) as people:
        callers = list(people.calls.values())
        made = await report(callers[0], playbook="data-leakage")
        draft = {"kind": "internal", "audience": "security", "channel": "e-mail", "recipients": ["a@msp.example"]}
        told = await callers[0].post(
            f"/v1/incidents/{made['id']}/notifications", json={**draft, "subject": "Data", "body": "It is contained."}
        )
        assert told.status_code == 201, told.text
        for _ in range(CALLS):
            by = dice.choice(callers)
            shown = (await ask(by, EVERYTHING, id=made["id"]))["data"]["incident"]
            offers = _offers(shown)
            permit = dice.choice(("allowed", *ANSWERS))
            kind, thing, offer = dice.choice([one for one in offers if one[2]["permit"] == permit] or offers)
            if offer["transition"] == "reject" and dice.random() < 0.9:
                continue  # most walks would end with it
            answered = await call(by, made["id"], kind, thing, offer["transition"])
            expected = ALLOWED if offer["permit"] == "allowed" else ANSWERS[offer["permit"]]
            assert answered in expected, (kind, thing, offer, answered)
            met[f"{kind} {offer['permit']} {answered}"] += 1
    assert {"action allowed Success", "step gate GateRefused", "incident state StateConflict"} <= set(met), met
    assert len(met) > 10, met
