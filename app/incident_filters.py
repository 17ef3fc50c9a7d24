"""What lists find an incident by: rows of child tables, and its entry in the deadline worker's queue.

They follow from the record and are written with it, as common table expressions of its statement.
"""

from typing import Any
from uuid import UUID

import orjson
from msgspec import Struct

from domain.incident_tools import tool_ids
from domain.record import Record
from domain.relations import members
from domain.words import words

TABLES = {
    "clients": ("incident_clients", "client_id", "uuid"),
    "labels": ("incident_labels", "label", "text"),
    "words": ("incident_words", "word", "text"),
    "members": ("incident_members", "member_id", "uuid"),
    "tools": ("incident_tools", "tool_id", "uuid"),
}
NUMBERED = ("clients", "labels")  # lists are read in the order of these rows, so they carry the number


class Filters(Struct):
    """What one state of a record is found by. `words` are the texts that words are taken from."""

    clients: frozenset[UUID]
    labels: frozenset[str]
    words: tuple[str | None, ...]
    members: frozenset[UUID]
    tools: frozenset[UUID]
    alarm: Any


def filters_of(record: Record, *, is_named: bool = True) -> Filters:
    """The filters of a record as it stands; without its number while it has only a provisional one."""
    incident = record.incident
    keys = [k for r in record.external_references.values() for k in (r.external_id, r.key)]
    own = {incident.opened_by_id} if incident.opened_by_kind == "service_account" else set()
    return Filters(
        frozenset(incident.client_ids),
        frozenset(incident.labels),
        (incident.number if is_named else None, incident.title, incident.summary, *keys),
        members(record) | own,
        frozenset(tool_ids(record)),
        incident.next_alarm_at,
    )


def filter_changes(before: Filters | None, after: Filters) -> dict[str, Any]:
    """What has to be written: {part of a statement: its values}, see `filter_statement`."""
    changed: dict[str, Any] = {}
    for name in TABLES:
        now: Any = getattr(after, name)
        then: Any = getattr(before, name, frozenset())
        if now == then:
            continue
        if name == "words":
            now, then = frozenset(words(*now)), frozenset(words(*then))
        if now - then:
            changed[f"{name}_added"] = sorted(str(x) for x in now - then)
        if then - now:
            changed[f"{name}_removed"] = sorted(str(x) for x in then - now)
    if after.alarm is not None and (before is None or before.alarm != after.alarm):
        changed["alarm"] = after.alarm.isoformat()
    elif before is not None and before.alarm is not None and after.alarm is None:
        changed["alarm_off"] = True
    return changed


def split_numbered(changes: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Changes that can be written without the incident's number, and those whose rows carry it."""
    carrying = {name: values for name, values in changes.items() if name.startswith(NUMBERED)}
    return {name: values for name, values in changes.items() if name not in carrying}, carrying


def filter_text(changes: dict[str, Any]) -> str:
    """Changes as the parameter of a statement."""
    return orjson.dumps(changes, default=str).decode()


def filter_statement(name: str, parameter: str) -> str:
    """The statement for one change of incident $2 in tenant $1; `parameter` holds `filter_text`."""
    if name == "alarm":
        return (
            "INSERT INTO due_work (tenant_id, kind, subject_id, next_at)"
            f" SELECT $1, 'deadline', $2, ({parameter}::jsonb ->> 'alarm')::timestamptz"
            " ON CONFLICT (tenant_id, kind, subject_id) DO UPDATE SET next_at = excluded.next_at, attempts = 0"
        )
    if name == "alarm_off":
        return "DELETE FROM due_work WHERE tenant_id = $1 AND kind = 'deadline' AND subject_id = $2"
    what, _, way = name.rpartition("_")
    table, column, kind = TABLES[what]
    listed = f"SELECT x::{kind} FROM jsonb_array_elements_text({parameter}::jsonb -> '{name}') x"
    if way == "removed":
        return f"DELETE FROM {table} WHERE tenant_id = $1 AND incident_id = $2 AND {column} IN ({listed})"
    more, number = "", ""
    if what in NUMBERED:
        more, number = ", number_order", f", substring({parameter}::jsonb ->> 'number' from '[0-9]+$')::integer"
    return (
        f"INSERT INTO {table} (tenant_id, incident_id, {column}{more}) SELECT $1, $2, f.x{number}"
        f" FROM ({listed}) f (x) ON CONFLICT DO NOTHING"
    )
