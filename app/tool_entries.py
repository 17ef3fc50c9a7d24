"""The entries of the tool register in the database: one write path for each.

An entry is locked, read whole, changed by the rules and written as the difference, told on its stream `tool`. Incidents
that decide on a tool write it here too, in their own transaction: first the incident is locked, then its tools by id.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import orjson
from msgspec import structs

from app.database import Database, Db
from app.due_work import Claim, finish
from app.events import append
from app.reevaluation import queue_reevaluation
from domain.actors import SYSTEM, Actor
from domain.timeline import plain
from domain.tools import Assessment, Decision, Entry, Row, Tool, announce_overdue, name_key

REVIEW = "tool_review"  # the kind of due work that announces a late review
TABLES: tuple[tuple[str, type[Row]], ...] = (
    ("tools", Tool),
    ("tool_assessments", Assessment),
    ("tool_decisions", Decision),
)
# Locked in a statement of its own, so that the next one reads what the wait was for.
_LOCK = "SELECT id FROM tools WHERE tenant_id = $1 AND id = ANY ($2::uuid[]) ORDER BY id FOR UPDATE"
_READ = """
SELECT json_build_object('tool', row_to_json(t),
  'assessments', coalesce((SELECT json_object_agg(a.id::text, row_to_json(a) ORDER BY a.started_at, a.id)
    FROM tool_assessments a WHERE a.tenant_id = $1 AND a.tool_id = t.id), '{}'),
  'decisions', coalesce((SELECT json_object_agg(d.id::text, row_to_json(d) ORDER BY d.proposed_at, d.id)
    FROM tool_decisions d WHERE d.tenant_id = $1 AND d.tool_id = t.id), '{}'))::text
FROM tools t WHERE t.tenant_id = $1 AND t.id = ANY ($2::uuid[])
"""
_BY_NAME = """
SELECT id FROM tools WHERE tenant_id = $1 AND (name_key = $2 OR $3 = ANY (domains))
ORDER BY name_key = $2 DESC, id LIMIT 1
"""
_decode = msgspec.json.Decoder(Entry).decode

Told = Iterable[tuple[str, Mapping[str, Any]]]


async def lock_tools(db: Db, ids: Collection[UUID]) -> dict[UUID, tuple[Entry, Entry]]:
    """Lock tools and read them whole, by id: (the copy to change, the copy to compare with). Missing ones are left out.

    The caller has lifted the limits that hide the register.
    """
    await db.execute(_LOCK, db.tenant_id, sorted(ids))
    rows = await db.fetch(_READ, db.tenant_id, list(ids))
    return {(entry := _decode(row[0])).tool.id: (entry, _decode(row[0])) for row in rows}


async def find_tool(db: Db, name: str, host: str) -> UUID | None:
    """The tool of this name, else one that is reached at this host. Held until the transaction ends, so that two who
    look for a new one make it once. The caller has lifted the limits that hide the register."""
    key = f"{db.tenant_id}\ntool\n{name_key(name)}"
    await db.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 2))", key)
    found: UUID | None = await db.value(_BY_NAME, db.tenant_id, name_key(name), host or None)
    return found


async def save_tool(db: Db, before: Entry | None, after: Entry, told: Told, actor: Actor, now: datetime) -> None:
    """Write what changed of an entry with its events, and whom it concerns to the queue. Nothing where nothing did.

    The caller has lifted the limits that hide the register.
    """
    rows, changes = _difference(before, after)
    events = list(told)
    if not rows and not events:
        return
    if rows:
        tool = after.tool
        tool.updated_at = now
        tool.version = before.tool.version + 1 if before is not None else 1
        rows, changes = _difference(before, after)
    for table, kind in TABLES:
        if table in rows:
            await _upsert(db, table, kind, rows[table], after.tool.id)
    for index, (name, data) in enumerate(events or [("tool.changed", {})]):
        whole = {**data, "changes": changes} if index == 0 else data
        await append(db, "tool", after.tool.id, name, whole, actor=actor, occurred_at=now, recorded_at=now)
    await _queue_review(db, before, after.tool)
    if before is not None:
        await queue_reevaluation(db, tool_id=after.tool.id)


def _difference(before: Entry | None, after: Entry) -> tuple[dict[str, list[Row]], dict[str, dict[str, Any]]]:
    """Whole rows to store by table, and the changed columns for the event."""
    rows: dict[str, list[Row]] = {}
    changes: dict[str, dict[str, Any]] = {}
    for table, now in _rows(after).items():
        then = _rows(before)[table] if before is not None else {}
        for key, row in now.items():
            old = then.get(key)
            if old == row:
                continue
            rows.setdefault(table, []).append(row)
            told = _columns(row) if old is None else _changed(old, row)
            if table != "tools" and old is None:
                told["tool_id"] = str(after.tool.id)
            changes.setdefault(table, {})[key] = told
    return rows, changes


def _rows(entry: Entry) -> dict[str, dict[str, Row]]:
    return {
        "tools": {str(entry.tool.id): entry.tool},
        "tool_assessments": dict(entry.assessments),
        "tool_decisions": dict(entry.decisions),
    }


def _columns(row: Row) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(structs.asdict(row), builtin_types=(datetime,))
    return found


def _changed(old: Row, row: Row) -> dict[str, Any]:
    now, then = _columns(row), _columns(old)
    return {name: value for name, value in now.items() if value != then[name]}


async def _upsert(db: Db, table: str, kind: type[Row], rows: list[Row], tool_id: UUID) -> None:
    names = [f.name for f in structs.fields(kind)]
    extra, value = ("", "") if table == "tools" else (", tool_id", ", $3")
    updates = ", ".join(f"{name} = excluded.{name}" for name in names if name != "id")
    sql = (
        f"INSERT INTO {table} (tenant_id, {', '.join(names)}{extra}) SELECT $1, {', '.join(f'r.{n}' for n in names)}"
        f"{value} FROM jsonb_populate_recordset(null::{table}, $2::jsonb) r"
        f" ON CONFLICT (tenant_id, id) DO UPDATE SET {updates}"
    )
    text = orjson.dumps(plain([_columns(row) for row in rows])).decode()
    await db.execute(sql, db.tenant_id, text, *([] if table == "tools" else [tool_id]))


async def _queue_review(db: Db, before: Entry | None, tool: Tool) -> None:
    """Keep the worker's appointment with the review of a tool."""
    wanted = tool.review_due_at if tool.review_overdue_at is None else None
    had = before.tool.review_due_at if before is not None and before.tool.review_overdue_at is None else None
    if wanted == had:
        return
    if wanted is None:
        sql = "DELETE FROM due_work WHERE tenant_id = $1 AND kind = $2 AND subject_id = $3"
        await db.execute(sql, db.tenant_id, REVIEW, tool.id)
        return
    await db.execute(
        "INSERT INTO due_work (tenant_id, kind, subject_id, next_at) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (tenant_id, kind, subject_id) DO UPDATE SET next_at = excluded.next_at, attempts = 0",
        db.tenant_id,
        REVIEW,
        tool.id,
        wanted,
    )


async def announce_review(database: Database, claim: Claim) -> None:
    """Say once that the review of a tool is late. A review that was moved meanwhile is waited for."""

    async def work(db: Db) -> None:
        found = (await lock_tools(db, [claim.subject_id])).get(claim.subject_id)
        if found is None:
            await finish(db, claim)
            return
        entry, before = found
        again_at = None
        if announce_overdue(entry, claim.now):
            data = {"review_due_at": entry.tool.review_due_at}
            await save_tool(db, before, entry, [("tool.review_overdue", data)], SYSTEM, claim.now)
        elif entry.tool.review_overdue_at is None and entry.tool.status in ("approved", "conditional"):
            again_at = entry.tool.review_due_at
        await finish(db, claim, again_at)

    await database.run(claim.tenant_id, work)
