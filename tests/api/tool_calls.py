"""Calls on the tool register and on shadow-ai incidents that several tests make."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

REPORTED = (datetime.now(UTC).date() - timedelta(days=30)).isoformat()
WHY = "A sentence of a reason that an auditor can read."
GOOD: dict[str, dict[str, Any]] = {
    "VC-1": {"answer": "yes", "source": "trust page", "report_type": "type_2", "period_end": REPORTED},
    "VC-2": {"answer": "no", "source": "terms"},
    "VC-3": {"answer": "yes", "source": "contract", "signed": True},
    "VC-4": {"answer": "yes", "source": "policy", "bounded": True, "deletion_on_request": True},
}
APPROVAL = {
    "outcome": "approve",
    "reason": "Every mandatory check is good.",
    "approved_uses": ["Drafting texts"],
    "approved_data_classes": ["generic_prompt"],
}


async def ok(http: httpx.AsyncClient, method: str, path: str, body: object = None, status: int = 200) -> dict[str, Any]:
    """A call that is let pass."""
    answer = await http.request(method, path, json=body)
    assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
    found: dict[str, Any] = answer.json()
    return found


async def refused(http: httpx.AsyncClient, method: str, path: str, body: object = None) -> dict[str, Any]:
    """A call that is refused with a problem."""
    answer = await http.request(method, path, json=body)
    assert answer.status_code in (403, 404, 409, 412, 422), f"{method} {path}: {answer.status_code} {answer.text}"
    assert answer.headers["content-type"].startswith("application/problem+json")
    found: dict[str, Any] = answer.json()
    return found


async def requested(http: httpx.AsyncClient, name: str = "ExampleChat", **more: Any) -> dict[str, Any]:
    """A tool on the register."""
    return await ok(http, "POST", "/v1/tools", {"name": name, **more}, 201)


async def assessed(http: httpx.AsyncClient, tool: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """Its checks answered well, but for those given (`VC_2`)."""
    answers = {**GOOD, **{name.replace("_", "-"): value for name, value in changed.items()}}
    return await ok(http, "PATCH", f"/v1/tools/{tool['id']}/assessment", {"answers": answers})


async def decided(http: httpx.AsyncClient, tool: dict[str, Any], outcome: str, **more: Any) -> dict[str, Any]:
    """A decision that is let pass."""
    body = {"outcome": outcome, "reason": WHY, **more}
    return await ok(http, "POST", f"/v1/tools/{tool['id']}/decisions", body, 201)
