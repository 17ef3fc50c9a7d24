"""Calls on the risk register that several tests make."""

from typing import Any

import httpx

from tests.people import Somebody

REASON = "Reviewed with the team after the incident."
PLAN = {"actions": [{"title": "Block uploads to public chatbots", "due": "2027-01-31"}]}


async def declared(http: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    """A declared incident whose primary risk is AR-001."""
    report = {"title": "Client list pasted into a chatbot", "playbook": "data-leakage", **more}
    answer = await http.post("/v1/incidents", json=report)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    assert found["primary_risk"] == "AR-001"
    return found


async def revise(
    http: httpx.AsyncClient, ref: str = "AR-001", *, by: Somebody | None = None, **body: Any
) -> httpx.Response:
    """A revision; `no_change` with a reason unless said otherwise."""
    given = {"decision": "no_change", "reason": REASON, **body}
    return await http.post(f"/v1/risks/{ref}/revisions", json=given, headers=by.headers if by else None)


async def made(http: httpx.AsyncClient, ref: str = "AR-001", **body: Any) -> dict[str, Any]:
    """A revision that is let pass."""
    answer = await revise(http, ref, **body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def d10(http: httpx.AsyncClient, incident: dict[str, Any]) -> dict[str, Any]:
    """The incident's documentation item about the register."""
    answer = await http.get(f"/v1/incidents/{incident['id']}/documentation")
    assert answer.status_code == 200, answer.text
    return next(item for item in answer.json() if item["id"] == "D10")


async def risk(http: httpx.AsyncClient, ref: str = "AR-001") -> dict[str, Any]:
    answer = await http.get(f"/v1/risks/{ref}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert answer.headers["etag"] == f'"{found["version"]}"'
    return found


async def decide(http: httpx.AsyncClient, revision: dict[str, Any], transition: str, by: Somebody) -> httpx.Response:
    return await http.post(
        f"/v1/risks/{revision['risk_ref']}/revisions/{revision['id']}/transitions",
        json={"transition": transition, "reason": REASON},
        headers=by.headers,
    )


def entry_of_ours(**more: Any) -> dict[str, Any]:
    """An entry that a tenant adds itself: a medium residual."""
    return {
        "title": "AI meeting notes kept by a vendor",
        "description": "Notes of client meetings stay with the vendor after the contract ends.",
        "category": "third party",
        "likelihood": 3,
        "impact": 3,
        "residual_likelihood": 2,
        "residual_impact": 3,
        "reason": REASON,
        **more,
    }
