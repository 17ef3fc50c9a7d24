"""A tenant with an identity provider on loopback, for tests of signing in."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any
from uuid import uuid4

import httpx

from app.database import Database
from app.tenants import create_tenant
from tests.issuer import AUDIENCE, CLIENT, Issuer

LOOPBACK = (ip_network("127.0.0.0/8"),)


@dataclass
class Place:
    """A tenant with an identity provider, and its first person, who calls with a key."""

    http: httpx.AsyncClient
    issuer: Issuer
    tenant_id: str
    provider: dict[str, Any]

    def holding(self, text: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {text}"}

    async def me(self, text: str) -> httpx.Response:
        return await self.http.get("/v1/me", headers=self.holding(text))


def registration(by: Issuer, /, **changes: Any) -> dict[str, Any]:
    body = {"name": "Our directory", "issuer": by.url, "audience": AUDIENCE, "client_id": CLIENT}
    made = {**body, "proof": by.token("who-registers"), **changes}
    return {name: value for name, value in made.items() if value is not None}


@contextlib.asynccontextmanager
async def a_place(door: str, database: Database, issuer: Issuer, **changes: Any) -> AsyncIterator[Place]:
    tenant = await create_tenant(database, f"Tenant {uuid4().hex[:8]}")
    headers = {"Authorization": f"Bearer {tenant.key}"}
    async with httpx.AsyncClient(base_url=door, headers=headers, timeout=30, trust_env=False) as http:
        made = await http.post("/v1/identity-providers", json=registration(issuer, **changes))
        assert made.status_code == 201, made.text
        yield Place(http, issuer, str(tenant.tenant_id), made.json())
