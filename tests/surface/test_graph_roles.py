"""The graph against roles and tenants: it shows what REST shows the same caller, and does what REST does."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from graphql import GraphQLObjectType, get_named_type

from app.database import Database
from domain.permissions import may_ever
from tests.people import Somebody, add_person, add_service_account
from tests.surface import graph
from tests.surface.contract import expect_none
from tests.surface.prepared import Prepared
from tests.surface.test_graph import MASKED, ask, nodes

Together = Callable[[Any], Awaitable[list[Any]]]
ROLES = ("risk_owner", "auditor", "tenant_admin", "service_account")
"""One who may nearly everything, one who reads all, one who reads no incident, and a machine."""
BY_PLACE = {
    "Incident": "/v1/incidents/{incident_id}",
    "Evidence": "/v1/evidence/{evidence_id}",
    "Client": "/v1/clients/{id}",
    "Person": "/v1/people/{id}",
    "RiskRevision": "/v1/risks/{ref}/revisions/{revision_id}",
    "ServiceAccount": "/v1/service-accounts/{id}",
    "Source": "/v1/sources/{id}",
    "HookDelivery": "/v1/sources/{id}/deliveries/{delivery_id}",
}
"""Where REST answers the things that `node` finds."""


@pytest.fixture(scope="module")
async def cast(database: Database, ours: Prepared) -> dict[str, Somebody]:
    return await _one_of_each(database, ours)


@pytest.fixture(scope="module")
async def strangers(database: Database, theirs: Prepared) -> dict[str, Somebody]:
    return await _one_of_each(database, theirs)


async def _one_of_each(database: Database, tenant: Prepared) -> dict[str, Somebody]:
    found = {role: await add_person(database, tenant.tenant_id, role) for role in ROLES if role != "service_account"}
    return found | {"service_account": await add_service_account(database, tenant.tenant_id)}


def parts_of(name: str) -> list[tuple[str, str]]:
    """Selections over a type: all its values at once, and each object that it leads to, with the type of that."""
    kind = graph.schema().type_map[name]
    assert isinstance(kind, GraphQLObjectType)
    found = [(" ".join(graph.leaves(kind)), name)]
    for field, one in kind.fields.items():
        inner = get_named_type(one.type)
        if graph.is_object(one) and isinstance(inner, GraphQLObjectType):
            found.append((f"{field} {{ {' '.join(graph.leaves(inner)) or '__typename'} }}", inner.name))
    return found


def listed(tenant: Prepared) -> dict[str, str]:
    """Types that only a list shows, and the list."""
    source = json.dumps(tenant.values["/v1/sources/{id}"])
    page = f"unmappedClients(id: {source})"
    return {"AuditException": "auditExceptions", "Identity": "identities", "Key": "keys", "UnmappedClient": page}


@pytest.mark.parametrize("role", ROLES)
async def test_every_field_of_every_type_is_shown_to_whom_the_table_lets_read_it(
    ours: Prepared, cast: dict[str, Somebody], strangers: dict[str, Somebody], together: Together, role: str
) -> None:
    from api.graphql.types import TYPES

    kind = "service_account" if role == "service_account" else "person"

    async def look(name: str, place: str, selected: str, inner: str) -> list[str]:
        query = f"{{ {place % f'... on {name} {{ {selected} }}'} }}"
        own = await ask(ours.http, cast[role].headers, query)
        other = await ask(ours.http, strangers[role].headers, query)
        reads = {TYPES[one].reads for one in (name, inner) if one in TYPES}
        allowed = all(may_ever(row, [role], kind) for row in reads)
        codes = [one["extensions"]["code"] for one in own.json().get("errors", ())]
        found = [f"{name} {selected[:40]}: masked"] if MASKED in own.text + other.text else []
        if allowed == ("forbidden" in codes):
            found.append(f"{name} {inner} by {role}: {own.text[:200]}")
        if not allowed and ours.canary in own.text:
            found.append(f"{name} {inner} leaks to {role}")
        if name != "Risk" and (ours.canary in other.text or (other.json()["data"] or {}).get("node")):
            found.append(f"{name} {inner} leaks to a stranger: {other.text[:200]}")
        return found

    places = {name: f'node(id: "{id}") {{ %s }}' for name, id in nodes(ours).items()}
    places |= {name: f"{page} {{ nodes {{ %s }} }}" for name, page in listed(ours).items()}
    calls = [look(name, place, *part) for name, place in places.items() for part in parts_of(name)]
    assert {inner for name in places for _, inner in parts_of(name)} >= set(TYPES), "every type is looked at"
    expect_none(await together(calls))


@pytest.mark.parametrize("role", ROLES)
async def test_a_node_is_seen_by_those_who_see_it_in_rest(
    ours: Prepared, cast: dict[str, Somebody], together: Together, role: str
) -> None:
    async def look(name: str, place: str) -> list[str]:
        path = place
        for given in (one for one in ours.values if place.startswith(one)):
            path = path.replace(given.rpartition("/")[2], ours.values[given], 1)
        path = path.replace("{ref}", "AR-001")
        shown = await ours.http.get(path, headers=cast[role].headers)
        query = f'{{ node(id: "{nodes(ours)[name]}") {{ __typename }} }}'
        told = (await ask(ours.http, cast[role].headers, query)).json()
        seen = bool((told["data"] or {}).get("node"))
        return [] if seen == (shown.status_code == 200) else [f"{name} by {role}: {path} {shown.status_code}, {told}"]

    expect_none(await together(look(*one) for one in BY_PLACE.items()))


@pytest.mark.parametrize("role", ROLES)
async def test_every_root_field_answers_whom_rest_answers(
    ours: Prepared, cast: dict[str, Somebody], strangers: dict[str, Somebody], together: Together, role: str
) -> None:
    from api.graphql.root_fields import PAGES, WHOLES

    operations, query_type = graph.operations(ours.surface), graph.schema().query_type
    assert query_type is not None

    async def look(name: str, endpoint: Any) -> list[str]:
        operation, one = operations[endpoint], query_type.fields[name]
        places = {graph._camel(place.rpartition("{")[2].rstrip("}")): ours.value(place) for place in operation.places}
        kind = get_named_type(one.type)
        assert isinstance(kind, GraphQLObjectType)
        leaves = " ".join(graph.leaves(kind)) or f"{next(iter(kind.fields))} {{ __typename }}"
        given = {**{key: json.dumps(value) for key, value in places.items()}, "input": "{facts: {}}"}
        query = f"{{ {name}{graph.arguments(one, given.__getitem__)} {{ {leaves} }} }}"
        own = await ask(ours.http, cast[role].headers, query)
        other = await ask(ours.http, strangers[role].headers, query)
        url = operation.url(ours.value)
        sent: dict[str, Any] = {"json": {"facts": {}}} if operation.takes_json else {}
        shown = await ours.http.request(operation.method, url, headers=cast[role].headers, **sent)
        found = [f"{name} leaks to a stranger"] if ours.canary in other.text else []
        if (shown.status_code in (403, 404)) != bool(own.json().get("errors")) or MASKED in own.text + other.text:
            found.append(f"{name} by {role}: {url} {shown.status_code}, {own.text[:200]}")
        return found

    expect_none(await together(look(root.name, root.endpoint) for root in (*PAGES.values(), *WHOLES.values())))


@pytest.mark.parametrize("role", ROLES)
async def test_no_mutation_does_what_the_table_denies_or_reaches_another_tenant(
    ours: Prepared,
    theirs: Prepared,
    cast: dict[str, Somebody],
    strangers: dict[str, Somebody],
    together: Together,
    stored: Callable[[Prepared], Awaitable[dict[str, str]]],
    role: str,
) -> None:
    from api.graphql.mutations import MUTATIONS

    operations, before = graph.operations(ours.surface), await stored(ours)
    kind = "service_account" if role == "service_account" else "person"

    async def call(name: str, by: Somebody, source: Prepared, *, denied: bool) -> list[str]:
        operation = operations[MUTATIONS[name].endpoint]
        body = source.json(operation) if operation.takes_json else {}
        query, variables = graph.probe(MUTATIONS[name], operation, ours.value, body)
        answer = await ask(ours.http, by.headers, query, **variables)
        told = (answer.json().get("data") or {}).get(name) or {}
        found = [f"{name} by {role}: {answer.text[:200]}"] if answer.status_code != 200 or MASKED in answer.text else []
        if denied and told.get("__typename", "").endswith("Success"):
            found.append(f"{name} is done by {role}")
        return [*found, *([f"{name} leaks"] if by in strangers.values() and ours.canary in answer.text else [])]

    calls = []
    for name, mutation in MUTATIONS.items():
        operation = operations[mutation.endpoint]
        if not any(may_ever(row, [role], kind) for row in operation.rows):
            calls.append(call(name, cast[role], ours, denied=True))
        if any(ours.owns(place) for place in operation.places):
            calls.append(call(name, strangers[role], theirs, denied=True))
    assert len(calls) > 25
    expect_none(await together(calls))
    assert await stored(ours) == before


async def test_a_key_that_is_limited_sees_no_register(ours: Prepared, anybody: httpx.AsyncClient) -> None:
    limits = {"name": "Limited", "client_ids": [ours.values["/v1/clients/{id}"]]}
    made = await ours.http.post("/v1/keys", headers=ours.boss.headers, json=limits)
    assert made.status_code == 201, made.text
    headers = {"Authorization": f"Bearer {made.json()['key']}"}
    for query in ("{ risks { nodes { id } } }", "{ people { nodes { id } } }", "{ tools { nodes { id } } }"):
        told = (await ask(anybody, headers, query)).json()
        assert told["data"] is None or next(iter(told["data"].values()))["nodes"] == [], told
