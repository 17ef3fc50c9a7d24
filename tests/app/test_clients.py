"""Clients beside reports that name them: no deadlock, and the rules see the change."""

import asyncio
from typing import Any

import httpx

from app.database import Database
from app.rebuild import check_tenant


async def test_changing_a_client_while_reports_name_it(
    http: httpx.AsyncClient, database: Database, tenant: Any
) -> None:
    client = (await http.post("/v1/clients", json={"name": "Acme"})).json()["id"]
    answers = await asyncio.gather(
        *(http.post("/v1/incidents", json={"title": "A", "client_ids": [client]}) for _ in range(8)),
        *(http.patch(f"/v1/clients/{client}", json={"name": f"Acme {number}"}) for number in range(8)),
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 8 + [201] * 8
    assert (await http.get(f"/v1/clients/{client}")).json()["version"] == 9
    assert (await check_tenant(database, tenant.tenant_id))["faults"] == []


async def test_what_says_nothing_new_is_no_change(http: httpx.AsyncClient) -> None:
    client = (await http.post("/v1/clients", json={"name": "Acme", "jurisdictions": ["DE"]})).json()
    same = {"name": "Acme", "jurisdictions": ["DE"], "profile": {}, "contract": {"clauses": []}}
    await http.patch(f"/v1/clients/{client['id']}", json={"contract": {"clauses": []}})
    before = (await http.get(f"/v1/clients/{client['id']}")).json()["version"]
    assert (await http.patch(f"/v1/clients/{client['id']}", json=same)).json()["version"] == before
