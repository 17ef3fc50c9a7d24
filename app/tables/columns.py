"""The kinds of columns that the tables are made of.

Enumerations are text with a table-level CHECK: a native enum is hard to change, and Alembic forgets the checks of
a column.
"""

from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKeyConstraint,
    Identity,
    Index,
    LargeBinary,
    Text,
    TextClause,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy import text as sql_text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

__all__ = [
    "SQLModel",
    "belongs_to",
    "binary",
    "counted_key",
    "flag",
    "in_incident",
    "index",
    "json",
    "key",
    "now",
    "number",
    "of_tenant",
    "one_of",
    "tenant",
    "text",
    "transaction",
    "unique",
    "uuids",
    "verbatim",
    "words",
]


def _default(sql: str | None) -> dict[str, Any]:
    return {} if sql is None else {"server_default": sql_text(sql)}


def tenant() -> Any:
    """The tenant: first in every primary key and every unique key, so that rows can be distributed by it."""
    return Field(primary_key=True)


def verbatim() -> Any:
    """JSON kept as the text it came as: never searched, only handed on, so that reading costs a copy."""
    return Field(default=None, sa_type=JSON)


def key(kind: Any = Uuid) -> Any:
    """A further part of the primary key."""
    return Field(primary_key=True, sa_type=kind)


def counted_key() -> Any:
    """A further part of the primary key that the server counts up, across tenants."""
    return Field(primary_key=True, sa_type=BigInteger, sa_column_args=[Identity(always=True)])


def text(default: str | None = None) -> Any:
    """Text of any length; the doors bound what a caller may send."""
    return Field(sa_type=Text, sa_column_kwargs=_default(None if default is None else f"'{default}'"))


def words() -> Any:
    """A list of texts, empty by default."""
    return Field(sa_type=ARRAY(Text), sa_column_kwargs=_default("'{}'"))


def uuids() -> Any:
    """A list of ids, empty by default."""
    return Field(sa_type=ARRAY(Uuid), sa_column_kwargs=_default("'{}'"))


def json(default: str | None = None) -> Any:
    """A JSON value."""
    return Field(sa_type=JSONB, sa_column_kwargs=_default(None if default is None else f"'{default}'"))


def number(default: int | None = None) -> Any:
    """A whole number within 32 bits."""
    return Field(sa_column_kwargs=_default(None if default is None else str(default)))


def flag(default: bool = False) -> Any:
    """A boolean."""
    return Field(sa_column_kwargs=_default("true" if default else "false"))


def now() -> Any:
    """An instant that the server sets when the row is inserted."""
    return Field(sa_column_kwargs=_default("now()"))


def transaction() -> Any:
    """The number of the transaction that inserted the row, which the server sets."""
    return Field(sa_type=BigInteger, sa_column_kwargs=_default("pg_current_xact_id()::text::bigint"))


def binary() -> Any:
    """Bytes."""
    return Field(sa_type=LargeBinary)


def one_of(column: str, *values: str) -> CheckConstraint:
    """A CHECK that `column` holds one of `values`; null passes where the column allows it."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"one_of_{column}")


def belongs_to(
    table: str, columns: str | tuple[str, ...], target: str | tuple[str, ...] = "id"
) -> ForeignKeyConstraint:
    """A foreign key that carries the tenant: a reference into another tenant cannot be written (AZ11)."""
    own = (columns,) if isinstance(columns, str) else columns
    theirs = (target,) if isinstance(target, str) else target
    return ForeignKeyConstraint(["tenant_id", *own], [f"{table}.tenant_id", *(f"{table}.{name}" for name in theirs)])


def in_incident() -> ForeignKeyConstraint:
    """The foreign key of everything that belongs to one incident."""
    return belongs_to("incidents", "incident_id")


def of_tenant() -> ForeignKeyConstraint:
    """The foreign key of the roots that change rarely.

    Hot rows go without: their check would lock the row whose counter every report moves.
    """
    return ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"])


def unique(name: str, *columns: str) -> UniqueConstraint:
    """A unique key within a tenant."""
    return UniqueConstraint("tenant_id", *columns, name=name)


def index(name: str, *columns: str | TextClause, unique: bool = False, where: str | None = None) -> Index:
    """An index that starts with the tenant. Only leakproof comparisons use it under row-level security."""
    return Index(
        name, "tenant_id", *columns, unique=unique, postgresql_where=None if where is None else sql_text(where)
    )
