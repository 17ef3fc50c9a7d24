"""Rows that change rarely: written by name, told to a stream as the columns that changed.

The event of a write carries `changes`: {table: {id: {column: value}}}, as the events of an incident do, so that stored
state is what the events fold to.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from app.database import Db
from app.events import append
from domain.actors import Actor
from domain.refusals import Conflict

Columns = Mapping[str, Any]


class Written:
    """What happened to one row: the stream that tells it, and what the event says beside the changes."""

    __slots__ = ("data", "kind", "stream")

    def __init__(self, stream: str, kind: str, **data: Any) -> None:
        self.stream = stream
        self.kind = kind
        self.data = data


async def insert_row(
    db: Db, table: str, row: Columns, written: Written, *, actor: Actor, at: datetime, hidden: Columns | None = None
) -> None:
    """Insert a row with an `id` and tell it. `hidden` columns are stored but not told: digests of secrets."""
    whole = {**row, **(hidden or {})}
    names = ", ".join(whole)
    await db.execute(
        f"INSERT INTO {table} (tenant_id, {names})"
        f" SELECT $1, {names} FROM jsonb_populate_record(NULL::{table}, $2::jsonb)",
        db.tenant_id,
        _json(whole),
    )
    await _tell(db, table, row["id"], row, written, actor, at)


async def update_row(
    db: Db,
    table: str,
    id: UUID,
    changes: Columns,
    written: Written,
    *,
    actor: Actor,
    at: datetime,
    hidden: Columns | None = None,
) -> None:
    """Change columns of a row that this transaction has locked, and tell it."""
    whole = {**changes, **(hidden or {})}
    names = ", ".join(whole)
    await db.execute(
        f"UPDATE {table} SET ({names}) = (SELECT {names} FROM jsonb_populate_record(NULL::{table}, $3::jsonb))"
        " WHERE tenant_id = $1 AND id = $2",
        db.tenant_id,
        id,
        _json(whole),
    )
    await _tell(db, table, id, changes, written, actor, at)


def changed(before: Columns, given: Columns) -> dict[str, Any]:
    """The columns of `given` that differ from the row as it is."""
    return {name: value for name, value in given.items() if before[name] != value}


def check_version(given: str | None, present: int) -> None:
    """Compare an entity tag with the present version. Raises Conflict (`precondition-failed`) for another one."""
    if given is not None and given != str(present):
        raise Conflict(
            "This has changed since you read it. Read it again and decide anew.",
            code="precondition-failed",
            current={"version": present},
        )


async def _tell(db: Db, table: str, id: UUID, row: Columns, written: Written, actor: Actor, at: datetime) -> None:
    data = {**written.data, "changes": {table: {str(id): dict(row)}}}
    await append(db, written.stream, id, written.kind, data, actor=actor, occurred_at=at, recorded_at=at)


def _json(row: Columns) -> str:
    return orjson.dumps(row, default=_as_text).decode()


def _as_text(value: Any) -> Any:
    if isinstance(value, UUID):  # the driver gives a kind of its own, which the encoder does not know
        return str(value)
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"  # as PostgreSQL reads bytea
    if isinstance(value, frozenset | set):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} is no column value")
