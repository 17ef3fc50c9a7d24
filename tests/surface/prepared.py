"""A tenant that has one of everything, so that every path of the surface can be filled with ids that exist.

Every text that is kept holds the tenant's canary: a word that must never be seen by anybody else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import httpx

from app.database import Database
from app.ids import new_id
from app.tenants import create_tenant
from domain.glossary import Role
from tests.issuer import Issuer
from tests.people import Somebody, add_person
from tests.surface.surface import BODIES, FUTURE, PARAMETER, SENTENCE, Operation, Surface

ALL_ROLES = tuple(role.value for role in Role if role is not Role.SERVICE_ACCOUNT)
UUID_TEXT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
INCIDENT = "/v1/incidents/{incident_id}"
FIXED = {
    "slug": "data-leakage",
    "version": "1.0.0",
    "later": "1.0.0",
    "step_id": "DL.1",
    "action_id": "DL.1.1",
    "item": "D02",
    "ref": "AR-001",
    "control_id": "CC7.3",
    "system": "jira",
    "instance": "-",
}
"""Parameters whose values every tenant has."""
EVIDENCE_QUERY = "?filename=prompt.txt&kind=screenshot"


class Prepared:
    """A tenant with one of everything. `values` are by place (the path up to the parameter), `named` by member name."""

    def __init__(self, surface: Surface, tenant_id: UUID, boss: Somebody, http: httpx.AsyncClient) -> None:
        self.surface = surface
        self.tenant_id = tenant_id
        self.boss = boss
        self.http = http
        self.canary = f"canary{uuid4().hex[:16]}"
        self.values: dict[str, str] = {}
        self.named: dict[str, str] = {}
        self.second: dict[str, str] = {}
        self.unfilled: list[str] = []
        self.bodies: dict[str, Callable[[], dict[str, Any]]] = {}  # made anew for each call, by operation

    def value(self, place: str) -> str:
        """What exists at a place; for what cannot be made, an id of nothing."""
        return self.values.get(place) or str(new_id())

    def url(self, operation: Operation) -> str:
        """The address of an operation on what exists; with the query that an upload needs."""
        streamed = bool(operation.media_types) and not operation.takes_json and not operation.is_public
        return operation.url(self.value) + (EVIDENCE_QUERY if streamed else "")

    def body(self, operation: Operation) -> dict[str, Any]:
        """Members of a request: a body that the operation's schema lets pass, nothing where it takes none."""
        if operation.takes_json and operation.body is not None:
            return {"json": self.json(operation)}
        if operation.media_types:
            return {"content": b"what was typed in", "headers": {"Content-Type": "text/plain"}}
        return {}

    def json(self, operation: Operation) -> Any:
        """The JSON body alone."""
        assert operation.body is not None
        made = self.surface.sample(operation.body, "", self.named)
        fresh = self.bodies.get(str(operation), dict)
        return {**made, **BODIES.get(str(operation), {}), **fresh()}

    def random(self, place: str) -> str:
        """Something of the same form as `value(place)` that nobody has; what every tenant has stays."""
        value = self.value(place)
        return str(new_id()) if UUID_TEXT.fullmatch(value) else value

    def owns(self, place: str) -> bool:
        """Whether the value at a place is this tenant's alone."""
        return bool(UUID_TEXT.fullmatch(self.value(place)))

    async def make(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """A call that must succeed."""
        answer = await self.http.request(
            method, path, headers={**self.boss.headers, **request.pop("headers", {})}, **request
        )
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        found: dict[str, Any] = answer.json() if answer.content else {}
        return found


async def prepare(database: Database, surface: Surface, http: httpx.AsyncClient, issuer: Issuer) -> Prepared:
    """Make a tenant with one of everything."""
    tenant = await create_tenant(database, f"Tenant {uuid4().hex[:8]}")
    boss = await add_person(database, tenant.tenant_id, *ALL_ROLES, name="Boss")
    made = Prepared(surface, tenant.tenant_id, boss, http)
    made.named["id"] = str(boss.id)
    await _organisation(made)
    await _sign_in(made, issuer)
    await _incidents(made)
    await _children(made)
    await _register_and_sources(made)
    await _tools(made)
    for operation in surface.operations:
        for place in operation.places:
            await _fill(made, place)
    return made


async def _organisation(made: Prepared) -> None:
    word = made.canary
    person = await made.make("POST", "/v1/people", json={"name": f"Bea {word}", "email": f"{word}@msp.example"})
    client = await made.make("POST", "/v1/clients", json={"name": f"Client {word}"})
    account = await made.make("POST", "/v1/service-accounts", json={"name": f"Robot {word}"})
    body = {"name": f"Spare {word}", "service_account_id": account["id"]}
    key = await made.make("POST", "/v1/keys", json=body)
    made.values |= {
        "/v1/people/{id}": person["id"],
        "/v1/clients/{id}": client["id"],
        "/v1/service-accounts/{id}": account["id"],
        "/v1/keys/{id}": key["id"],
        f"{INCIDENT}/participants/{{person_id}}": person["id"],
    }
    people = (
        "person_id",
        "owner_id",
        "performed_by",
        "collected_by",
        "manager_id",
        "person_concerned_id",
        "carry_owner_id",
    )
    made.named |= dict.fromkeys(people, person["id"])
    made.named |= {"client_id": client["id"], "default_client_id": client["id"], "service_account_id": account["id"]}


async def _sign_in(made: Prepared, issuer: Issuer) -> None:
    def provider(audience: str) -> dict[str, Any]:
        pair = {"issuer": issuer.url, "audience": audience, "proof": issuer.token(aud=audience)}
        return {**pair, "name": f"Provider {made.canary}", "client_id": f"console-{made.canary}"}

    def identity() -> dict[str, Any]:
        return {"access_token": issuer.token(f"{made.canary}-{uuid4().hex}", aud=made.canary)}

    # The first one may be removed by a test; the identity is of the second.
    registered = await made.make("POST", "/v1/identity-providers", json=provider(uuid4().hex))
    await made.make("POST", "/v1/identity-providers", json=provider(made.canary))
    linked = await made.make("POST", "/v1/identities", json=identity())
    made.values |= {"/v1/identity-providers/{id}": registered["id"], "/v1/identities/{id}": linked["id"]}
    made.bodies |= {
        "POST /v1/identity-providers": lambda: provider(uuid4().hex),
        "POST /v1/identities": identity,
    }


async def _incidents(made: Prepared) -> None:
    word = made.canary
    body = {"title": f"First {word}", "summary": f"Somebody pasted {word}.", "client_ids": [made.named["client_id"]]}
    first = await made.make("POST", "/v1/incidents", json={**body, "playbook": "data-leakage"})
    other = {"title": f"Second {word}", "playbook": "generic-ai-incident", "primary_risk": "AR-002"}
    second = await made.make("POST", "/v1/incidents", json=other)
    made.values[INCIDENT] = first["id"]
    made.second[INCIDENT] = second["id"]
    made.named["incident_id"] = second["id"]


async def _children(made: Prepared) -> None:
    word, base = made.canary, f"/v1/incidents/{made.values[INCIDENT]}"
    await made.make("POST", f"{base}/notes", json={"text": f"Talked about {word}."})
    shot = await made.make(
        "POST",
        f"{base}/evidence?filename={word}.txt&kind=screenshot",
        content=f"evidence {word}".encode(),
        headers={"Content-Type": "text/plain"},
    )
    draft = {"kind": "internal", "audience": "security", "channel": "e-mail", "recipients": ["security@msp.example"]}
    told = await made.make("POST", f"{base}/notifications", json={**draft, "subject": word, "body": f"About {word}."})
    owed = {"title": f"Owed {word}", "owner_id": made.named["owner_id"], "due_at": FUTURE}
    owed = await made.make("POST", f"{base}/follow-ups", json=owed)
    link = await made.make("POST", f"{base}/links", json={"incident_id": made.named["incident_id"], "type": "related"})
    erasure = await made.make("POST", f"{base}/erasures", json={"fields": ["/incident/summary"], "reason": SENTENCE})
    await made.make("POST", f"{base}/external-references", json={"system": "jira", "id": f"JIRA-{word}"})
    answer = await made.http.get(f"{base}/obligations", headers=made.boss.headers)
    duties = answer.json()
    made.values |= {
        "/v1/evidence/{evidence_id}": shot["id"],
        f"{INCIDENT}/notifications/{{notification_id}}": told["id"],
        f"{INCIDENT}/follow-ups/{{follow_up_id}}": owed["id"],
        f"{INCIDENT}/links/{{link_id}}": link["id"],
        f"{INCIDENT}/erasures/{{erasure_id}}": erasure["id"],
        f"{INCIDENT}/obligations/{{obligation_id}}": duties[0]["id"],
    }
    made.named |= dict.fromkeys(("corrects_evidence_id", "proof_evidence_id"), shot["id"])
    made.named["obligation_id"] = duties[0]["id"]


async def _register_and_sources(made: Prepared) -> None:
    word = made.canary
    body = {"decision": "no_change", "reason": f"Nothing new {word}.", "proposed_only": True}
    revision = await made.make("POST", "/v1/risks/AR-001/revisions", json=body)
    made.values["/v1/risks/{ref}/revisions/{revision_id}"] = revision["id"]
    made.second["/v1/risks/{ref}"] = "AR-002"
    source = await made.make("POST", "/v1/sources", json={"name": f"Alerts {word}", "system": "generic"})
    made.second["/v1/sources/{id}"] = (await made.make("POST", "/v1/sources", json=BODIES["POST /v1/sources"]))["id"]
    hook = "/hooks/" + source["hook_url"].rpartition("/")[2]
    taken = await made.make("POST", hook, json={"nothing": word})
    made.values |= {
        "/v1/sources/{id}": source["id"],
        "/v1/sources/{id}/deliveries/{delivery_id}": taken["delivery_id"],
        "/hooks/{token}": hook.rpartition("/")[2],
    }
    made.named["source_id"] = source["id"]
    account = {"email": f"{word}@msp.example", "api_token": word}
    called = {"name": f"Tickets {word}", "system": "zendesk", "base_url": f"https://{word}.example"}
    connection = await made.make("POST", "/v1/connections", json={**called, "credentials": account})
    made.values["/v1/connections/{id}"] = connection["id"]
    told = {"name": f"Board {word}", "url": f"https://{word}.example/events", "event_types": ["incident.*"]}
    endpoint = await made.make("POST", "/v1/webhook-endpoints", json=told)
    test = await made.make("POST", f"/v1/webhook-endpoints/{endpoint['id']}/test")
    made.values |= {
        "/v1/webhook-endpoints/{id}": endpoint["id"],
        "/v1/webhook-endpoints/{id}/deliveries/{delivery_id}": test["id"],
    }


async def _tools(made: Prepared) -> None:
    word = made.canary
    tool = await made.make("POST", "/v1/tools", json={"name": f"Chat {word}", "vendor": word, "intended_use": word})
    base = f"/v1/tools/{tool['id']}"
    answers = {"VC-2": {"answer": "unknown", "source": f"nothing at {word}"}}
    await made.make("PATCH", f"{base}/assessment", json={"answers": answers})
    body = {"outcome": "conditional", "reason": f"{SENTENCE} {word}"}
    decision = await made.make("POST", f"{base}/decisions", json=body)
    other = await made.make("POST", "/v1/tools", json={"name": f"Other {word}"})
    made.values |= {"/v1/tools/{id}": tool["id"], "/v1/tools/{id}/decisions/{decision_id}": decision["id"]}
    made.second["/v1/tools/{id}"] = other["id"]


async def _fill(made: Prepared, place: str) -> None:
    """Find a value for a place that nothing above knows: make one by POST to the collection, or list what is there."""
    if place in made.values:
        return
    name = PARAMETER.findall(place)[-1]
    if name in FIXED:
        made.values[place] = FIXED[name]
        return
    if name == "external_id":
        made.values[place] = f"{made.canary}-reference"
        return
    collection = place.rpartition("/")[0]
    operations = {str(one): one for one in made.surface.operations}
    for method in ("POST", "GET"):
        operation = operations.get(f"{method} {collection}")
        if operation is None:
            continue
        answer = await made.http.request(
            method,
            operation.url(made.value),
            headers=made.boss.headers,
            **(made.body(operation) if method == "POST" else {}),
        )
        found = answer.json() if answer.is_success else None
        found = (found.get("items", [found]) if isinstance(found, dict) else found) or []
        for key in (name, "id", "ref", "slug", "version"):
            if found and key in found[0]:
                made.values[place] = str(found[0][key])
                return
    made.unfilled.append(place)
