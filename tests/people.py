"""People and their keys for tests that need more than a tenant's first person."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx

from app.database import Database
from app.ids import new_id
from app.secrets import new_api_key


@dataclass(frozen=True)
class Somebody:
    """A person or service account of a tenant, with a key."""

    id: UUID
    key: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


async def add_person(database: Database, tenant_id: UUID, *roles: str, name: str = "Somebody") -> Somebody:
    """An active person with these roles."""
    person_id, key = new_id(), new_api_key(tenant_id)
    async with database.transaction(tenant_id) as db:
        await db.execute(
            "insert into people (tenant_id, id, kind, name, roles) values ($1, $2, 'internal', $3, $4)",
            tenant_id,
            person_id,
            name,
            list(roles),
        )
        await db.execute(
            "insert into api_keys (tenant_id, id, person_id, name, prefix, secret_hash)"
            " values ($1, $2, $3, $4, $5, $6)",
            tenant_id,
            new_id(),
            person_id,
            "Key",
            key.prefix,
            key.hash,
        )
    return Somebody(person_id, key.text)


async def add_service_account(database: Database, tenant_id: UUID, name: str = "An integration") -> Somebody:
    """A service account with a key."""
    account_id, key = new_id(), new_api_key(tenant_id)
    async with database.transaction(tenant_id) as db:
        await db.execute(
            "insert into service_accounts (tenant_id, id, name) values ($1, $2, $3)", tenant_id, account_id, name
        )
        await db.execute(
            "insert into api_keys (tenant_id, id, service_account_id, name, prefix, secret_hash)"
            " values ($1, $2, $3, 'Key', $4, $5)",
            tenant_id,
            new_id(),
            account_id,
            key.prefix,
            key.hash,
        )
    return Somebody(account_id, key.text)


async def report(http: httpx.AsyncClient, headers: dict[str, str] | None = None, **members: Any) -> dict[str, Any]:
    """Report an incident and answer it; with `playbook` it is declared where the caller may."""
    answer = await http.post("/v1/incidents", json={"title": "Prompt with customer data", **members}, headers=headers)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made
