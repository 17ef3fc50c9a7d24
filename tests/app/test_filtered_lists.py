"""Lists by client, label and control: a page is a range of an index, in the order of the list, whatever the value."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest

from app.database import Database
from app.statements import compile_page, shape
from app.tenants import create_tenant
from tests.cluster import Cluster

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
# noun, sort, the filters given, and the index that holds them and the order
PAGES: tuple[tuple[str, str, dict[str, Any], str], ...] = (
    ("incident", "-number", {"client_id": uuid4()}, "incident_clients_by_number"),
    ("incident", "-number", {"label": "night"}, "incident_labels_by_number"),
    ("control_occurrence", "discovered_at", {"control": "CC7.3"}, "control_occurrences_by_discovery"),
    (
        "control_occurrence",
        "discovered_at",
        {"control": "CC7.3", "outcome": "open", "state": ["breached"]},
        "control_occurrences_by_outcome",
    ),
)


@pytest.mark.parametrize(("noun", "sort", "filters", "index"), PAGES)
async def test_a_page_is_a_range_of_one_index(
    cluster: Cluster,
    new_database: Callable[..., Awaitable[str]],
    noun: str,
    sort: str,
    filters: dict[str, Any],
    index: str,
) -> None:
    """As the runtime role, by the plan for any value, in a database of its own: neighbours' rows move plans."""
    database = await Database.connect(cluster.runtime_dsn(await new_database()), max_size=2)
    counted = tuple((name, 1) for name in sorted(filters))
    sql, bound = compile_page(noun, shape({"id": None}), frozenset(), counted, sort, True)
    start = "1001" if noun == "incident" else NOW.isoformat()
    values = {name: filters.get(name.removesuffix(".0"), NOW) for name in bound}
    values |= {"limit": 51, "value": start, "key": str(uuid4())}
    try:
        tenant = await create_tenant(database, "Listing")
        async with database.transaction(tenant.tenant_id, read_only=True) as db:
            statement = await db.connection.prepare(sql)
            rows = (await statement.explain(*(values[name] for name in bound)))[0]["Plan"]
    finally:
        await database.close()
    plan = orjson.dumps(rows).decode()
    assert f'"{index}"' in plan
    assert '"Sort"' not in plan


async def test_pages_by_label_and_client_together_are_the_list(http: httpx.AsyncClient) -> None:
    client, other = [(await http.post("/v1/clients", json={"name": name})).json()["id"] for name in ("Acme", "Bert")]
    opened = []
    for number in range(7):
        body = {
            "title": f"Case {number}",
            "labels": ["night"] if number % 2 else ["night", "odd"],
            "client_ids": [client, other] if number < 4 else [other],
        }
        opened.append((await http.post("/v1/incidents", json=body)).json())
    late, first = opened[4], opened[0]
    edited = await http.patch(f"/v1/incidents/{late['id']}", json={"client_ids": [client], "labels": ["night", "late"]})
    assert edited.status_code == 200, edited.text

    async def listed(**params: Any) -> list[str]:
        found: list[str] = []
        while True:
            page = (await http.get("/v1/incidents", params={"limit": 2, **params})).json()
            found += [one["number"] for one in page["items"]]
            if page["next_cursor"] is None:
                return found
            params["cursor"] = page["next_cursor"]

    numbers = [one["number"] for one in opened]
    assert await listed(label="night") == numbers[::-1]
    assert await listed(label="night", sort="number") == numbers
    assert await listed(label="night", sort="reported_at") == numbers
    assert await listed(label="late") == [late["number"]]
    assert await listed(label=["odd", "night"]) == [numbers[6], numbers[2], numbers[0]]
    assert await listed(client_id=client) == numbers[4::-1]
    assert await listed(client_id=client, label="odd") == [numbers[2], numbers[0]]
    assert await listed(client_id=other, status="reported", label="night") == numbers[:3:-1][:2] + numbers[3::-1]
    assert await listed(client_id=str(uuid4())) == []
    assert first["number"] in await listed(client_id=other)
