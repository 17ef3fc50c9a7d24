"""Migrations: from nothing to the declared tables, and back and forth without a trace."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.dialects.postgresql import dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from app.catalogue import import_catalogue
from app.migrating import downgrade, drift, head, revision, upgrade
from app.roles import assert_walled
from domain.playbooks import catalogue
from tests.app.rows import populate, tables
from tests.cluster import Cluster

NewDatabase = Callable[..., Awaitable[str]]

REVISIONS = sorted(
    found[1]
    for path in (Path(__file__).parents[2] / "migrations" / "versions").glob("*.py")
    if (found := re.match(r"(\d{4})_", path.name))
)

# Everything about the schema that a migration can make, as text.
COLUMNS = """
SELECT c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
       || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END || coalesce(' ' || pg_get_expr(d.adbin, d.adrelid), '')
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (c.oid, a.attnum)
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
  AND c.relname <> 'alembic_version'
"""
CONSTRAINTS = """
SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
  AND conrelid <> coalesce(to_regclass('alembic_version'), 0)
"""
INDEXES = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
POLICIES = """
SELECT concat_ws(' ', tablename, policyname, permissive, roles::text, cmd, qual, with_check) FROM pg_policies
WHERE schemaname = 'public'
"""
FUNCTIONS = """
SELECT pg_get_functiondef(oid) || pg_get_userbyid(proowner) || coalesce(proacl::text, '') FROM pg_proc
WHERE pronamespace = 'public'::regnamespace
"""
TRIGGERS = "SELECT pg_get_triggerdef(t.oid) FROM pg_trigger t WHERE NOT tgisinternal"
RIGHTS = """
SELECT concat_ws(' ', table_name, grantee, privilege_type) FROM information_schema.role_table_grants
WHERE table_schema = 'public' AND table_name <> 'alembic_version'
"""


async def schema(connection: asyncpg.Connection, *queries: str) -> set[str]:
    """What the catalogue says, one text per thing."""
    return {row[0] for query in queries for row in await connection.fetch(query)}


async def everything(connection: asyncpg.Connection) -> set[str]:
    return await schema(connection, COLUMNS, CONSTRAINTS, INDEXES, POLICIES, FUNCTIONS, TRIGGERS, RIGHTS)


@pytest.fixture
async def empty(cluster: Cluster, new_database: NewDatabase) -> str:
    """Address of a database without our schema, as the superuser."""
    return cluster.superuser_dsn(await new_database(template="template0"))


async def test_the_migrated_schema_is_the_declared_one(cluster: Cluster, database_name: str, empty: str) -> None:
    migrated = await asyncpg.connect(cluster.superuser_dsn(database_name))
    declared = await asyncpg.connect(empty)
    try:
        compiled = dialect()  # type: ignore[no-untyped-call]
        for table in tables():
            await declared.execute(str(CreateTable(table).compile(dialect=compiled)))
            for index in table.indexes:
                await declared.execute(str(CreateIndex(index).compile(dialect=compiled)))
        parts = (COLUMNS, CONSTRAINTS, INDEXES)
        assert await schema(migrated, *parts) ^ await schema(declared, *parts) == set()
    finally:
        await migrated.close()
        await declared.close()


async def test_alembic_finds_no_drift(cluster: Cluster, database_name: str) -> None:
    assert await drift(cluster.superuser_dsn(database_name)) == []


async def test_upgrading_back_and_forth_leaves_the_same_schema(empty: str) -> None:
    assert await upgrade(empty) is True
    connection = await asyncpg.connect(empty)
    try:
        before = await everything(connection)
        await connection.close()
        await downgrade(empty, "base")
        connection = await asyncpg.connect(empty)
        assert await everything(connection) == set()
        await connection.close()
        assert await upgrade(empty) is True
        connection = await asyncpg.connect(empty)
        assert await everything(connection) ^ before == set()
    finally:
        await connection.close()


async def test_each_migration_goes_back_and_forth_over_data(cluster: Cluster, new_database: NewDatabase) -> None:
    dsn = cluster.superuser_dsn(await new_database())
    connection = await asyncpg.connect(dsn)
    try:
        await populate(connection, uuid4())
        before = await everything(connection)
        counts = {t.name: await connection.fetchval(f"SELECT count(*) FROM {t.name}") for t in tables()}
        for earlier in reversed(REVISIONS[:-1]):
            await downgrade(dsn, earlier)
            kept = {
                row["relname"] for row in await connection.fetch("SELECT relname FROM pg_class WHERE relkind = 'r'")
            }
            await upgrade(dsn)
            assert await everything(connection) ^ before == set(), earlier
            await connection.execute("DELETE FROM due_work WHERE kind = 'reevaluate'")  # 0035 queues what lacks offers
            for name in kept & set(counts):
                assert await connection.fetchval(f"SELECT count(*) FROM {name}") == counts[name], (earlier, name)
    finally:
        await connection.close()


async def test_a_database_at_the_head_has_nothing_to_do(cluster: Cluster, database_name: str) -> None:
    dsn = cluster.superuser_dsn(database_name)
    assert await upgrade(dsn) is False
    connection = await asyncpg.connect(dsn)
    try:
        assert await revision(connection) == head() == REVISIONS[-1]
        assert await import_catalogue(connection) is False
    finally:
        await connection.close()


async def test_two_processes_may_migrate_at_once(empty: str) -> None:
    done = await asyncio.gather(upgrade(empty), upgrade(empty))
    assert True in done
    assert await drift(empty) == []


async def test_a_service_can_start_on_a_fresh_database(cluster: Cluster, new_database: NewDatabase) -> None:
    name = await new_database(template="template0")
    await upgrade(cluster.superuser_dsn(name), runtime_password=cluster.runtime_password)
    connection = await asyncpg.connect(cluster.runtime_dsn(name))
    try:
        await assert_walled(connection)
        versions = await connection.fetch("SELECT hash, slug FROM playbook_versions")
        assert {row["hash"] for row in versions} == {playbook.hash for playbook in catalogue().list()}
        actions = await connection.fetchval("SELECT count(*) FROM playbook_actions")
        assert actions == sum(len(step.actions) for playbook in catalogue().list() for step in playbook.steps)
    finally:
        await connection.close()


async def test_a_version_shipped_with_another_content_leaves_the_earlier_one_readable(
    cluster: Cluster, new_database: NewDatabase
) -> None:
    connection = await asyncpg.connect(cluster.superuser_dsn(await new_database()))
    try:
        shipped = {row["hash"] for row in await connection.fetch("SELECT hash FROM playbook_versions")}
        await connection.execute("SET session_replication_role = replica")  # no look at references meanwhile
        for name in ("playbook_versions", "playbook_steps", "playbook_actions"):
            await connection.execute(f"UPDATE {name} SET hash = 'earlier' WHERE hash = $1", catalogue().list()[0].hash)
        await connection.execute("RESET session_replication_role")
        assert await import_catalogue(connection) is True
        assert await import_catalogue(connection) is False
        rows = await connection.fetch("SELECT hash, status FROM playbook_versions")
        assert {row["hash"] for row in rows if row["status"] == "published"} == shipped
        assert {row["hash"] for row in rows if row["status"] == "superseded"} == {"earlier"}
    finally:
        await connection.close()


async def test_an_administrator_who_is_no_superuser_can_migrate(cluster: Cluster, new_database: NewDatabase) -> None:
    """A managed PostgreSQL: the administrator may create roles and owns the database, and that is all."""
    name = await new_database(template="template0")
    superuser = await asyncpg.connect(cluster.superuser_dsn(name))
    login = f"administrator_{uuid4().hex[:8]}"
    try:
        await superuser.execute(f"CREATE ROLE {login} LOGIN CREATEROLE NOSUPERUSER PASSWORD 'secret'")
        # The roles of the cluster exist already here; on a fresh one the administrator makes them and may grant them.
        roles = "holdfast_owner, holdfast_eraser, holdfast_directory, holdfast_worker"
        await superuser.execute(f"GRANT {roles} TO {login} WITH ADMIN OPTION")
        await superuser.execute(f"ALTER DATABASE {name} OWNER TO {login}; ALTER SCHEMA public OWNER TO {login}")
        await upgrade(cluster.server.dsn(login, "secret", name))
        assert await superuser.fetchval("SELECT count(*) FROM pg_tables WHERE tableowner = 'holdfast_owner'") > 30
        for definer in ("holdfast_eraser", "holdfast_directory"):
            assert await superuser.fetchval("SELECT pg_has_role('holdfast_owner', $1, 'MEMBER')", definer) is False
    finally:
        await superuser.execute(f"REASSIGN OWNED BY {login} TO postgres; DROP OWNED BY {login}; DROP ROLE {login}")
        await superuser.close()
