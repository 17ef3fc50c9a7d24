"""Transactions: what commits, what rolls back, what a lost database looks like."""

import asyncio
import contextlib
from datetime import UTC, datetime
from types import NoneType
from typing import Any, get_args, get_type_hints
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

from app.database import Database, DatabaseAway, DatabaseBusy, Db
from domain import record
from tests.cluster import Cluster

STRUCTS: dict[str, type[msgspec.Struct]] = {
    "incidents": record.Incident,
    "step_runs": record.StepRun,
    "action_runs": record.ActionRun,
    "documents": record.Document,
    "participants": record.Participant,
    "evidence": record.Evidence,
    "notifications": record.Notification,
    "obligations": record.Obligation,
    "follow_ups": record.FollowUp,
    "control_occurrences": record.ControlOccurrence,
    "signatures": record.Signature,
    "incident_exceptions": record.ExceptionEntry,
    "incident_links": record.Link,
    "external_references": record.ExternalReference,
}


@pytest.fixture
async def tenant_id(database: Database) -> UUID:
    """A tenant with nothing but its name."""
    new = uuid4()
    async with database.transaction(new) as db:
        await db.execute("INSERT INTO tenants (tenant_id, name) VALUES ($1, 'before')", new)
    return new


async def name_of(database: Database, tenant_id: UUID) -> str:
    async with database.transaction(tenant_id, read_only=True) as db:
        name: str = await db.value("SELECT name FROM tenants")
        return name


async def rename(db: Db, name: str) -> None:
    await db.execute("UPDATE tenants SET name = $1", name)


SAMPLES: dict[Any, Any] = {
    UUID: UUID(int=7),
    str: "text",
    int: 3,
    bool: True,
    datetime: datetime(2026, 3, 2, 15, 4, 5, 678901, tzinfo=UTC),
    list[UUID]: [UUID(int=8)],
    list[str]: ["a", "b c", "ö"],
    list[Any]: [{"a": [1, None]}],
    dict[str, Any]: {"name": {"value": True}},
    Any: {"a": "b"},
    msgspec.Raw: msgspec.Raw(b"[7]"),
}


@pytest.mark.parametrize("name", sorted(STRUCTS))
async def test_a_table_keeps_every_field_of_its_struct(name: str, superuser: asyncpg.Connection) -> None:
    struct = STRUCTS[name]
    kinds = get_type_hints(struct)
    full = struct(
        **{
            field.name: SAMPLES[next(kind for kind in (get_args(hint) or (hint,)) if kind is not NoneType)]
            if (hint := kinds[field.name]) not in SAMPLES
            else SAMPLES[hint]
            for field in msgspec.structs.fields(struct)
        }
    )
    stored = await superuser.fetchval(
        f"SELECT to_jsonb(jsonb_populate_record(NULL::{name}, $1::jsonb))::text",
        msgspec.json.encode(msgspec.structs.asdict(full)).decode(),
    )
    assert msgspec.json.decode(stored, type=struct) == full


async def test_leaving_commits_and_raising_rolls_back(database: Database, tenant_id: UUID) -> None:
    async with database.transaction(tenant_id) as db:
        await rename(db, "after")
    assert await name_of(database, tenant_id) == "after"

    async def fail() -> None:
        async with database.transaction(tenant_id) as db:
            await rename(db, "never")
            raise KeyError("a refusal")

    with pytest.raises(KeyError):
        await fail()
    assert await name_of(database, tenant_id) == "after"


async def test_an_error_caught_inside_does_not_pass_for_a_commit(database: Database, tenant_id: UUID) -> None:
    async def swallow() -> None:
        async with database.transaction(tenant_id) as db:
            await rename(db, "never")
            with contextlib.suppress(asyncpg.DivisionByZeroError):
                await db.value("SELECT 1 / 0")

    with pytest.raises(asyncpg.InFailedSQLTransactionError):
        await swallow()
    assert await name_of(database, tenant_id) == "before"


async def test_a_reading_transaction_cannot_write(database: Database, tenant_id: UUID) -> None:
    async def write() -> None:
        async with database.transaction(tenant_id, read_only=True) as db:
            await rename(db, "never")

    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await write()


async def test_a_connection_never_keeps_a_tenant_or_a_limit(cluster: Cluster, database_name: str) -> None:
    database = await Database.connect(cluster.runtime_dsn(database_name), min_size=1, max_size=2)
    tenants = [uuid4() for _ in range(2)]
    for tenant in tenants:
        async with database.transaction(tenant) as db:
            await db.execute("INSERT INTO tenants (tenant_id, name) VALUES ($1, $2)", tenant, str(tenant))

    async def visit(number: int) -> None:
        tenant = tenants[number % 2]
        async with database.transaction(tenant) as db:
            await db.wall([tenant], tenant)
            assert await db.value("SELECT string_agg(name, ',') FROM tenants") == str(tenant)
            if number % 5 == 0:
                raise KeyError
            if number % 7 == 0:
                await asyncio.sleep(10)

    async def nobody() -> None:
        async with database.transaction(None) as db:
            assert await db.value("SELECT count(*) FROM tenants") == 0
            for name in ("tenant_id", "client_ids", "member_id", "incident_id"):
                assert not await db.value("SELECT current_setting($1, true)", f"app.{name}")

    async def cut(number: int) -> None:
        try:
            await asyncio.wait_for(visit(number), 0.05 if number % 7 == 0 else 5)
        except (KeyError, TimeoutError, DatabaseBusy):
            pass

    for start in range(0, 60, 6):
        await asyncio.gather(*(cut(number) for number in range(start, start + 6)), nobody())
    await nobody()
    await database.close()


async def test_cancelling_rolls_back_and_gives_the_connection_back(database: Database, tenant_id: UUID) -> None:
    begun = asyncio.Event()

    async def work() -> None:
        async with database.transaction(tenant_id) as db:
            await rename(db, "never")
            begun.set()
            await db.value("SELECT pg_sleep(30)")

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await name_of(database, tenant_id) == "before"


async def test_a_connection_that_died_in_the_pool_is_replaced(
    cluster: Cluster, database_name: str, superuser: asyncpg.Connection
) -> None:
    database = await Database.connect(cluster.runtime_dsn(database_name), min_size=3, application_name="dying")
    for _ in range(3):
        await superuser.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dying'"
        )
        assert await database.is_reachable()
    await database.close()


async def test_losing_the_connection_inside_a_transaction_reads_as_away(
    cluster: Cluster, database_name: str, superuser: asyncpg.Connection
) -> None:
    database = await Database.connect(cluster.runtime_dsn(database_name))

    async def work() -> None:
        async with database.transaction(None) as db:
            pid = await db.value("SELECT pg_backend_pid()")
            await superuser.execute("SELECT pg_terminate_backend($1)", pid)
            await db.value("SELECT 1")

    with pytest.raises(DatabaseAway):
        await work()
    assert await database.is_reachable()
    await database.close()


async def test_waiting_for_a_connection_ends(cluster: Cluster, database_name: str) -> None:
    database = await Database.connect(cluster.runtime_dsn(database_name), max_size=1, acquire_seconds=0.2)

    async def second() -> None:
        async with database.transaction(None):
            pass

    async with database.transaction(None):
        with pytest.raises(DatabaseBusy):
            await second()
    await second()
    await database.close()


async def test_waiting_for_a_lock_ends(database: Database, tenant_id: UUID) -> None:
    async def second() -> None:
        async with database.transaction(tenant_id) as db:
            await db.execute("SET LOCAL lock_timeout = '100ms'")
            await rename(db, "second")

    async with database.transaction(tenant_id) as db:
        await rename(db, "first")
        with pytest.raises(DatabaseBusy):
            await second()
    assert await name_of(database, tenant_id) == "first"


async def test_the_server_bounds_every_wait(database: Database) -> None:
    async with database.transaction(None) as db:
        bounds = {
            name: await db.value("SELECT current_setting($1)", name)
            for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "TimeZone")
        }
    assert bounds == {
        "statement_timeout": "10s",
        "lock_timeout": "4s",
        "idle_in_transaction_session_timeout": "15s",
        "TimeZone": "UTC",
    }


async def test_a_database_that_is_away_is_waited_for_and_then_reported(
    cluster: Cluster, database_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    dsn = cluster.runtime_dsn(database_name)
    gone = dsn.replace("host=", "host=/nowhere-at-all")
    assert gone != dsn
    with pytest.raises(DatabaseAway):
        await Database.connect(gone, wait_seconds=0.3)
    assert [one.levelname for one in caplog.records if "does not answer yet" in one.message] == ["WARNING"]


async def test_run_repeats_what_lost_a_race(database: Database, tenant_id: UUID) -> None:
    other = uuid4()
    async with database.transaction(other) as db:
        await db.execute("INSERT INTO tenants (tenant_id, name) VALUES ($1, 'x')", other)
    tries = 0

    async def work(db: Db) -> str:
        nonlocal tries
        tries += 1
        await rename(db, f"try {tries}")
        if tries < 3:
            raise asyncpg.SerializationError("could not serialize")
        return "done"

    assert await database.run(tenant_id, work) == "done"
    assert (tries, await name_of(database, tenant_id)) == (3, "try 3")

    async def hopeless(db: Db) -> None:
        raise asyncpg.DeadlockDetectedError("deadlock")

    with pytest.raises(DatabaseBusy):
        await database.run(tenant_id, hopeless, retries=1)


async def test_a_change_of_the_schema_does_not_fail_those_who_prepared_before(
    cluster: Cluster, database_name: str, superuser: asyncpg.Connection
) -> None:
    database = await Database.connect(cluster.runtime_dsn(database_name), max_size=1)
    await superuser.execute("CREATE TABLE changing (a integer); GRANT SELECT ON changing TO holdfast")

    async def read(db: Db) -> int:
        return len(await db.fetch("SELECT * FROM changing"))

    try:
        assert await database.run(None, read) == 0
        await superuser.execute("ALTER TABLE changing ADD COLUMN b text")
        assert await database.run(None, read) == 0
    finally:
        await superuser.execute("DROP TABLE changing")
        await database.close()
