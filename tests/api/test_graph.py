"""The graph answers a query twice in different ways, and both ways say the same."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from graphql import GraphQLObjectType, get_named_type

from tests.people import report
from tests.surface import graph

ROOTS = ("incidents", "people", "risks", "clients", "timeline")


async def ask(http: httpx.AsyncClient, query: str, **variables: Any) -> dict[str, Any]:
    answer = await http.post("/graphql", json={"query": query, "variables": variables})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture
async def incident(http: httpx.AsyncClient) -> dict[str, Any]:
    client = (await http.post("/v1/clients", json={"name": "North Dental"})).json()
    await report(http, playbook="generic-ai-incident", primary_risk="AR-002")
    return await report(http, playbook="data-leakage", client_ids=[client["id"]], labels=["chat"])


async def test_both_ways_say_the_same_of_random_selections(http: httpx.AsyncClient, incident: dict[str, Any]) -> None:
    query_type = graph.schema().query_type
    assert query_type is not None
    compared = 0
    for seed in range(120):
        dice = graph.Dice(seed)
        name = ROOTS[seed % len(ROOTS)]
        one = query_type.fields[name]
        connection = get_named_type(one.type)
        assert isinstance(connection, GraphQLObjectType)
        kind = get_named_type(connection.fields["nodes"].type)
        assert isinstance(kind, GraphQLObjectType)
        nodes = dice.selection(kind, 3)
        given = f'(incidentId: "{incident["number"]}", first: 5)' if name == "timeline" else "(first: 3)"
        exact = await ask(http, f"{{ {name}{given} {{ nodes {{ {nodes} }} pageInfo {{ hasNextPage endCursor }} }} }}")
        other = await ask(
            http,
            f"{{ {name}{given} {{ nodes @include(if: true) {{ {nodes} }} pageInfo {{ hasNextPage endCursor }} }} }}",
        )
        assert exact == other, nodes
        compared += "errors" not in exact
    assert compared > 90


async def test_offers_in_the_graph_are_those_of_rest(http: httpx.AsyncClient, incident: dict[str, Any]) -> None:
    offers = "viewerCan { transition permit gate message missing { kind ref message href } }"
    found = await ask(
        http,
        f'{{ incident(id: "{incident["id"]}") {{ {offers} steps {{ key {offers} actions {{ key {offers} }} }} }} }}',
    )
    shown, told = found["data"]["incident"], (await http.get(f"/v1/incidents/{incident['id']}")).json()
    assert shown["viewerCan"] == told["allowed_transitions"]
    for step, same in zip(shown["steps"], told["steps"], strict=True):
        assert (step["key"], step["viewerCan"]) == (same["id"], same["allowed_transitions"])
        for action, twin in zip(step["actions"], same["actions"], strict=True):
            assert (action["key"], action["viewerCan"]) == (twin["id"], twin["allowed_transitions"])


async def test_a_mutation_answers_what_was_selected_of_the_changed_thing(
    http: httpx.AsyncClient, incident: dict[str, Any]
) -> None:
    query = """mutation Do($key: String) {
      transitionAction(incidentId: "%s", actionId: "DL.1.1", input: {transition: complete}, idempotencyKey: $key) {
        ... on TransitionActionSuccess { action { key status } incident { version } }
        ... on Problem { code }
      }
    }""" % incident["number"]  # noqa: UP031 (braces are GraphQL's)
    first = await ask(http, query, key="one")
    assert first["data"]["transitionAction"] == {
        "action": {"key": "DL.1.1", "status": "done"},
        "incident": {"version": 2},
    }
    assert await ask(http, query, key="one") == first
    assert (await ask(http, query, key="two"))["data"]["transitionAction"] == {"code": "state-conflict"}


async def test_a_global_id_is_taken_by_rest(http: httpx.AsyncClient, incident: dict[str, Any]) -> None:
    found = await ask(http, f'{{ incident(id: "{incident["number"]}") {{ id steps {{ id }} }} }}')
    shown = found["data"]["incident"]
    assert (await http.get(f"/v1/incidents/{shown['id']}")).json()["number"] == incident["number"]


async def test_a_refused_gate_says_what_is_missing(http: httpx.AsyncClient, incident: dict[str, Any]) -> None:
    query = """mutation { transitionStep(incidentId: "%s", stepId: "DL.1", input: {transition: complete}) {
      __typename ... on GateRefused { gate missing { kind ref } } } }""" % incident["number"]  # noqa: UP031
    refused = (await ask(http, query))["data"]["transitionStep"]
    assert refused["__typename"] == "GateRefused"
    told = await http.post(f"/v1/incidents/{incident['id']}/steps/DL.1/transitions", json={"transition": "complete"})
    assert refused["gate"] == told.json()["gate"]
    assert refused["missing"] == [{"kind": one["kind"], "ref": one["ref"]} for one in told.json()["missing"]]


@pytest.mark.parametrize(
    "query",
    [
        '{ incidents(filter: {q: "\\u0000"}) { nodes { id } } }',
        '{ node(id: "Risk:AR\\u0000") { id } }',
        'mutation { reportIncident(input: {title: "a\\u0000b"}) { __typename } }',
        'mutation { reportIncident(input: {title: "a", facts: {x: 9007199254740993}}) { __typename } }',
        'mutation { reportIncident(input: {title: "a", facts: {x: 1e999}}) { __typename } }',
        f'mutation {{ reportIncident(input: {{title: "a", facts: {{x: {"[" * 65}{"]" * 65}}}}}) {{ __typename }} }}',
    ],
)
async def test_what_no_strict_body_holds_is_not_written_into_a_document_either(
    http: httpx.AsyncClient, query: str
) -> None:
    answer = await ask(http, query)
    assert answer["data"] is None
    assert answer["errors"][0]["extensions"]["code"] == "invalid-input"
    assert "cannot be kept" in answer["errors"][0]["message"]


async def test_a_place_in_a_timeline_that_cannot_be_is_nothing(
    http: httpx.AsyncClient, incident: dict[str, Any]
) -> None:
    for place in ("0", "-1", "99999999999999", "x"):
        found = await ask(http, f'{{ node(id: "TimelineEvent:{incident["id"]}:{place}") {{ id }} }}')
        assert found == {"data": {"node": None}}
