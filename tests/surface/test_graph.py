"""The whole graph: nothing of REST is missing from it, and nobody sees through it what REST hides."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from graphql import GraphQLInterfaceType, GraphQLObjectType, get_named_type

from app.ids import new_id
from app.statements import NOUNS
from tests.surface import graph
from tests.surface.contract import expect_none
from tests.surface.prepared import INCIDENT, Prepared
from tests.surface.surface import Surface

Together = Callable[[Any], Awaitable[list[Any]]]
NOT_IN_THE_GRAPH = {
    "evidence.attach": "files go over HTTP alone",
    "people.redeem": "the caller has no credential yet",
    "identities.enrol": "the caller has no credential of ours yet",
    "obligations.preview": "changes nothing, so it is a query: obligationPreview",
    "sources.preview": "changes nothing, and is for whoever writes a mapping",
    "keys.delete": "another name of revokeKey",
}
MASKED = '"code":"internal"'
NOUNS_ELSEWHERE = {"playbook": "the object `playbook`, as REST answers it"}
READ_ELSEWHERE = {
    "incidents.read": "the field `incident`",
    "events.read_events": "a place in a log, for machines: incidentChanged and boardChanged follow",
    "config.read_config": "the caller has no credential yet",
    "evidence.content": "files go over HTTP alone",
    **dict.fromkeys(
        (
            "documentation.listed",
            "evidence.list_evidence",
            "exceptions.listed",
            "follow_ups.listed",
            "links.listed",
            "notifications.listed",
            "obligations.listed",
            "sign_off.listed",
        ),
        "fields of Incident",
    ),
    **dict.fromkeys(
        (
            "clients.read_client",
            "connections.read_connection",
            "erasures.read_erasure",
            "evidence.read_evidence",
            "identity_providers.read_identity_provider",
            "people.read_person",
            "risks.read",
            "risks.read_revision",
            "service_accounts.read_service_account",
            "sources.read_delivery",
            "sources.read_source",
            "tools.read",
            "tools.read_decision",
            "webhook_endpoints.read_delivery",
            "webhook_endpoints.read_endpoint",
        ),
        "the field `node`",
    ),
    **dict.fromkeys(("identities.read_identity", "keys.read_key"), "decided row by row: their lists answer them"),
}


async def ask(by: httpx.AsyncClient, headers: dict[str, str], query: str, **variables: Any) -> httpx.Response:
    return await by.post("/graphql", headers=headers, json={"query": query, "variables": variables})


def test_every_write_of_rest_is_a_mutation(surface: Surface) -> None:
    from api.graphql.mutations import MUTATIONS
    from api.rest import ROUTERS

    done = {mutation.endpoint for mutation in MUTATIONS.values()}
    writes = {
        route.unique_id: route.endpoint  # type: ignore[attr-defined]
        for router in ROUTERS
        for route in router.routes
        if route.methods - {"GET", "HEAD"} and not route.path.startswith("/hooks")  # type: ignore[attr-defined]
    }
    assert {name for name, endpoint in writes.items() if endpoint not in done} == set(NOT_IN_THE_GRAPH)


def test_every_reading_of_rest_is_in_the_graph() -> None:
    from api.graphql.root_fields import PAGES, WHOLES
    from api.rest import ROUTERS

    told = {root.endpoint for root in (*PAGES.values(), *WHOLES.values())}
    left = {
        f"{route.endpoint.__module__.rpartition('.')[2]}.{route.endpoint.__name__}"  # type: ignore[attr-defined]
        for router in ROUTERS
        for route in router.routes
        if "GET" in route.methods and route.endpoint not in told  # type: ignore[attr-defined]
    }
    assert left == set(READ_ELSEWHERE)


def test_every_noun_is_a_type() -> None:
    from api.graphql.types import TYPES

    assert {noun for noun in NOUNS if NOUNS[noun].label not in TYPES} == set(NOUNS_ELSEWHERE)


def test_everything_is_described() -> None:
    found = [
        f"{kind.name}.{name}"
        for kind in graph.schema().type_map.values()
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType) and not kind.name.startswith("__")
        for name, one in kind.fields.items()
        if not one.description
    ]
    expect_none([found[:20]] if found else [])


def nodes(tenant: Prepared) -> dict[str, str]:
    """A global id of one thing of each type that the tenant has."""
    incident = tenant.values[INCIDENT]
    return {
        "Incident": f"Incident:{incident}",
        "Step": f"Step:{incident}:DL.1",
        "Action": f"Action:{incident}:DL.1.1",
        "Document": f"Document:{incident}:D02",
        "TimelineEvent": f"TimelineEvent:{incident}:1",
        "Evidence": "Evidence:" + tenant.values["/v1/evidence/{evidence_id}"],
        "Notification": "Notification:" + tenant.values[f"{INCIDENT}/notifications/{{notification_id}}"],
        "Obligation": "Obligation:" + tenant.values[f"{INCIDENT}/obligations/{{obligation_id}}"],
        "FollowUp": "FollowUp:" + tenant.values[f"{INCIDENT}/follow-ups/{{follow_up_id}}"],
        "Link": "Link:" + tenant.values[f"{INCIDENT}/links/{{link_id}}"],
        "Client": "Client:" + tenant.values["/v1/clients/{id}"],
        "Person": "Person:" + tenant.values["/v1/people/{id}"],
        "Risk": "Risk:AR-001",
        "RiskRevision": "RiskRevision:" + tenant.values["/v1/risks/{ref}/revisions/{revision_id}"],
        "ServiceAccount": "ServiceAccount:" + tenant.values["/v1/service-accounts/{id}"],
        "Source": "Source:" + tenant.values["/v1/sources/{id}"],
        "HookDelivery": "HookDelivery:" + tenant.values["/v1/sources/{id}/deliveries/{delivery_id}"],
        "Connection": "Connection:" + tenant.values["/v1/connections/{id}"],
        "Erasure": "Erasure:" + tenant.values[f"{INCIDENT}/erasures/{{erasure_id}}"],
        "IdentityProvider": "IdentityProvider:" + tenant.values["/v1/identity-providers/{id}"],
        "Tool": "Tool:" + tenant.values["/v1/tools/{id}"],
        "ToolDecision": "ToolDecision:" + tenant.values["/v1/tools/{id}/decisions/{decision_id}"],
        "WebhookEndpoint": "WebhookEndpoint:" + tenant.values["/v1/webhook-endpoints/{id}"],
        "WebhookDelivery": "WebhookDelivery:" + tenant.values["/v1/webhook-endpoints/{id}/deliveries/{delivery_id}"],
    }


async def test_a_node_is_found_by_its_own_tenant_alone(ours: Prepared, theirs: Prepared, together: Together) -> None:
    types = graph.schema().type_map

    async def look(name: str, id: str) -> list[str]:
        kind = types[name]
        assert isinstance(kind, GraphQLObjectType)
        query = f'{{ node(id: "{id}") {{ __typename ... on {name} {{ {graph.whole(kind, 2)} }} }} }}'
        own = await ask(ours.http, ours.boss.headers, query)
        found = [] if (own.json()["data"] or {}).get("node") else [f"{name}: {own.text[:300]}"]
        other = await ask(theirs.http, theirs.boss.headers, query)
        nobody = await ask(theirs.http, theirs.boss.headers, query.replace(id, f"{name}:{new_id()}"))
        if name != "Risk" and (other.text != nobody.text or other.json()["data"] != {"node": None}):
            found.append(f"{name} tells: {other.text[:200]} and {nobody.text[:200]}")
        return [*found, *([f"{name} leaks"] if ours.canary in other.text else [])]

    expect_none(await together(look(*one) for one in nodes(ours).items()))


async def test_no_root_field_shows_another_tenants_byte(ours: Prepared, theirs: Prepared, together: Together) -> None:
    query_type = graph.schema().query_type
    assert query_type is not None
    incident = ours.values[INCIDENT]
    given = {
        "incidentId": json.dumps(incident),
        "id": json.dumps(ours.values["/v1/sources/{id}"]),
        "ref": '"AR-001"',
        "controlId": '"CC7.3"',
        "slug": '"data-leakage"',
        "version": '"1.0.0"',
        "later": '"1.0.0"',
        "input": '{facts: {affected_individuals: 12}, clients: [{name: "A", contract: {clauses: []}}]}',
    }

    async def look(name: str) -> list[str]:
        one = query_type.fields[name]
        kind = get_named_type(one.type)
        inner = f" {{ {graph.whole(kind, 3)} }}" if isinstance(kind, GraphQLObjectType) else ""
        query = f"{{ {name}{graph.arguments(one, given.__getitem__)}{inner} }}"
        own = await ask(ours.http, ours.boss.headers, query)
        other = await ask(theirs.http, theirs.boss.headers, query)
        found = [f"{name}: {own.status_code} {own.text[:300]}"] if own.status_code != 200 or MASKED in own.text else []
        return [*found, *([f"{name} leaks"] if ours.canary in other.text or other.status_code != 200 else [])]

    names = [name for name in query_type.fields if name not in ("node",)]
    assert len(names) > 15
    expect_none(await together(look(name) for name in names))


async def test_no_mutation_reaches_another_tenants_things(
    ours: Prepared, theirs: Prepared, together: Together, stored: Callable[[Prepared], Awaitable[dict[str, str]]]
) -> None:
    from api.graphql.mutations import MUTATIONS

    before, operations = await stored(ours), graph.operations(ours.surface)

    async def call(name: str) -> list[str]:
        mutation = MUTATIONS[name]
        route = operations[mutation.endpoint]
        query, variables = graph.probe(mutation, route, ours.value, theirs.json(route) if route.takes_json else {})
        answer = await ask(theirs.http, theirs.boss.headers, query, **variables)
        data = (answer.json().get("data") or {}).get(name) or {}
        owned = any(ours.owns(place) for place in route.places)
        found = [f"{name} leaks"] if ours.canary in answer.text else []
        if owned and data.get("__typename", "").endswith("Success"):
            found.append(f"{name} reached it: {answer.text[:200]}")
        return [
            *found,
            *([f"{name}: {answer.text[:300]}"] if answer.status_code != 200 or MASKED in answer.text else []),
        ]

    expect_none(await together(call(name) for name in MUTATIONS))
    assert await stored(ours) == before


@pytest.mark.parametrize(
    ("query", "limit"),
    [
        ("{ " + " ".join(f"a{n}: serverTime" for n in range(16)) + " }", "aliases"),
        ("{ " + "__typename " * 16 + "}", "aliases"),
        ("query A { serverTime } query B { serverTime }", "operations"),
        ("{ incidents { nodes { " + "steps { incident { " * 4 + "id" + " } }" * 4 + " } } }", "levels"),
        ("{ serverTime " + "@include(if: true) " * 16 + "}", "directives"),
        ("{ incidents(first: 100) { nodes { steps { actions { step { actions { id } } } } } } }", "objects"),
        ("{ " + "serverTime " * 1_000 + "}", "tokens"),
    ],
)
async def test_a_document_has_limits(ours: Prepared, query: str, limit: str) -> None:
    answer = (await ask(ours.http, ours.boss.headers, query)).json()
    assert answer["data"] is None
    assert limit in answer["errors"][0]["message"]


async def test_a_stranger_learns_nothing(anybody: httpx.AsyncClient) -> None:
    for query in ("{ __typename }", "{ __schema { types { name } } }", "{"):
        answer = await anybody.post("/graphql", json={"query": query})
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
