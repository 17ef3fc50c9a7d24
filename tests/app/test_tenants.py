"""A new tenant: what it starts with, and that nobody else sees it."""

from typing import Any
from uuid import uuid4

import asyncpg
import orjson
import pytest

from app.database import Database
from app.tenants import create_tenant, find_tenant, list_tenants
from domain.refusals import Invalid
from domain.timeline import Frame, fold, holds, verify
from tests.cluster import Cluster


async def test_it_starts_with_a_person_who_may_do_everything_needed(database: Database, tenant: Any) -> None:
    async with database.transaction(tenant.tenant_id) as db:
        person = await db.row("SELECT * FROM people")
        key = await db.row("SELECT * FROM api_keys")
        risks = await db.fetch("SELECT ref, status FROM risks ORDER BY ref")
    assert person is not None and person["id"] == tenant.person_id
    assert person["roles"] == ["it_security", "risk_owner", "tenant_admin"]
    assert key is not None and (key["person_id"], key["roles"]) == (tenant.person_id, None)
    assert [risk["ref"] for risk in risks] == [f"AR-{number:03}" for number in range(1, 11)]


async def test_its_first_events_verify_and_fold_to_what_is_stored(database: Database, tenant: Any) -> None:
    async with database.transaction(tenant.tenant_id) as db:
        rows = await db.fetch(
            "SELECT e.*, d.salt, d.data::text AS data FROM events e"
            " JOIN event_data d USING (tenant_id, stream, stream_id, seq)"
        )
        stored = await db.fetch("SELECT to_jsonb(r)::text AS row FROM risks r")
    assert sorted({row["stream"] for row in rows}) == ["key", "person", "risk", "tenant"]
    for row in rows:
        frame = Frame(
            tenant=row["tenant_id"],
            stream_id=str(row["stream_id"]),
            **{name: row[name] for name in Frame.__struct_fields__ if name not in ("tenant", "stream_id")},
        )
        assert verify([frame]) is None
        assert holds(frame, row["salt"], orjson.loads(row["data"]))
    told = fold(orjson.loads(row["data"])["changes"] for row in rows)["risks"]
    for one in stored:
        row = orjson.loads(one["row"])
        folded = told[row["ref"]]
        assert {name: row[name] for name in folded if not name.endswith("_at")} == {
            name: value for name, value in folded.items() if not name.endswith("_at")
        }


async def test_no_event_and_no_row_holds_the_secret(superuser: asyncpg.Connection, tenant: Any) -> None:
    for table in ("event_data", "api_keys", "people"):
        text = await superuser.fetchval(f"SELECT string_agg(t::text, '') FROM {table} t")
        assert tenant.key not in text


async def test_the_key_is_kept_before_it_opens_anything(database: Database) -> None:
    class Full(Exception):
        pass

    kept: list[Any] = []

    def keep(new: Any) -> None:
        kept.append(new)
        raise Full

    with pytest.raises(Full):
        await create_tenant(database, "Nowhere", keep=keep)
    assert await find_tenant(database, kept[0].tenant_id) is None


@pytest.mark.parametrize("name", ["", "   ", "a\0b", "a\nb", "x" * 201])
async def test_a_name_is_a_name(database: Database, name: str) -> None:
    with pytest.raises(Invalid):
        await create_tenant(database, name)


async def test_administrators_of_the_database_see_all_tenants(
    cluster: Cluster, database_name: str, tenant: Any
) -> None:
    found = await list_tenants(cluster.superuser_dsn(database_name))
    assert tenant.tenant_id in {row["id"] for row in found}


async def test_the_owner_of_the_tables_sees_them_too_and_leaves_the_wall_up(
    cluster: Cluster, database_name: str, superuser: asyncpg.Connection, tenant: Any
) -> None:
    name = f"owner_{uuid4().hex[:8]}"
    await superuser.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'p' IN ROLE holdfast_owner")
    try:
        found = await list_tenants(cluster.server.dsn(name, "p", database_name))
        assert tenant.tenant_id in {row["id"] for row in found}
        assert await superuser.fetchval("SELECT relforcerowsecurity FROM pg_class WHERE relname = 'tenants'")
    finally:
        await superuser.execute(f"DROP ROLE {name}")


async def test_it_can_be_found_with_how_much_it_holds(database: Database, tenant: Any) -> None:
    found = await find_tenant(database, tenant.tenant_id)
    assert found is not None
    assert (found["name"], found["people"], found["clients"], found["incidents"]) == (tenant.name, 1, 0, 0)
    assert await find_tenant(database, uuid4()) is None
