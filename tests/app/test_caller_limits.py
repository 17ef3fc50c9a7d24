"""What callers limited to clients, to their own incidents or to a period see: the walls inside a tenant."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import orjson
import pytest

from app.database import Database, Db
from tests.app.rows import Row, columns, insert, populate, tables

OF_INCIDENT = [table.name for table in tables() if "incident_id" in table.columns and table.name != "hook_deliveries"]
HIDDEN = ["risks", "risk_revisions", "people", "service_accounts", "api_keys", "sources", "hook_deliveries"]
HIDDEN += ["tools", "tool_assessments", "tool_decisions", "identity_providers", "identities"]
HIDDEN += ["correlations", "unmapped_clients", "connections"]


@pytest.fixture
async def filled(superuser: asyncpg.Connection) -> tuple[UUID, dict[str, Row]]:
    """A tenant with one row in every table."""
    tenant = uuid4()
    return tenant, await populate(superuser, tenant)


async def count(db: Db, name: str) -> int:
    """How many rows of a table the transaction sees."""
    number: int = await db.value(f"SELECT count(*) FROM {name}")
    return number


def inserting(name: str, row: Row, position: int) -> str:
    """The statement that inserts a row given as the parameter at `position`."""
    table = next(table for table in tables() if table.name == name)
    names = ", ".join(column for column in columns(table) if column in row)
    return f"INSERT INTO {name} ({names}) SELECT {names} FROM jsonb_populate_record(NULL::{name}, ${position}::jsonb)"


async def test_a_client_limit_hides_what_is_not_the_clients(
    database: Database, superuser: asyncpg.Connection, filled: tuple[UUID, dict[str, Row]]
) -> None:
    tenant, rows = filled
    incident, client = UUID(rows["incidents"]["id"]), UUID(rows["clients"]["id"])
    visible = {"incidents", *OF_INCIDENT, "clients", "client_references"} - set(HIDDEN)

    async def seen(clients: list[UUID] | None) -> dict[str, int]:
        async with database.transaction(tenant) as db:
            await db.wall(clients, None)
            return {name: await count(db, name) for name in sorted(visible | set(HIDDEN))}

    assert set((await seen(None)).values()) == {1}
    unassigned = await seen([client])
    assert {name for name, number in unassigned.items() if number} == {
        "clients",
        "client_references",
        "incident_members",
    }
    await superuser.execute("UPDATE incidents SET client_ids = $2 WHERE id = $1", incident, [client])
    assert {name for name, number in (await seen([client])).items() if number} == visible
    assert {name for name, number in (await seen([client, uuid4()])).items() if number} == visible
    assert {name for name, number in (await seen([uuid4()])).items() if number} == {"incident_members"}
    assert {name for name, number in (await seen([])).items() if number} == {"incident_members"}
    await superuser.execute("UPDATE incidents SET client_ids = $2 WHERE id = $1", incident, [client, uuid4()])
    assert {name for name, number in (await seen([client])).items() if number} == {
        "clients",
        "client_references",
        "incident_members",
    }


async def test_a_client_limit_hides_events_of_what_is_hidden(database: Database, superuser: asyncpg.Connection) -> None:
    tenant = uuid4()
    rows = await populate(superuser, tenant)
    incident, client = UUID(rows["incidents"]["id"]), UUID(rows["clients"]["id"])
    for stream, stream_id in (("incident", incident), ("client", client), ("risk", uuid4())):
        await superuser.execute(
            "INSERT INTO events SELECT tenant_id, $2, $3, seq, kind, occurred_at, recorded_at, actor_kind, actor_id,"
            " data_digest, prev_hash, hash FROM events WHERE tenant_id = $1 AND stream NOT IN ('incident', 'client')"
            " LIMIT 1",
            tenant,
            stream,
            stream_id,
        )

    async def seen(clients: list[UUID] | None, member: UUID | None) -> set[str]:
        async with database.transaction(tenant) as db:
            await db.wall(clients, member)
            found = await db.fetch("SELECT stream FROM events WHERE stream IN ('incident', 'client', 'risk')")
            return {row["stream"] for row in found}

    assert await seen(None, None) == {"incident", "client", "risk"}
    assert await seen([client], None) == {"client"}
    assert await seen([uuid4()], None) == set()
    assert await seen(None, uuid4()) == {"client", "risk"}
    await superuser.execute("UPDATE incidents SET client_ids = $2 WHERE id = $1", incident, [client])
    assert await seen([client], None) == {"client", "incident"}


async def test_a_member_sees_the_incidents_it_opened_or_belongs_to(
    database: Database, superuser: asyncpg.Connection, filled: tuple[UUID, dict[str, Row]]
) -> None:
    tenant, rows = filled
    opener = UUID(rows["incidents"]["opened_by_id"])
    belongs = UUID(rows["incident_members"]["member_id"])
    for member, number in ((opener, 1), (belongs, 1), (uuid4(), 0), (None, 1)):
        async with database.transaction(tenant) as db:
            await db.wall(None, member)
            assert {await count(db, name) for name in ("incidents", "step_runs", "documents", "evidence")} == {number}


async def test_a_period_limits_incidents_by_discovery(database: Database, filled: tuple[UUID, dict[str, Row]]) -> None:
    tenant, _ = filled
    discovered = datetime(2026, 3, 2, 15, tzinfo=UTC)
    later, earlier = datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
    for period, number in (
        ((discovered, None), 1),
        ((None, discovered), 0),
        ((earlier, later), 1),
        ((later, None), 0),
        ((None, None), 1),
    ):
        async with database.transaction(tenant) as db:
            await db.wall(None, None, *period)
            assert {await count(db, name) for name in ("incidents", "action_runs", "signatures")} == {number}, period


async def test_a_caller_with_limits_can_open_an_incident_in_one_statement(
    database: Database, filled: tuple[UUID, dict[str, Row]]
) -> None:
    tenant, rows = filled
    incident, member = uuid4(), uuid4()
    header = rows["incidents"] | {"id": str(incident), "number": "INC-1002", "opened_by_id": str(member)}
    step = rows["step_runs"] | {"incident_id": str(incident)}
    statement = (
        f"WITH i AS ({inserting('incidents', header, 1)}) {inserting('step_runs', step, 2)} "
        "ON CONFLICT (tenant_id, incident_id, generation, id) DO UPDATE SET status = 'ready'"
    )

    async with database.transaction(tenant) as db:
        await db.wall(None, member)
        await db.hold(incident)
        await db.execute(statement, orjson.dumps(header).decode(), orjson.dumps(step).decode())
    async with database.transaction(tenant) as db:
        await db.wall(None, member)
        assert await count(db, "step_runs") == 1


async def test_a_caller_limited_to_clients_cannot_open_an_incident_of_others(
    database: Database, filled: tuple[UUID, dict[str, Row]]
) -> None:
    tenant, rows = filled
    table = next(table for table in tables() if table.name == "incidents")
    row = rows["incidents"] | {"id": str(uuid4()), "number": "INC-1002", "client_ids": [str(uuid4())]}

    async def open_it() -> None:
        async with database.transaction(tenant) as db:
            await db.wall([uuid4()], None)
            await db.hold(UUID(row["id"]))
            await insert(db.connection, table, row)

    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        await open_it()
