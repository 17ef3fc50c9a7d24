"""The public scanner of graphs, graphql-cop, rewritten: what it tries, and what it takes for a finding.

It finds nothing here, signed in or not; and plenty in a graph with the defaults of the library.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import strawberry
from starlette.applications import Starlette
from starlette.routing import Route
from strawberry.asgi import GraphQL

from app.database import Database
from tests.conftest import serving
from tests.people import Somebody, add_person
from tests.surface.prepared import Prepared

Told = Callable[[Any], bool]
REPEATED = "__typename \n" * 500
NESTED = "fields { type { " * 4 + "name" + " } }" * 4
CIRCLE = "query { __schema { ...A } } fragment A on __Schema { __typename ...B } fragment B on __Schema { ...A }"
IDES = ("/graphiql", "/playground", "/console", "/graphql")


def data(answer: Any) -> dict[str, Any]:
    found = answer.get("data") if isinstance(answer, dict) else None
    return found if isinstance(found, dict) else {}


BY_DOCUMENT: dict[str, tuple[str, Told]] = {
    "alias overloading": (
        "query { " + " ".join(f"alias{n}: __typename" for n in range(101)) + " }",
        lambda answer: "alias100" in data(answer),
    ),
    "directive overloading": (
        "query { __typename @aa@aa@aa@aa@aa@aa@aa@aa@aa@aa }",
        lambda answer: len(answer.get("errors", ())) >= 10,
    ),
    "field duplication": (f"query {{ {REPEATED} }}", lambda answer: "__typename" in data(answer)),
    "circular introspection": (
        f"query {{ __schema {{ types {{ {NESTED} }} }} }}",
        lambda answer: "__schema" in data(answer),
    ),
    "circular fragment": (CIRCLE, lambda answer: "errors" not in answer),
    "introspection": ("query { __schema { types { name } } }", lambda answer: "__schema" in data(answer)),
    "suggestions": ("query { __schema { directive } }", lambda answer: "Did you mean" in str(answer)),
    "tracing": ("query { __typename }", lambda answer: "tracing" in str(answer) or "stacktrace" in str(answer).lower()),
    "unhandled error": ("qwerty cop { abc }", lambda answer: "exception" in str(answer).lower()),
}
"""What is tried -> the document, and whether its answer is a finding."""


async def findings(http: httpx.AsyncClient, headers: dict[str, str]) -> set[str]:
    """What the scanner would report of the graph at /graphql."""
    found = set()
    for name, (document, is_found) in BY_DOCUMENT.items():
        answer = await http.post("/graphql", json={"query": document}, headers=headers)
        found |= {name} if is_found(answer.json()) else set()
    batch = await http.post("/graphql", json=[{"query": "query { __typename }"}] * 10, headers=headers)
    found |= {"batching"} if isinstance(told(batch), list) else set()
    for name, document in {
        "queries by GET": "query { __typename }",
        "mutations by GET": "mutation { __typename }",
    }.items():
        answer = await http.get("/graphql", params={"query": document}, headers=headers)
        found |= {name} if "__typename" in data(told(answer)) else set()
    form = await http.post("/graphql", data={"query": "query { __typename }"}, headers=headers)
    inside = await http.post("/graphql", params={"query": "query { __typename }"}, headers=headers)
    found |= {"queries by form"} if any("__typename" in data(told(one)) for one in (form, inside)) else set()
    for address in IDES:
        answer = await http.get(address, headers={**headers, "accept": "text/html"})
        found |= {"console"} if "graphiql" in answer.text.lower() or "graphql-playground" in answer.text else set()
    return found


def told(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None


@pytest.fixture
async def member(database: Database, ours: Prepared) -> Somebody:
    """A person without the grant for the schema."""
    return await add_person(database, ours.tenant_id, "security_lead")


@pytest.fixture
async def weak() -> AsyncIterator[httpx.AsyncClient]:
    """A graph with the defaults of the library."""

    @strawberry.type
    class Query:
        """What can be read."""

        name: str = "weak"

    async with (
        serving(Starlette(routes=[Route("/graphql", GraphQL(strawberry.Schema(query=Query)))])) as address,
        httpx.AsyncClient(base_url=address, trust_env=False) as http,
    ):
        yield http


async def test_the_scanner_finds_nothing(anybody: httpx.AsyncClient, member: Somebody) -> None:
    assert await findings(anybody, member.headers) == set()
    assert await findings(anybody, {}) == set()


async def test_the_scanner_finds_what_there_is_to_find(weak: httpx.AsyncClient) -> None:
    assert await findings(weak, {}) >= {
        "alias overloading",
        "directive overloading",
        "introspection",
        "suggestions",
        "queries by GET",
        "console",
    }
