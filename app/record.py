"""The incident record in the database: read whole under the row lock, written as the difference, in one statement each.

The first event of a write carries `changes`: {table: {row: {column: value}}}. Stored state is what they fold to
(`app/rebuild.py` proves it). RESTATED columns are left out of it: they only restate what the rules say of the rest.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec
import orjson
from msgspec import NODEFAULT, Raw, Struct, field, structs

from app.database import Db
from app.events import FRAME_ROWS, INSERT_EVENT_DATA, INSERT_EVENTS, MOVE_HEADS, Told, linked, told
from app.incident_filters import Filters, filter_changes, filter_statement, filter_text, filters_of, split_numbered
from domain.changes import Change, Event
from domain.record import (
    UNOFFERED,
    ActionRun,
    ControlOccurrence,
    Document,
    Evidence,
    ExceptionEntry,
    ExternalReference,
    FollowUp,
    Incident,
    Link,
    Notification,
    Obligation,
    Participant,
    Record,
    Row,
    Signature,
    StepRun,
)
from domain.refusals import NotFound
from domain.reporting import name_incident
from domain.timeline import GENESIS
from domain.tools import Entry
from domain.words import words

PARTS: dict[str, tuple[str, type[Row], str, str]] = {
    "steps": ("step_runs", StepRun, "id", "position"),
    "actions": ("action_runs", ActionRun, "id", "step_id, r.position"),
    "documents": ("documents", Document, "id", "id"),
    "participants": ("participants", Participant, "person_id", "added_at"),
    "evidence": ("evidence", Evidence, "id", "id"),
    "notifications": ("notifications", Notification, "id", "id"),
    "obligations": ("obligations", Obligation, "id", "id"),
    "follow_ups": ("follow_ups", FollowUp, "id", "id"),
    "occurrences": ("control_occurrences", ControlOccurrence, "id", "id"),
    "signatures": ("signatures", Signature, "id", "id"),
    "exceptions": ("incident_exceptions", ExceptionEntry, "id", "id"),
    "links": ("incident_links", Link, "id", "id"),
    "external_references": ("external_references", ExternalReference, "id", "id"),
}
"""Part of the record -> table, row type, key column, order."""
BY_GENERATION = ("step_runs", "action_runs")
RESTATED = ("allowed", "missing")
"""What may be done next, and what a documentation item still lacks: every write works them out anew."""

# Both rows are locked: of a row that is only joined, a statement that waited would show the state before the wait.
_FIND = """
SELECT i.id, t.directory_version, h.seq, h.hash,
  (SELECT count(*) FROM incident_links l JOIN incidents c ON c.tenant_id = l.tenant_id AND c.id = l.linked_incident_id
   WHERE l.tenant_id = $1 AND l.incident_id = i.id AND l.type = 'child' AND l.released_at IS NULL
     AND c.status NOT IN ('closed', 'rejected')) AS children_open
FROM incidents i JOIN tenants t ON t.tenant_id = i.tenant_id
JOIN streams h ON h.tenant_id = i.tenant_id AND h.stream = 'incident' AND h.stream_id = i.id
WHERE i.tenant_id = $1 AND i.{column} = $2 FOR UPDATE OF i, h
"""
FIND_BY_ID, FIND_BY_NUMBER = _FIND.format(column="id"), _FIND.format(column="number")


def _part(name: str) -> str:
    table, _, key, order = PARTS[name]
    now = " AND r.generation = i.generation" if table in BY_GENERATION else ""
    return (
        f"'{name}', coalesce((SELECT json_object_agg(r.{key}::text, row_to_json(r) ORDER BY r.{order}) FROM {table} r"
        f" WHERE r.tenant_id = $1 AND r.incident_id = $2{now}), '{{}}')"
    )


LOAD = f"""
SELECT json_build_object('incident', row_to_json(i), {", ".join(_part(name) for name in PARTS)})::text
FROM incidents i WHERE i.tenant_id = $1 AND i.id = $2
"""
_decode = msgspec.json.Decoder(Record).decode
_encode = msgspec.json.Encoder().encode
_Rows: type[Any] = msgspec.defstruct(
    "_Rows", [("incident", Raw), *((name, dict[str, Raw], field(default_factory=dict)) for name in PARTS)]
)
"""A record whose rows are left as their JSON: what is kept of it, and compared with."""
_split = msgspec.json.Decoder(_Rows).decode
_decode_row = {kind: msgspec.json.Decoder(kind).decode for kind in (Incident, *(part[1] for part in PARTS.values()))}


class Stored(Struct, kw_only=True):
    """A record as it was read and may be changed, with its rows as they were (None: it is new)."""

    record: Record
    rows: Any = None
    was: Incident | None = None
    filters: Filters | None = None
    head_seq: int = 0
    head_hash: str = GENESIS
    children_open: int = 0
    directory_version: int | None = None
    tools: dict[UUID, Entry] = field(default_factory=dict)  # as they were read, to compare with


async def lock_record(db: Db, ref: UUID | str) -> Stored:
    """Lock an incident and read its whole record. Raises NotFound, also for what the caller may not see."""
    found = await db.row(FIND_BY_ID if isinstance(ref, UUID) else FIND_BY_NUMBER, db.tenant_id, ref)
    if found is None:
        raise NotFound
    text = _recall(db.tenant_id, found["id"], found["hash"])
    if text is None:
        text = _encode(_decode(await db.value(LOAD, db.tenant_id, found["id"])))
    record, rows = _decode(text), _split(text)
    return Stored(
        record=record,
        rows=rows,
        was=_decode_row[Incident](rows.incident),
        filters=filters_of(record),
        head_seq=found["seq"],
        head_hash=found["hash"],
        children_open=found["children_open"],
        directory_version=found["directory_version"],
    )


KEPT_AT_MOST = 192  # records; about 40 kB each, and people work on a handful at once
_kept: OrderedDict[tuple[UUID, UUID], tuple[str, bytes]] = OrderedDict()


def _recall(tenant_id: UUID, incident_id: UUID, head_hash: str) -> bytes | None:
    """The record as this process last wrote it, if its timeline still ends there: then nothing can have changed."""
    kept = _kept.get((tenant_id, incident_id))
    if kept is None or kept[0] != head_hash:
        return None
    _kept.move_to_end((tenant_id, incident_id))
    return kept[1]


def _keep(tenant_id: UUID, incident_id: UUID, text: bytes, head_hash: str) -> None:
    """Remember a record under the head it was written with. A head that is rolled back never matches."""
    _kept[tenant_id, incident_id] = (head_hash, text)
    if len(_kept) > KEPT_AT_MOST:
        _kept.popitem(last=False)


class Difference:
    """What a change did to the rows: the JSON of those to store, of all of them, and what the event says of it."""

    def __init__(self, stored: Stored) -> None:
        self.rows: dict[str, list[Raw]] = {}
        self.changes: dict[str, dict[str, dict[str, Any]]] = {}
        before, after = stored.rows, stored.record
        self._whole = _split(_encode(after))
        for name, (table, row_type, _, _) in PARTS.items():
            old: Mapping[str, Raw] = getattr(before, name) if before is not None else {}
            new: Mapping[str, Raw] = getattr(self._whole, name)
            if old != new:
                rows: Mapping[str, Row] = getattr(after, name)
                for key, encoded in new.items():
                    if old.get(key) != encoded:
                        self._compare(table, row_type, key, old.get(key), encoded, rows[key])
        header = after.incident
        if before is not None and (self.rows or stored.was != header):
            header.version += 1
            self._whole.incident = Raw(_encode(header))
        old_header = before.incident if before is not None else None
        if old_header != self._whole.incident:
            self._compare("incidents", Incident, str(header.id), old_header, self._whole.incident, header)

    @property
    def text(self) -> bytes:
        """The whole record as JSON."""
        return _encode(self._whole)

    def _compare(self, table: str, row_type: type[Row], key: str, old: Raw | None, encoded: Raw, row: Row) -> None:
        if old is None:
            changed = {n: value for n, value in msgspec.json.decode(encoded).items() if n not in RESTATED}
        else:
            then = _decode_row[row_type](old)
            if then == row:  # a mapping in another order
                return
            names = _told_columns(row_type)
            changed = {n: value for n in names if (value := getattr(row, n)) != getattr(then, n)}
        self.rows.setdefault(table, []).append(encoded)
        if changed:
            generation = f"{row.generation}/" if isinstance(row, StepRun | ActionRun) else ""
            self.changes.setdefault(table, {})[f"{generation}{key}"] = changed


async def save_record(db: Db, stored: Stored, change: Change) -> None:
    """Write what the change did: rows, events, filters and queue in one statement. Nothing when nothing changed.

    Raises asyncpg.UniqueViolationError where another incident holds one of its external references.
    """
    difference = Difference(stored)
    if not difference.rows and not change.events:
        return
    framed = _framed(db, stored, change, told(_events(change, difference), change.actor))
    filters = filter_changes(stored.filters, filters_of(stored.record))
    statement = _statement(tuple(difference.rows), tuple(filters))
    given = orjson.dumps(framed).decode(), filter_text({**filters, "number": stored.record.incident.number})
    await db.execute(statement, db.tenant_id, stored.record.incident.id, *given, *_encoded(difference))
    _keep(db.tenant_id, stored.record.incident.id, difference.text, framed[-1]["hash"])


class New(Struct, frozen=True):
    """A new incident as far as it is written: its JSON, its events and the filters that carry the number."""

    provisional: str  # stands for the number wherever it is told
    text: bytes
    events: list[Told]
    filters: dict[str, Any]


async def save_new_rows(db: Db, stored: Stored, change: Change) -> New:
    """Write a new incident but for its number and its timeline, which `tell_new_record` adds in the same transaction.

    From taking the number to the commit every other report of the tenant waits: whatever can be done before is.
    Raises as `save_record` does, and then no number was taken.
    """
    difference, incident = Difference(stored), stored.record.incident
    filters, later = split_numbered(filter_changes(None, filters_of(stored.record, is_named=False)))
    statement = _insert(tuple(difference.rows), tuple(filters))
    await db.execute(statement, db.tenant_id, incident.id, filter_text(filters), *_encoded(difference))
    events = told(_events(change, difference), change.actor)
    return New(incident.number, difference.text, events, later)


async def tell_new_record(db: Db, stored: Stored, change: Change, new: New, number: str) -> None:
    """Give the incident that `save_new_rows` wrote its number, and begin its timeline."""
    name_incident(change, number)
    provisional, named = new.provisional.encode(), number.encode()
    for event in new.events:
        event.text = event.text.replace(provisional, named)
    framed = _framed(db, stored, change, new.events)
    filters = {**new.filters, "words_added": words(number)}
    given = orjson.dumps(framed).decode(), filter_text({**filters, "number": number})
    await db.execute(_name(tuple(filters)), db.tenant_id, stored.record.incident.id, *given, number)
    _keep(db.tenant_id, stored.record.incident.id, new.text.replace(provisional, named), framed[-1]["hash"])


def _encoded(difference: Difference) -> list[str]:
    return [f"[{b','.join(rows).decode()}]" for rows in difference.rows.values()]


def _events(change: Change, difference: Difference) -> list[Event]:
    events = list(change.events) or [Event("record.settled", {}, change.now)]
    events[0] = Event(events[0].kind, {**events[0].data, "changes": difference.changes}, events[0].occurred_at)
    return events


def _framed(db: Db, stored: Stored, change: Change, events: Sequence[Told]) -> list[dict[str, Any]]:
    at = stored.record.incident.id, stored.head_seq, stored.head_hash
    return linked(db.tenant_id, "incident", *at, events, change.actor, change.now)


@lru_cache(maxsize=256)
def _insert(tables: tuple[str, ...], filters: tuple[str, ...]) -> str:
    """One statement for the rows of a new incident, which have no old rows to meet, and its filters ($3)."""
    parts = [f"rows_{index} AS ({_upsert(table, 4 + index, is_new=True)})" for index, table in enumerate(tables)]
    parts += [f"{name} AS ({filter_statement(name, '$3')})" for name in filters]
    return f"WITH {', '.join(parts)} SELECT $1::uuid, $2::uuid, $3::jsonb"


@lru_cache(maxsize=1024)
def _statement(tables: tuple[str, ...], filters: tuple[str, ...]) -> str:
    """One statement for these tables: rows, then events ($3), filters ($4) and queue."""
    parts = [f"rows_{index} AS ({_upsert(table, 5 + index, is_new=False)})" for index, table in enumerate(tables)]
    return _told_with(parts, filters)


@lru_cache(maxsize=16)
def _name(filters: tuple[str, ...]) -> str:
    """One statement for what carries the number ($5) of a new incident: itself, its events and these filters."""
    return _told_with(["named AS (UPDATE incidents SET number = $5 WHERE tenant_id = $1 AND id = $2)"], filters)


def _told_with(parts: list[str], filters: tuple[str, ...]) -> str:
    given = "given AS (SELECT $1::uuid, $2::uuid, $4::jsonb)"  # so that each parameter has a type
    framed = f"framed AS MATERIALIZED ({FRAME_ROWS.format(parameter='$3')})"
    parts = [
        *parts,
        f"told AS ({INSERT_EVENTS.format(rows='framed')})",
        f"said AS ({INSERT_EVENT_DATA.format(rows='framed')})",
    ]
    parts += [f"{name} AS ({filter_statement(name, '$4')})" for name in filters]
    return f"WITH {', '.join([given, framed, *parts])} {MOVE_HEADS.format(rows='framed')}"


def _upsert(table: str, parameter: int, *, is_new: bool) -> str:
    row_type: type[Row] = Incident
    if table == "incidents":
        key, extra, values = ("tenant_id", "id"), "tenant_id", "$1"
    else:
        name = next(name for name, part in PARTS.items() if part[0] == table)
        row_type = PARTS[name][1]
        generation = ("generation",) if table in BY_GENERATION else ()
        key = ("tenant_id", "incident_id", *generation, PARTS[name][2])
        extra, values = "tenant_id, incident_id", "$1, $2"
    names = [one.name for one in structs.fields(row_type)]
    # Through json, not jsonb: verdicts are found by their very text, and compared with it at the next write.
    insert = (
        f"INSERT INTO {table} ({extra}, {', '.join(names)}) SELECT {values}, {', '.join(f'r.{n}' for n in names)}"
        f" FROM json_populate_recordset({_default_row(table, row_type)}, ${parameter}::json) r"
    )
    updates = ", ".join(f"{n} = excluded.{n}" for n in names if n not in key)
    return insert if is_new else f"{insert} ON CONFLICT ({', '.join(key)}) DO UPDATE SET {updates}"


@lru_cache(maxsize=64)
def _told_columns(row_type: type[Row]) -> tuple[str, ...]:
    """Columns that the event of a change tells."""
    return tuple(one.name for one in structs.fields(row_type) if one.name not in RESTATED)


def _default_row(table: str, row_type: type[Row]) -> str:
    """A row of what JSON leaves out."""
    columns = structs.fields(row_type)
    made = {one.name: one.default_factory() for one in columns if one.default_factory is not NODEFAULT}
    made |= {one.name: one.default for one in columns if one.default is not NODEFAULT}
    given = {name: value for name, value in made.items() if value not in (None, UNOFFERED)}
    return f"jsonb_populate_record(null::{table}, '{_encode(given).decode()}'::jsonb)"
