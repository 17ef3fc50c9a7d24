"""One row in every table, made from the declarations: what tests of walls and migrations fill a tenant with."""

import re
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import orjson
from sqlalchemy import ARRAY, Boolean, CheckConstraint, Column, Integer, LargeBinary, Table, Uuid
from sqlalchemy.dialects.postgresql import JSONB, dialect

from app.tables import METADATA

Row = dict[str, Any]

# What a CHECK or a cycle asks for and a type cannot tell.
PARTICULAR: dict[tuple[str, str], Any] = {
    ("api_keys", "service_account_id"): None,
    ("erasures", "approved_by"): None,
    ("evidence", "sha256"): "0" * 64,
    ("identity_directory", "issuer"): lambda: f"https://{uuid4().hex}.example",  # unique across tenants
    ("incidents", "number"): "INC-1001",
    ("people", "manager_id"): None,
}


def tables() -> list[Table]:
    """All tables, parents first."""
    return list(METADATA.sorted_tables)


def columns(table: Table) -> list[str]:
    """The columns that can be written."""
    return [column.name for column in table.columns if column.computed is None and column.identity is None]


def row_of(table: Table, tenant: UUID, made: dict[str, Row]) -> Row:
    """A row with every column that has no default, and every reference to a row made before."""
    row: Row = {}
    for key in table.foreign_key_constraints:
        for element in key.elements:
            parent = made.get(element.column.table.name)
            if parent is not None and element.parent.name not in row:
                row[element.parent.name] = parent[element.column.name]
    for column in table.columns:
        if (table.name, column.name) in PARTICULAR:
            wanted = PARTICULAR[table.name, column.name]
            row[column.name] = wanted() if callable(wanted) else wanted
        elif column.name == "tenant_id":
            row[column.name] = str(tenant)
        elif column.name in columns(table) and column.name not in row and not column.nullable:
            row[column.name] = _value(table, column)
    return row


async def insert(connection: asyncpg.Connection, table: Table, row: Row) -> None:
    """Insert a row given as JSON values, the way the writer of records does."""
    names = ", ".join(f'"{name}"' for name in columns(table) if name in row)
    await connection.execute(
        f"INSERT INTO {table.name} ({names}) SELECT {names} FROM jsonb_populate_record(NULL::{table.name}, $1::jsonb)",
        orjson.dumps(row).decode(),
    )


async def populate(connection: asyncpg.Connection, tenant: UUID) -> dict[str, Row]:
    """Give a tenant one row in every table; the rows by table name. `connection` may write all of them."""
    made: dict[str, Row] = {}
    for table in tables():
        row = row_of(table, tenant, made)
        await insert(connection, table, row)
        made[table.name] = row
    return made


def _value(table: Table, column: Column[Any]) -> Any:
    kind = column.type
    if isinstance(kind, Uuid):
        return str(uuid4())
    if isinstance(kind, Integer):
        return 1
    if isinstance(kind, Boolean):
        return False
    if str(kind.compile(dialect=dialect())).startswith("TIMESTAMP"):
        return "2026-03-02T15:00:00.000000Z"
    if isinstance(kind, JSONB):
        return {}
    if isinstance(kind, ARRAY):
        return []
    if isinstance(kind, LargeBinary):
        return f"\\x{uuid4().hex}"
    return _allowed(table, column.name) or f"{table.name} {column.name}"


def _allowed(table: Table, name: str) -> str | None:
    """The first value that the CHECK of an enumeration lists."""
    for check in table.constraints:
        if isinstance(check, CheckConstraint) and check.name == f"one_of_{name}":
            found = re.search(r"'([^']*)'", str(check.sqltext))
            return found[1] if found else None
    return None
