"""It walks `data-leakage` from a report to the signed close, and is refused wherever the playbook refuses."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.timeout(120)


async def test_it_opens_a_declared_incident(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/incidents", json={"title": "Client list pasted into a chatbot", "playbook": "data-leakage"})
    assert answer.status_code == 201, answer.text
    incident = answer.json()
    assert incident["number"] == "INC-1001"
    assert incident["status"] == "in_progress"
    assert [step["id"] for step in incident["steps"]] == ["DL.1", "DL.2", "DL.3", "DL.4", "DL.5"]
    again = await http.get(answer.headers["location"])
    assert again.status_code == 200
    assert again.json()["steps"] == incident["steps"]
    done = await http.post("/v1/incidents/INC-1001/actions/DL.1.1/transitions", json={"transition": "complete"})
    assert done.status_code == 200, done.text
    assert done.json()["status"] == "done"
    assert done.json()["step"]["id"] == "DL.1"
    listed = await http.get("/v1/incidents")
    assert listed.status_code == 200, listed.text
    assert [item["number"] for item in listed.json()["items"]] == ["INC-1001"]


class Caller:
    """One person's calls on one incident."""

    def __init__(self, http: httpx.AsyncClient, number: str) -> None:
        self.http = http
        self.base = f"/v1/incidents/{number}"

    async def ok(self, method: str, path: str, body: object = None, status: int = 200) -> dict[str, Any]:
        answer = await self.http.request(method, f"{self.base}{path}", json=body)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        found: dict[str, Any] = answer.json()
        return found

    async def refused(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        answer = await self.http.request(method, f"{self.base}{path}", json=body)
        assert answer.status_code in (403, 409, 422), f"{method} {path}: {answer.status_code} {answer.text}"
        assert answer.headers["content-type"].startswith("application/problem+json")
        found: dict[str, Any] = answer.json()
        return found

    async def act(self, action: str, **body: object) -> dict[str, Any]:
        return await self.ok("POST", f"/actions/{action}/transitions", {"transition": "complete", **body})

    async def step(self, step: str) -> dict[str, Any]:
        return await self.ok("POST", f"/steps/{step}/transitions", {"transition": "complete"})

    async def tell(self, kind: str, action: str | None, **more: object) -> dict[str, Any]:
        draft = {
            "kind": kind,
            "audience": "risk management and IT security",
            "channel": "e-mail",
            "recipients": ["security@msp.example"],
            "subject": "Data in a public chatbot",
            "body": "Contact data was entered into a public AI service. Containment is under way.",
            "action_id": action,
            **more,
        }
        made = await self.ok("POST", "/notifications", draft, 201)
        return await self.ok("POST", f"/notifications/{made['id']}/transitions", {"transition": "record_sent"})


async def colleague(http: httpx.AsyncClient, server: str, name: str, roles: list[str]) -> httpx.AsyncClient:
    """A second person of the tenant, calling with a key of their own."""
    answer = await http.post("/v1/people", json={"name": name, "roles": roles, "email": "second@msp.example"})
    assert answer.status_code == 201, answer.text
    token = await http.post(f"/v1/people/{answer.json()['id']}/enrolment", json={})
    assert token.status_code == 201, token.text
    async with httpx.AsyncClient(base_url=server) as nobody:
        key = await nobody.post("/v1/enrolments/redeem", json={"token": token.json()["token"]})
    assert key.status_code == 201, key.text
    headers = {"Authorization": f"Bearer {key.json()['key']}"}
    return httpx.AsyncClient(base_url=server, headers=headers, timeout=30, trust_env=False)
