"""The trusted documents: each screen in one round trip, far below every limit, and found by its id."""

from __future__ import annotations

from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from graphql.validation.rules import overlapping_fields_can_be_merged

from app.settings import Settings
from tests.conftest import serving
from tests.people import report
from tests.sockets import BOARD, console
from tests.surface import graph

FOLDER = Path(__file__).resolve().parents[2] / "openapi" / "operations"
SCREENS = {path.stem: path for path in sorted(FOLDER.glob("*.graphql"))}
SHARE = 0.6


def id_of(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


@pytest.fixture
async def variables(http: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    """What each screen needs, for a tenant with an incident."""
    client = (await http.post("/v1/clients", json={"name": "North Dental"})).json()
    made = await report(http, playbook="data-leakage", client_ids=[client["id"]])
    incident = f"Incident:{made['id']}"
    return {
        "incident": {"id": incident},
        "checklist": {"incident": incident, "step": f"Step:{made['id']}:DL.1"},
        "control_occurrences": {"control": "CC7.3"},
    }


@pytest.fixture(scope="session")
async def strict(settings: Settings) -> AsyncIterator[str]:
    """Address of a service that runs trusted documents alone."""
    from api.server import create_api

    async with serving(create_api(settings.model_copy(update={"graphql_trusted_only": True}))) as address:
        yield address


def test_there_are_the_six_screens() -> None:
    assert set(SCREENS) == {"board", "incident", "checklist", "duties", "control_occurrences", "risks"}


@pytest.mark.parametrize("screen", SCREENS)
def test_a_screen_asks_for_less_than_60_percent_of_every_limit(screen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from api.graphql import cost, documents

    for name in ("BYTES_MAX", "TOKENS_MAX", "DEPTH_MAX", "ALIASES_MAX", "DIRECTIVES_MAX"):
        for module in (cost, documents):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, int(getattr(module, name) * SHARE))
    budget = int(cost.COMPARISONS_MAX * SHARE)
    monkeypatch.setattr(overlapping_fields_can_be_merged, "MAX_COMPLEXITY_BUDGET", budget)
    read = documents._read(SCREENS[screen].read_text(), graph.schema())
    assert cost.cost_of(read.operation, read.fragments, {}) <= cost.COST_MAX * SHARE


@pytest.mark.parametrize("screen", SCREENS)
async def test_a_screen_is_answered_exactly_in_one_round_trip(
    http: httpx.AsyncClient, variables: dict[str, dict[str, Any]], screen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from api.graphql import answering

    ordinary: list[str] = []
    by_executor = answering._ordinarily

    async def watched(*given: Any) -> bytes:
        ordinary.append(screen)
        return await by_executor(*given)

    monkeypatch.setattr(answering, "_ordinarily", watched)
    body = {"documentId": id_of(SCREENS[screen]), "variables": variables.get(screen, {})}
    answer = await http.post("/graphql", json=body)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert "errors" not in told, told
    assert all(value is not None for value in told["data"].values())
    assert ordinary == []
    assert (
        await http.post("/graphql", json={**body, "documentId": None, "query": SCREENS[screen].read_text()})
    ).json()["data"].keys() == told["data"].keys()


async def test_the_board_shows_the_incident(http: httpx.AsyncClient, variables: dict[str, dict[str, Any]]) -> None:
    hashed = {"persistedQuery": {"version": 1, "sha256Hash": id_of(SCREENS["board"])}}
    told = (await http.post("/graphql", json={"extensions": hashed})).json()["data"]
    (shown,) = told["incidents"]["nodes"]
    assert shown["id"] == variables["incident"]["id"]
    assert shown["clients"][0]["name"] == "North Dental"
    assert shown["steps"][0]["actions"][0]["key"] == "DL.1.1"


async def test_an_unknown_id_asks_for_the_document_and_a_wrong_one_is_refused(http: httpx.AsyncClient) -> None:
    query = "{ serverTime }"
    unknown = {"persistedQuery": {"version": 1, "sha256Hash": sha256(query.encode()).hexdigest()}}
    told = (await http.post("/graphql", json={"extensions": unknown})).json()
    assert (told["data"], told["errors"][0]["extensions"]["code"]) == (None, "PERSISTED_QUERY_NOT_FOUND")
    assert "errors" not in (await http.post("/graphql", json={"query": query, "extensions": unknown})).json()
    wrong = (await http.post("/graphql", json={"query": query, "documentId": "0" * 64})).json()
    assert wrong["errors"][0]["extensions"]["code"] == "invalid-document"
    for body in ({}, {"documentId": "short"}, {"documentId": "g" * 64}, {"extensions": {"persistedQuery": {}}}):
        assert (await http.post("/graphql", json=body)).status_code == 422


async def test_only_trusted_documents_are_run_where_nothing_else_may(
    http: httpx.AsyncClient, strict: str, variables: dict[str, dict[str, Any]]
) -> None:
    async with httpx.AsyncClient(base_url=strict, headers=http.headers, timeout=30, trust_env=False) as door:
        refused = (await door.post("/graphql", json={"query": "{ serverTime }"})).json()
        assert (refused["data"], refused["errors"][0]["extensions"]["code"]) == (None, "untrusted-document")
        mutation = 'mutation { addClient(input: {name: "X"}) { __typename } }'
        assert (await door.post("/graphql", json={"query": mutation})).json()["data"] is None
        for body in ({"query": SCREENS["duties"].read_text()}, {"documentId": f"sha256:{id_of(SCREENS['duties'])}"}):
            assert "errors" not in (await door.post("/graphql", json=body)).json()


async def test_nothing_else_is_followed_over_a_socket_either(strict: str, tenant: Any) -> None:
    async with console(strict, tenant.key) as live:
        await live.subscribe(BOARD % "")
        message = await live.hear()
        assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "untrusted-document")
