"""The walls between tenants: what the catalogue of the database says, and what the service's own role can do."""

from uuid import UUID, uuid4

import asyncpg
import pytest

from app.database import Database, Db, NotWalled
from app.roles import assert_walled
from app.waiting_tenants import DUE_WORK, waiting_tenants
from tests.app.rows import Row, insert, populate, tables
from tests.cluster import Cluster

TENANT_TABLES = [table for table in tables() if "tenant_id" in table.columns]
# The service reads shipped playbooks; only a migration writes them.
READ_ONLY = {"playbook_versions", "playbook_steps", "playbook_actions"}
APPEND_ONLY = {"events", "event_data", "log_entries"}
NEVER_CHANGED = APPEND_ONLY | {"log_pending"}
DELETABLE = {
    "incident_clients",
    "incident_labels",
    "incident_words",
    "incident_members",
    "incident_tools",
    "gate_refusals",
    "due_work",
    "idempotency_keys",
    "client_references",
    "identity_directory",
    "webhook_deliveries",
    "webhook_lanes",
    "log_pending",
}


@pytest.fixture
async def filled(superuser: asyncpg.Connection) -> tuple[UUID, dict[str, Row]]:
    """A tenant with one row in every table."""
    tenant = uuid4()
    return tenant, await populate(superuser, tenant)


async def refused(database: Database, tenant: UUID | None, *statements: str) -> bool:
    """Whether the database refuses the last of the statements, and no earlier one."""
    *before, last = statements
    async with database.transaction(tenant) as db:
        for statement in before:
            await db.execute(statement)
        try:
            await db.execute(last)
        except asyncpg.InsufficientPrivilegeError:
            await db.execute("ROLLBACK")
            return True
    return False


async def count(db: Db, name: str) -> int:
    """How many rows of a table the transaction sees."""
    number: int = await db.value(f"SELECT count(*) FROM {name}")
    return number


# ----------------------------------------------------------------------------------------------- the catalogue


async def test_every_table_with_a_tenant_is_walled_even_for_its_owner(superuser: asyncpg.Connection) -> None:
    rows = await superuser.fetch(
        """
        SELECT c.relname AS name, c.relrowsecurity AND c.relforcerowsecurity AS forced,
               EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid AND p.polcmd = '*' AND p.polpermissive
                       AND p.polroles = '{0}' AND p.polqual IS NOT NULL AND p.polwithcheck IS NOT NULL) AS both_ways
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
        """
    )
    assert {row["name"] for row in rows} >= {table.name for table in TENANT_TABLES}
    assert [row["name"] for row in rows if not (row["forced"] and row["both_ways"])] == []


async def test_every_table_has_a_tenant(superuser: asyncpg.Connection) -> None:
    rows = await superuser.fetch(
        "SELECT relname FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT"
        " EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id')"
    )
    assert {row["relname"] for row in rows} == {"alembic_version"}


async def test_every_key_starts_with_the_tenant(superuser: asyncpg.Connection) -> None:
    rows = await superuser.fetch(
        """
        SELECT k.conrelid::regclass::text || ' ' || k.conname AS name
        FROM pg_constraint k
        WHERE k.connamespace = 'public'::regnamespace AND k.contype IN ('p', 'u', 'f')
          AND k.conrelid <> 'alembic_version'::regclass AND k.conname <> 'identity_directory_pkey'
          AND (SELECT attname FROM pg_attribute WHERE attrelid = k.conrelid AND attnum = k.conkey[1]) <> 'tenant_id'
        UNION ALL
        SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
        WHERE c.relnamespace = 'public'::regnamespace AND i.indisunique AND c.relname <> 'alembic_version'
          AND i.indexrelid <> 'identity_directory_pkey'::regclass
          AND (SELECT attname FROM pg_attribute WHERE attrelid = i.indrelid AND attnum = i.indkey[0]) <> 'tenant_id'
        """
    )
    assert [row["name"] for row in rows] == []


async def test_the_service_has_exactly_the_rights_it_needs(superuser: asyncpg.Connection) -> None:
    rows = await superuser.fetch(
        "SELECT table_name AS name, array_agg(privilege_type::text) AS rights FROM information_schema.role_table_grants"
        " WHERE grantee = 'holdfast' AND table_schema = 'public' GROUP BY 1"
    )
    for row in rows:
        name, rights = row["name"], set(row["rights"])
        expected = {"SELECT", "INSERT"} if name in NEVER_CHANGED else {"SELECT", "INSERT", "UPDATE"}
        if name in READ_ONLY or name == "alembic_version":
            expected = {"SELECT"}
        elif name in DELETABLE:
            expected.add("DELETE")
        if name in {table.name for table in TENANT_TABLES} | {"alembic_version"}:
            assert rights == expected, name
        assert not rights & {"TRUNCATE", "REFERENCES", "TRIGGER"}, name
    assert {row["name"] for row in rows} >= {table.name for table in TENANT_TABLES}


async def test_only_the_named_things_look_across_tenants(superuser: asyncpg.Connection) -> None:
    definers = await superuser.fetch(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef"
    )
    assert {row["proname"] for row in definers} == {"erase_event_data", "tenant_of"}
    views = await superuser.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('v', 'm')"
        " AND NOT coalesce(reloptions @> '{security_invoker=true}', false)"
    )
    assert views == []
    wide = await superuser.fetch(
        "SELECT tablename, policyname, roles::text[] AS roles, cmd FROM pg_policies WHERE schemaname = 'public'"
        " AND permissive = 'PERMISSIVE' AND policyname <> 'tenant'"
    )
    assert {(row["tablename"], row["policyname"], *row["roles"], row["cmd"]) for row in wide} == {
        ("due_work", "worker", "holdfast_worker", "SELECT"),
        ("webhook_lanes", "worker", "holdfast_worker", "SELECT"),
        ("log_pending", "worker", "holdfast_worker", "SELECT"),
        ("identity_directory", "directory", "holdfast_directory", "SELECT"),
        *((name, "shipped", "public", "SELECT") for name in READ_ONLY),
    }
    seen = await superuser.fetch(
        "SELECT table_name || '.' || column_name AS name FROM information_schema.column_privileges"
        " WHERE grantee = 'holdfast_worker' AND table_schema = 'public'"
    )
    assert {row["name"] for row in seen} == {
        f"{table}.{column}" for table in ("due_work", "webhook_lanes") for column in ("tenant_id", "next_at")
    } | {"log_pending.tenant_id"}


# ------------------------------------------------------------------------------------------------ as the service


async def test_without_a_tenant_every_table_is_empty(database: Database, filled: tuple[UUID, dict[str, Row]]) -> None:
    async with database.transaction(None) as db:
        for table in TENANT_TABLES:
            where = "WHERE tenant_id <> '00000000-0000-0000-0000-000000000000'" if table.name in READ_ONLY else ""
            assert await db.value(f"SELECT count(*) FROM {table.name} {where}") == 0, table.name


async def test_another_tenant_sees_and_changes_nothing(database: Database, filled: tuple[UUID, dict[str, Row]]) -> None:
    _, rows = filled
    async with database.transaction(uuid4()) as db:
        for table in TENANT_TABLES:
            mine = f"FROM {table.name} WHERE tenant_id = $1"
            assert await db.value(f"SELECT count(*) {mine}", filled[0]) == 0, table.name
            if table.name not in READ_ONLY | NEVER_CHANGED:
                tag = await db.execute(f"UPDATE {table.name} SET tenant_id = tenant_id WHERE tenant_id = $1", filled[0])
                assert tag == "UPDATE 0", table.name
            if table.name in DELETABLE:
                assert await db.execute(f"DELETE {mine}", filled[0]) == "DELETE 0", table.name
    assert rows


@pytest.mark.parametrize("name", [table.name for table in TENANT_TABLES])
async def test_a_row_of_another_tenant_is_refused(
    name: str, database: Database, superuser: asyncpg.Connection, filled: tuple[UUID, dict[str, Row]]
) -> None:
    tenant, rows = filled
    table = next(table for table in TENANT_TABLES if table.name == name)
    counted = f"SELECT count(*) FROM {name} WHERE tenant_id = $1"
    before = await superuser.fetchval(counted, tenant)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with database.transaction(uuid4()) as db:
            await insert(db.connection, table, rows[name])
    assert await superuser.fetchval(counted, tenant) == before >= 1


@pytest.mark.parametrize("name", [t.name for t in TENANT_TABLES if t.foreign_keys and t.name not in READ_ONLY])
async def test_a_reference_into_another_tenant_is_refused(
    name: str, database: Database, filled: tuple[UUID, dict[str, Row]]
) -> None:
    _, rows = filled
    table = next(table for table in TENANT_TABLES if table.name == name)
    other = uuid4()
    async with database.transaction(other) as db:
        await db.execute("INSERT INTO tenants (tenant_id, name) VALUES ($1, 'other')", other)
    for key in table.foreign_key_constraints:
        carried = {element.parent.name for element in key.elements}
        row = {n: v for n, v in rows[name].items() if n in carried or not _refers(table, n)} | {"tenant_id": str(other)}
        if any(row.get(n) is None for n in carried) or carried == {"tenant_id"}:
            continue
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            async with database.transaction(other) as db:
                await insert(db.connection, table, row)


def _refers(table: object, name: str) -> bool:
    column = table.columns[name]  # type: ignore[attr-defined]
    return bool(column.foreign_keys) and column.nullable


async def test_the_worker_learns_who_has_due_work_and_nothing_else(
    database: Database, filled: tuple[UUID, dict[str, Row]]
) -> None:
    tenant, _ = filled
    assert tenant in await waiting_tenants(database, DUE_WORK)
    async with database.transaction(None) as db:
        assert await count(db, "due_work") == 0  # a member that does not inherit
    for forbidden in ("SELECT kind FROM due_work", "SELECT id FROM incidents", "DELETE FROM due_work"):
        assert await refused(database, None, "SET LOCAL ROLE holdfast_worker", forbidden)
    async with database.transaction(None) as db:
        assert await db.value("SELECT current_user::text") == "holdfast"


async def test_a_pair_tells_its_tenant_and_nothing_tells_the_pairs(
    database: Database, filled: tuple[UUID, dict[str, Row]]
) -> None:
    tenant, rows = filled
    pair = rows["identity_directory"]["issuer"], rows["identity_directory"]["audience"]
    for asking in (None, uuid4(), tenant):
        async with database.transaction(asking, read_only=True) as db:
            assert await db.value("SELECT tenant_of($1, $2)", *pair) == tenant
            assert await db.value("SELECT tenant_of($1, $2)", pair[0], "another") is None
            assert await count(db, "identity_directory") == (1 if asking == tenant else 0)
    assert await refused(database, None, "SET LOCAL ROLE holdfast_directory")


async def test_nobody_changes_the_timeline(
    cluster: Cluster, database: Database, database_name: str, filled: tuple[UUID, dict[str, Row]]
) -> None:
    tenant, _ = filled
    for statement in (
        "UPDATE events SET kind = 'x'",
        "DELETE FROM events",
        "UPDATE event_data SET data = '{}'",
        "DELETE FROM event_data",
        "TRUNCATE events CASCADE",
        "TRUNCATE event_data",
    ):
        assert await refused(database, tenant, statement)
    owner = await asyncpg.connect(cluster.superuser_dsn(database_name))
    try:
        await owner.execute("SET ROLE holdfast_owner")
        await owner.execute("SELECT set_config('app.tenant_id', $1, false)", str(tenant))
        for statement in ("DELETE FROM events", "TRUNCATE events CASCADE", "DELETE FROM event_data"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await owner.execute(statement)
    finally:
        await owner.close()


async def test_the_service_refuses_a_role_that_looks_past_the_walls(
    cluster: Cluster, database_name: str, superuser: asyncpg.Connection
) -> None:
    with pytest.raises(NotWalled, match="superuser"):
        await Database.connect(cluster.superuser_dsn(database_name), wait_seconds=1)
    for role, fault in (
        ("holdfast_owner", "owns the tables"),
        ("holdfast_eraser", "member of holdfast_eraser"),
        ("holdfast_directory", "member of holdfast_directory"),
    ):
        await superuser.execute(f"SET ROLE {role}")
        with pytest.raises(NotWalled, match=fault):
            await assert_walled(superuser)
        await superuser.execute("RESET ROLE")
    async with superuser.transaction():
        await superuser.execute("CREATE ROLE past_walls BYPASSRLS; SET LOCAL ROLE past_walls")
        with pytest.raises(NotWalled, match="BYPASSRLS"):
            await assert_walled(superuser)
        await superuser.execute("RESET ROLE; DROP ROLE past_walls")
