"""People to call with: made through the doors, as a tenant would make them."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx


async def enrolled(http: httpx.AsyncClient, *roles: str, **more: Any) -> tuple[str, str]:
    """A new person with these roles: the id and a key of its own."""
    made = await http.post("/v1/people", json={"name": "Someone", "roles": list(roles), **more})
    assert made.status_code == 201, made.text
    person_id = made.json()["id"]
    issued = await http.post(f"/v1/people/{person_id}/enrolment")
    assert issued.status_code == 201, issued.text
    redeemed = await http.post("/v1/enrolments/redeem", json={"token": issued.json()["token"]})
    assert redeemed.status_code == 201, redeemed.text
    return person_id, redeemed.json()["key"]


@contextlib.asynccontextmanager
async def calling(server: str, key: str) -> AsyncIterator[httpx.AsyncClient]:
    """A caller with a key."""
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=server, headers=headers, timeout=30, trust_env=False) as http:
        yield http
