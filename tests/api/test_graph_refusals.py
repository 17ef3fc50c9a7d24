"""Each way in which a mutation refuses, and that `viewerCan` told it before."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.database import Database
from tests.api.test_graph import ask
from tests.people import Somebody, add_person, report

PROBLEM = "__typename ... on Problem { code message requestId }"
WHY = "Because the test wants to know."
OFFERS = "viewerCan { transition permit }"
EVERYTHING = f"""query All($id: ID!) {{ incident(id: $id) {{
  {OFFERS} steps {{ key {OFFERS} actions {{ key {OFFERS} }} }}
  notifications {{ id {OFFERS} }} obligations {{ id {OFFERS} }}
}} }}"""
TRANSITIONS = {
    "incident": "transitionIncident(incidentId: $incident, input: {transition: %s, reason: $why})",
    "step": "transitionStep(incidentId: $incident, stepId: $thing, input: {transition: %s, reason: $why})",
    "action": "transitionAction(incidentId: $incident, actionId: $thing, input: {transition: %s, reason: $why})",
    "notification": "transitionNotification(incidentId: $incident, notificationId: $thing,"
    " input: {transition: %s, reason: $why})",
    "obligation": "decideObligation(incidentId: $incident, obligationId: $thing,"
    " input: {decision: %s, rationale: $why})",
    "delay": 'delayObligation(incidentId: $incident, obligationId: $thing, input: {requestedBy: "The police"})',
    "lift_delay": "liftDelay(incidentId: $incident, obligationId: $thing)",
}
ANSWERS = {"state": {"StateConflict"}, "gate": {"GateRefused"}, "person": {"Forbidden", "GateRefused"}}
"""What a call answers by its `permit`; of four eyes a gate speaks."""


@pytest.fixture
async def incident(http: httpx.AsyncClient) -> dict[str, Any]:
    return await report(http, playbook="data-leakage")


@pytest.fixture
async def auditor(database: Database, tenant: Any) -> Somebody:
    return await add_person(database, tenant.tenant_id, "auditor")


async def do(http: httpx.AsyncClient, mutation: str, **variables: Any) -> dict[str, Any]:
    """A mutation that is refused."""
    kinds = {"incident": "ID!", "thing": "ID!", "why": "String", "key": "String"}
    head = ", ".join(f"${name}: {kinds[name]}" for name in variables)
    found = await ask(
        http, f"mutation Do{f'({head})' if head else ''} {{ done: {mutation} {{ {PROBLEM} }} }}", **variables
    )
    assert found["data"] is not None, found
    told: dict[str, Any] = found["data"]["done"]
    return told


async def test_each_refusal_is_of_its_type_and_has_the_code_of_rest(
    http: httpx.AsyncClient, incident: dict[str, Any], auditor: Somebody
) -> None:
    number, path = incident["number"], f"/v1/incidents/{incident['id']}"
    complete = f'(incidentId: "{number}", actionId: "DL.1.1", input: {{transition: complete}}'
    repeated = '(input: {name: "%s"}, idempotencyKey: "same")'
    await ask(http, f"mutation {{ transitionAction{complete}) {{ __typename }} }}")
    await ask(http, f"mutation {{ addClient{repeated % 'One'} {{ __typename }} }}")
    key = {"Idempotency-Key": "rest"}
    await http.post("/v1/clients", json={"name": "One by REST"}, headers=key)
    as_auditor = httpx.AsyncClient(base_url=http.base_url, headers=auditor.headers, timeout=30, trust_env=False)
    cases = {
        "GateRefused": (
            f'transitionStep(incidentId: "{number}", stepId: "DL.1", input: {{transition: complete}})',
            http.post(f"{path}/steps/DL.1/transitions", json={"transition": "complete"}),
        ),
        "StateConflict": (
            f"transitionAction{complete})",
            http.post(f"{path}/actions/DL.1.1/transitions", json={"transition": "complete"}),
        ),
        "NotFound": (
            'transitionIncident(incidentId: "INC-999999", input: {transition: acknowledge})',
            http.post("/v1/incidents/INC-999999/transitions", json={"transition": "acknowledge"}),
        ),
        "InvalidInput": (
            f'transitionIncident(incidentId: "{number}", input: {{transition: hold}})',
            http.post(f"{path}/transitions", json={"transition": "hold"}),
        ),
        "IdempotencyConflict": (
            f"addClient{repeated % 'Another'}",
            http.post("/v1/clients", json={"name": "Another by REST"}, headers=key),
        ),
    }
    for name, (mutation, call) in cases.items():
        told, answer = await do(http, mutation), await call
        assert (told["__typename"], told["code"]) == (name, answer.json()["code"])
        assert told["message"]
        assert told["requestId"]
    async with as_auditor:
        told = await do(as_auditor, f"transitionAction{complete})")
        answer = await as_auditor.post(f"{path}/actions/DL.1.1/transitions", json={"transition": "complete"})
        assert (told["__typename"], told["code"]) == ("Forbidden", answer.json()["code"])


async def test_what_is_not_offered_is_refused_as_it_was_told(
    http: httpx.AsyncClient, incident: dict[str, Any], auditor: Somebody
) -> None:
    drafted = {
        "kind": "internal",
        "audience": "risk management",
        "channel": "e-mail",
        "recipients": ["security@msp.example"],
        "subject": "Data in a public chatbot",
        "body": "Contact data was entered into a public AI service.",
    }
    made = await http.post(f"/v1/incidents/{incident['id']}/notifications", json=drafted)
    assert made.status_code == 201, made.text
    compared: set[str] = set()
    for headers in (dict(http.headers), auditor.headers):
        async with httpx.AsyncClient(base_url=http.base_url, headers=headers, timeout=30, trust_env=False) as by:
            shown = (await ask(by, EVERYTHING, id=incident["id"]))["data"]["incident"]
            for kind, thing, offer in _offers(shown):
                if offer["permit"] == "allowed":
                    continue
                name = offer["transition"] if offer["transition"] in TRANSITIONS else kind
                mutation = TRANSITIONS[name]
                filled = mutation % offer["transition"] if "%s" in mutation else mutation
                needed = {"incident": incident["id"], "thing": thing, "why": WHY}
                told = await do(by, filled, **{key: value for key, value in needed.items() if f"${key}" in filled})
                assert told["__typename"] in ANSWERS[offer["permit"]], (kind, thing, offer, told)
                compared.add(f"{kind} {offer['permit']}")
    assert {"incident state", "step gate", "action person", "notification person", "obligation person"} <= compared


def _offers(shown: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    found = [("incident", "", one) for one in shown["viewerCan"]]
    for step in shown["steps"]:
        found += [("step", step["key"], one) for one in step["viewerCan"]]
        found += [("action", action["key"], one) for action in step["actions"] for one in action["viewerCan"]]
    for kind in ("notification", "obligation"):
        found += [(kind, thing["id"], one) for thing in shown[f"{kind}s"] for one in thing["viewerCan"]]
    return found
