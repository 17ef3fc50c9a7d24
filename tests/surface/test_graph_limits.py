"""What a document may ask for, each limit at its edge; and the ways in which graphs are usually attacked.

The attacks are those that the public tool graphql-cop tries, signed in and not.
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from graphql import GraphQLObjectType

from app.database import Database
from tests.people import Somebody, add_person
from tests.surface import graph
from tests.surface.prepared import INCIDENT, Prepared

SELECTED = "{ nodes { id } }"
SPREADING = "fragment F on Incident { id ...G } fragment G on Incident { number }"
DEEP = 9  # with the values of the innermost object


async def ask(by: httpx.AsyncClient, headers: dict[str, str], query: str, **variables: Any) -> dict[str, Any]:
    answer = await by.post("/graphql", headers=headers, json={"query": query, "variables": variables})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def nested(levels: int, wrap: str = "{}") -> str:
    """A query of so many levels: incidents, nodes, then steps and their incident in turn. `wrap` holds a selection."""
    names = ["steps" if n % 2 == 0 else "incident" for n in range(levels - 3)]
    inner = "id"
    for name in reversed(names):
        inner = f"{name} {{ {wrap.format(inner)} }}"
    return f"{{ incidents(first: 1) {{ nodes {{ {inner} }} }} }}"


def through_fragments(levels: int) -> str:
    """The same with the last three levels in fragments, one spreading the other."""
    last = (levels - 5) % 2
    names = ["Incident", "Step"] if last == 0 else ["Step", "Incident"]
    member = ["steps", "incident"] if last == 0 else ["incident", "steps"]
    document = nested(levels - 2).replace(" id ", " ...A ")
    first = f"fragment A on {names[0]} {{ {member[0]} {{ ...B }} }}"
    return f"{document} {first} fragment B on {names[1]} {{ {member[1]} {{ id }} }}"


def tokens(count: int) -> str:
    """A document of so many tokens: every plain field of an incident in turn, so that none repeats too often."""
    kind = graph.schema().type_map["Incident"]
    assert isinstance(kind, GraphQLObjectType)
    names = graph.leaves(kind)
    fields = (names * count)[: count - 13]
    return f"{{ incidents(first: 1) {{ nodes {{ {' '.join(fields)} }} }} }}"


def sized(count: int) -> str:
    """A document of so many bytes, some of them of letters that take two."""
    comment = "# " + "ä" * 5
    short = f"{{ serverTime }}\n{comment}"
    return short + "x" * (count - len(short.encode()))


def costing(more: int) -> str:
    """A query for 4,997 objects and `more`."""
    every = "a: incidents(first: 100) { nodes { steps { actions { id } } } }"  # 1 + 100 * (1 + 5 * (1 + 7))
    steps = "b: incidents(first: 100) { nodes { steps { id } } } c: incidents(first: $few) { nodes { steps { id } } }"
    one_each = " ".join(f"v{number}: viewer {{ roles }}" for number in range(more))
    return f"query Q($few: Int) {{ {every} {steps} {one_each} }}"


def aliases(count: int) -> str:
    """So many aliases, counted where they are executed: half of them by a fragment that is spread twice."""
    spread, rest = divmod(count, 2)
    inside = " ".join(f"a{n}: id" for n in range(spread))
    plain = "b: id" if rest else ""
    document = f"{{ incidents(first: 1) {{ nodes {{ ...F {plain} ... {{ ...F }} }} }} }}"
    return f"{document} fragment F on Incident {{ {inside} }}"


def directives(count: int) -> str:
    """So many directives, on fields, spreads and fragments in line."""
    yes = "@include(if: $yes)"
    places = [f"...F {yes}", f"... {yes} {{ id }}", *([f"id {yes}"] * (count - 2))]
    document = f"query Q($yes: Boolean!) {{ incidents(first: 1) {{ nodes {{ {' '.join(places)} }} }} }}"
    return f"{document} fragment F on Incident {{ id }}"


@pytest.mark.parametrize(
    ("at_most", "too_much", "what"),
    [
        (nested(DEEP), nested(DEEP + 1), "8 levels"),
        (nested(DEEP, "... {{ {} }}"), nested(DEEP + 1, "... {{ {} }}"), "8 levels"),
        (through_fragments(DEEP), through_fragments(DEEP + 1), "8 levels"),
        (tokens(1_000), tokens(1_001), "1000 tokens"),
        (aliases(14), aliases(16), "15 aliases"),
        ("{ " + "__typename " * 15 + "}", "{ " + "__typename " * 16 + "}", "15 aliases"),
        ("query A { serverTime }", "query A { serverTime } query B { serverTime }", "1 operations"),
        (costing(3), costing(4), "5000 objects"),
        (directives(15), directives(16), "15 directives"),
    ],
)
async def test_a_limit_is_met_and_passed_by_one(ours: Prepared, at_most: str, too_much: str, what: str) -> None:
    variables = {name: value for name, value in {"few": 49, "yes": True}.items() if f"${name}" in at_most}
    met = await ask(ours.http, ours.boss.headers, at_most, **variables)
    assert "errors" not in met, met
    passed = await ask(ours.http, ours.boss.headers, too_much, **variables)
    assert passed["data"] is None
    assert what in passed["errors"][0]["message"]
    assert passed["errors"][0]["extensions"]["code"] == "query-too-large"


async def test_fifteen_aliases_are_met_in_one_selection(ours: Prepared) -> None:
    found = await ask(ours.http, ours.boss.headers, aliases(15))
    assert "errors" not in found


async def test_bytes_are_counted_not_letters(ours: Prepared) -> None:
    assert "errors" not in await ask(ours.http, ours.boss.headers, sized(15_000))
    refused = await ask(ours.http, ours.boss.headers, sized(15_001))
    assert "15000 bytes" in refused["errors"][0]["message"]
    far = await ours.http.post("/graphql", headers=ours.boss.headers, json={"query": sized(15_100)})
    assert far.status_code == 422


async def test_the_cost_counts_what_a_variable_asks_for(ours: Prepared) -> None:
    query = costing(3)
    assert "errors" not in await ask(ours.http, ours.boss.headers, query, few=49)
    assert "5000 objects" in (await ask(ours.http, ours.boss.headers, query, few=50))["errors"][0]["message"]
    defaulted = query.replace("$few: Int", "$few: Int = 50")
    assert "5000 objects" in (await ask(ours.http, ours.boss.headers, defaulted))["errors"][0]["message"]


async def test_at_most_five_errors_are_told(ours: Prepared) -> None:
    for count in (5, 6, 12):
        unknown = " ".join(f"nothing{n}" for n in range(count))
        assert len((await ask(ours.http, ours.boss.headers, f"{{ {unknown} }}"))["errors"]) == 5


@pytest.mark.parametrize("first", ["0", "-1", "101", "2147483647"])
async def test_a_page_holds_one_to_a_hundred(ours: Prepared, first: str) -> None:
    refused = await ask(ours.http, ours.boss.headers, f"{{ incidents(first: {first}) {SELECTED} }}")
    assert refused["data"] is None
    assert refused["errors"][0]["extensions"]["code"] == "invalid-input"
    assert "1 to 100" in refused["errors"][0]["message"]


@pytest.mark.parametrize(
    "arguments", ["first: 99999999999", "last: 5", "first: 5, last: 5", 'before: "x"', "first: 1.5", 'first: "5"']
)
async def test_a_page_goes_forward_alone(ours: Prepared, arguments: str) -> None:
    refused = await ask(ours.http, ours.boss.headers, f"{{ incidents({arguments}) {SELECTED} }}")
    assert refused["data"] is None
    assert refused["errors"][0]["extensions"]["code"] == "invalid-document"


@pytest.mark.parametrize(
    "query",
    [
        "{ viewer { " + "name " * 900 + "} }",
        "{ incidents { nodes { " + "steps { id } " * 200 + "} } }",
        "{ incidents { nodes { ...F0 } } } "
        + " ".join(f"fragment F{n} on Incident {{ id ...F{n + 1} ...F{n + 1} }}" for n in range(50))
        + " fragment F50 on Incident { id }",
        "{ incidents { nodes { ...F } } } " + SPREADING.replace("number", "...F"),
    ],
)
async def test_what_repeats_or_nests_without_end_is_refused_before_it_costs(ours: Prepared, query: str) -> None:
    refused = await ask(ours.http, ours.boss.headers, query)
    assert refused["data"] is None
    assert refused["errors"][0]["extensions"]["code"] in ("query-too-large", "invalid-document")


# -- the ways of graphql-cop -------------------------------------------------------------------------------------------

INTROSPECTION = "{ __schema { types { name fields { name type { fields { name type { fields { name } } } } } } } }"
CIRCULAR = "{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }"
ATTACKS = {
    "alias overloading": "query cop { " + " ".join(f"alias{n}: __typename" for n in range(101)) + " }",
    "directive overloading": "query cop { __typename " + "@aa" * 10 + " }",
    "directive overloading, known": "query cop { __typename " + "@skip(if: false) " * 20 + "}",
    "field duplication": "query cop { " + "__typename \n" * 500 + "}",
    "circular introspection": CIRCULAR,
    "introspection": INTROSPECTION,
    "introspection of one type": '{ __type(name: "Query") { name } }',
    "suggestions": "query cop { incident_ }",
    "unhandled error": "qwerty cop { abc }",
}
BODIES: dict[str, dict[str, Any]] = {
    "batch": {"json": [{"query": "query cop { __typename }"}] * 10},
    "urlencoded": {"data": {"query": "query cop { __typename }"}},
    "multipart": {"files": {"operations": (None, '{"query": "{ __typename }"}'), "map": (None, "{}")}},
    "text": {"content": '{"query": "{ __typename }"}', "headers": {"content-type": "text/plain"}},
    "graphql": {"content": "{ __typename }", "headers": {"content-type": "application/graphql"}},
}


@pytest.fixture
async def member(database: Database, ours: Prepared) -> Somebody:
    """A person without any grant for the schema."""
    return await add_person(database, ours.tenant_id, "security_lead")


@pytest.mark.parametrize("attack", ATTACKS)
async def test_an_attack_gets_nothing(
    ours: Prepared, member: Somebody, anybody: httpx.AsyncClient, attack: str
) -> None:
    body = {"query": ATTACKS[attack], "operationName": "cop"}
    signed_in = await anybody.post("/graphql", headers=member.headers, json=body)
    assert signed_in.status_code == 200
    assert signed_in.json()["data"] is None
    told = signed_in.text.lower()
    assert not any(word in told for word in ("did you mean", "traceback", "stacktrace", "exception", ".py", "select "))
    stranger = await anybody.post("/graphql", json=body)
    assert (stranger.status_code, stranger.json()["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("signed", [True, False])
async def test_only_one_document_as_json_is_taken(
    member: Somebody, anybody: httpx.AsyncClient, kind: str, signed: bool
) -> None:
    given = BODIES[kind]
    headers = (member.headers if signed else {}) | given.get("headers", {})
    answer = await anybody.post("/graphql", **{**given, "headers": headers})
    assert answer.status_code in ((415, 422) if signed else (401, 415, 422))
    assert "data" not in answer.json()


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize(
    "query", ["query cop { __typename }", 'mutation cop { addClient(input: {name: "X"}) { __typename } }']
)
async def test_nothing_is_asked_by_get(member: Somebody, anybody: httpx.AsyncClient, query: str, signed: bool) -> None:
    accept = {"accept": "text/html"} | (member.headers if signed else {})
    for address in ("/graphql", "/graphiql", "/playground", "/v1/graphql"):
        answer = await anybody.get(address, params={"query": query}, headers=accept)
        assert answer.status_code in (401, 404, 405)
        assert "graphiql" not in answer.text.lower()


async def test_no_tracing_is_told(ours: Prepared, member: Somebody) -> None:
    headers = member.headers | {"x-apollo-tracing": "1", "apollo-query-plan-experimental": "1"}
    assert await ask(ours.http, headers, "query cop { __typename }") == {"data": {"__typename": "Query"}}


async def test_the_schema_is_told_to_those_with_a_grant(ours: Prepared, member: Somebody) -> None:
    from graphql import get_introspection_query

    usual = get_introspection_query(descriptions=False)
    told = await ask(ours.http, ours.boss.headers, usual)
    assert "errors" not in told
    refused = await ask(ours.http, member.headers, usual)
    assert refused["errors"][0]["extensions"]["code"] == "forbidden"
    assert json.dumps(refused).count("incident") == 0


@pytest.mark.parametrize(
    "given", ["\0", "' or 1=1 --", "💥" * 100, "x" * 10_000, "99999999999999999999", "../../etc/passwd"]
)
async def test_odd_values_are_answered_in_words(ours: Prepared, given: str) -> None:
    query = """query Odd($text: String!, $id: ID!) {
      node(id: $id) { id }
      byId: incident(id: $id) { id }
      incidents(first: 1, filter: {q: $text, label: [$text], externalId: $text}) { nodes { id } }
      after: incidents(first: 1, after: $text) { nodes { id } }
      timeline(incidentId: $id, first: 1) { nodes { id } }
      controlOccurrences(controlId: $id, first: 1) { nodes { id } }
      playbook(slug: $text) { slug }
      incidentMetrics(groupBy: $text) { timeZone }
      aiServices(q: $text) { slug }
    }"""
    answer = await ours.http.post(
        "/graphql", headers=ours.boss.headers, json={"query": query, "variables": {"text": given, "id": given}}
    )
    assert answer.status_code in (200, 400, 422)
    assert '"internal"' not in answer.text
    assert not any(word in answer.text for word in ("Traceback", "asyncpg", "pydantic", ".py"))
    assert ours.values[INCIDENT] not in answer.text or "or 1=1" not in given
