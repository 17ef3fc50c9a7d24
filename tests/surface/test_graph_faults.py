"""Faults on our side, forced in every resolver: the caller gets a reference, and nothing of what is inside (GQ5)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from graphql import GraphQLObjectType, get_named_type

from tests.cluster import Cluster
from tests.sockets import console
from tests.surface import graph
from tests.surface.contract import expect_none
from tests.surface.prepared import INCIDENT, Prepared
from tests.surface.test_graph import ask, nodes

Together = Callable[[Any], Awaitable[list[Any]]]
KEPT = frozenset({"tenants", "tenant_settings", "people", "api_keys", "service_accounts", "alembic_version"})
"""What a caller is recognised by. Every other table is away while a fault is forced."""
HERE = str(Path(__file__).parents[2]).lower()
INSIDE = ("select ", "insert ", "relation", "asyncpg", "undefinedtable", "traceback", ".py", f"{HERE}/", "_away")
WAYS = {"exactly": "", "ordinarily": " @include(if: true)"}
FAULT = "internal-error"
OF_EACH_KIND = {"incidents", "timeline", "duties", "heatMap", "incident", "node Incident", "node Step"}
"""Root fields of each kind: pages, objects that REST answers whole, single things."""


@asynccontextmanager
async def broken(cluster: Cluster, name: str) -> AsyncIterator[None]:
    """A database in which nothing but callers can be found."""
    connection = await asyncpg.connect(cluster.superuser_dsn(name))
    tables = [
        row["relname"]
        for row in await connection.fetch(
            "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'"
        )
        if row["relname"] not in KEPT
    ]
    try:
        await connection.execute(";".join(f"alter table {one} rename to {one}_away" for one in tables))
        yield
    finally:
        await connection.execute(";".join(f"alter table if exists {one}_away rename to {one}" for one in tables))
        await connection.close()


def faults(name: str, answer: Any) -> list[str]:
    """What an answer tells that it must not, or does not tell that it must."""
    told = answer.json()
    found = [f"{name} tells `{word}`: {answer.text[:200]}" for word in INSIDE if word in answer.text.lower()]
    if answer.status_code == 500:
        assert told["code"] == FAULT, told
        return [*found, *([] if told["request_id"] == answer.headers["x-request-id"] else [f"{name}: no reference"])]
    for error in told.get("errors", ()):
        if error["extensions"]["code"] == "internal":
            reference = error["extensions"]["reference"]
            found += [] if reference == answer.headers["x-request-id"] else [f"{name}: {reference} is no reference"]
    return found


def is_fault(answer: Any) -> bool:
    codes = [error["extensions"]["code"] for error in answer.json().get("errors", ())]
    return answer.status_code == 500 or "internal" in codes


def root_fields(tenant: Prepared, way: str) -> Iterator[tuple[str, str]]:
    """A query for each root field, in one of the two ways of answering."""
    from api.graphql.root_fields import PAGES, WHOLES

    operations, query_type = graph.operations(tenant.surface), graph.schema().query_type
    assert query_type is not None
    for root in (*PAGES.values(), *WHOLES.values()):
        one, operation = query_type.fields[root.name], operations[root.endpoint]
        places = {graph._camel(place.rpartition("{")[2].rstrip("}")): tenant.value(place) for place in operation.places}
        given = {**{key: json.dumps(value) for key, value in places.items()}, "input": "{facts: {}}"}
        kind = get_named_type(one.type)
        assert isinstance(kind, GraphQLObjectType)
        inner = " ".join(graph.leaves(kind)) or f"{next(iter(kind.fields))} {{ __typename }}"
        yield root.name, f"{{ {root.name}{graph.arguments(one, given.__getitem__)}{way} {{ {inner} }} }}"
    yield "incident", f'{{ incident(id: "{tenant.values[INCIDENT]}"){way} {{ number }} }}'
    for name, id in nodes(tenant).items():
        yield f"node {name}", f'{{ node(id: "{id}"){way} {{ ... on {name} {{ id }} }} }}'


@pytest.mark.parametrize("way", WAYS)
async def test_a_fault_of_any_root_field_is_a_reference_alone(
    ours: Prepared, cluster: Cluster, database_name: str, together: Together, way: str
) -> None:
    queries = dict(root_fields(ours, WAYS[way]))
    well: set[str] = set()

    async def call(name: str, query: str) -> list[str]:
        answer = await ask(ours.http, ours.boss.headers, query)
        well.update([] if is_fault(answer) else [name])
        return faults(name, answer)

    async with broken(cluster, database_name):
        found = await together(call(*one) for one in queries.items())
    expect_none(found)
    assert len(queries) - len(well) > 35, well
    assert OF_EACH_KIND & well == set()
    after = await ask(ours.http, ours.boss.headers, queries["incidents"])
    assert "errors" not in after.json()


async def test_a_fault_of_any_mutation_is_a_reference_alone(
    ours: Prepared, cluster: Cluster, database_name: str, together: Together
) -> None:
    from api.graphql.mutations import MUTATIONS

    operations, met = graph.operations(ours.surface), set[str]()

    async def call(name: str) -> list[str]:
        operation = operations[MUTATIONS[name].endpoint]
        body = ours.json(operation) if operation.takes_json else {}
        query, variables = graph.probe(MUTATIONS[name], operation, ours.value, body)
        answer = await ask(ours.http, ours.boss.headers, query, **variables)
        met.update([name] if is_fault(answer) else [])
        return faults(name, answer)

    async with broken(cluster, database_name):
        found = await together(call(name) for name in MUTATIONS)
    expect_none(found)
    assert len(met) > 40, set(MUTATIONS) - met


@pytest.mark.parametrize("way", WAYS)
async def test_a_fault_of_a_subscription_is_a_reference_alone(
    ours: Prepared, cluster: Cluster, database_name: str, address: str, way: str
) -> None:
    wanted = f'incidentChanged(id: "{ours.values[INCIDENT]}") {{ incident{WAYS[way]} {{ number }} }}'
    async with console(address, ours.boss.key) as live, broken(cluster, database_name):
        await live.subscribe(f"subscription {{ {wanted} }}")
        message = await live.hear()
    (error,) = message["payload"]
    assert (message["type"], error["extensions"]["code"]) == ("error", "internal")
    assert error["extensions"]["reference"]
    assert not [word for word in INSIDE if word in json.dumps(message).lower()]


async def test_a_value_that_no_type_holds_is_not_quoted(ours: Prepared, cluster: Cluster, database_name: str) -> None:
    client = ours.values["/v1/clients/{id}"]
    connection = await asyncpg.connect(cluster.superuser_dsn(database_name))
    try:
        await connection.execute("alter table clients disable trigger user")
        await connection.execute("update clients set hipaa_role = 'an odd secret' where id = $1", client)
        query = f'{{ node(id: "Client:{client}") {{ ... on Client {{ name hipaaRole @include(if: true) }} }} }}'
        answer = await ask(ours.http, ours.boss.headers, query)
    finally:
        await connection.execute("update clients set hipaa_role = null where id = $1", client)
        await connection.execute("alter table clients enable trigger user")
        await connection.close()
    assert answer.json()["data"]["node"]["hipaaRole"] is None
    assert [error["extensions"]["code"] for error in answer.json()["errors"]] == ["internal"]
    assert "secret" not in answer.text


async def test_an_argument_that_cannot_be_meant_is_told(ours: Prepared) -> None:
    query = "query Q($first: Int = 5) { incidents(first: $first) { nodes { id } } }"
    answer = (await ask(ours.http, ours.boss.headers, query, first=None)).json()
    assert answer["errors"][0]["extensions"]["code"] in ("invalid-document", "invalid-input")
    assert "first" in answer["errors"][0]["message"]


@pytest.mark.parametrize("way", WAYS)
async def test_a_database_that_takes_too_long_is_named_by_both_ways(
    ours: Prepared, cluster: Cluster, database_name: str, way: str
) -> None:
    connection = await asyncpg.connect(cluster.superuser_dsn(database_name))
    try:
        async with connection.transaction():
            await connection.execute("lock table risks in access exclusive mode")
            answer = await ask(ours.http, ours.boss.headers, f"{{ risks{WAYS[way]} {{ nodes {{ id }} }} }}")
    finally:
        await connection.close()
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"]
