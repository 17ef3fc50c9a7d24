"""Is what is stored what the events say? Chains verified, digests compared, state folded again and compared.

Nothing is written. A stream whose data was erased in part still verifies, but cannot be folded: it is counted apart.
"""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import orjson

from app.database import Database, Db
from app.record import BY_GENERATION, PARTS
from domain.timeline import Frame, State, fold, holds, verify

STREAMS_AT_ONCE = 200
FAULTS_MAX = 100
# How a row that an event names is found again: table -> column, where that is not `id`.
KEYS = {"risks": "ref", "tenants": "tenant_id"} | {table: key for table, _, key, _ in PARTS.values() if key != "id"}
OF_INCIDENT = frozenset(table for table, _, _, _ in PARTS.values())

# Rows and events have to be of one instant, or a write in between would read as a fault. The transaction begins anew,
# because a level is set before the first query.
_ONE_SNAPSHOT = (
    "ROLLBACK; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT set_config('app.tenant_id', '{}', true)"
)
_STREAMS = """
SELECT stream, stream_id, seq, hash FROM streams
WHERE tenant_id = $1 AND (stream, stream_id) > ($2, $3) AND seq > 0 ORDER BY stream, stream_id LIMIT $4
"""
_EVENTS = """
SELECT e.*, d.salt, d.data::text AS data, l.log_index, CASE WHEN l.log_index IS NULL THEN EXISTS (
    SELECT 1 FROM log_pending p WHERE p.tenant_id = e.tenant_id AND p.stream = e.stream AND p.stream_id = e.stream_id
    AND p.seq = e.seq) END AS is_pending
FROM events e
LEFT JOIN event_data d
  ON d.tenant_id = e.tenant_id AND d.stream = e.stream AND d.stream_id = e.stream_id AND d.seq = e.seq
LEFT JOIN log_entries l
  ON l.tenant_id = e.tenant_id AND l.stream = e.stream AND l.stream_id = e.stream_id AND l.seq = e.seq
WHERE e.tenant_id = $1 AND e.stream = $2 AND e.stream_id = $3 ORDER BY e.seq
"""
_LOG = "SELECT count(*) AS entries, coalesce(max(log_index), 0) AS head FROM log_entries WHERE tenant_id = $1"
# Both sides pass through the types of the table, so that an instant equals itself however it was written.
_DIFFERENCES = """
SELECT f.key, n.name, f.stored IS NULL AS gone FROM (
    SELECT r.key, r.columns, to_jsonb(jsonb_populate_record(NULL::{table}, r.columns)) AS folded,
           (SELECT to_jsonb(t) FROM {table} t WHERE t.tenant_id = $1 AND {place}) AS stored
    FROM jsonb_to_recordset($2::jsonb) AS r(key text, row text, generation integer, columns jsonb) OFFSET 0) f,
    LATERAL (SELECT jsonb_object_keys(f.columns) AS name) n
WHERE f.stored IS NULL OR f.folded -> n.name IS DISTINCT FROM f.stored -> n.name
"""


async def check_tenant(database: Database, tenant_id: UUID, *, compare: bool = True) -> dict[str, Any]:
    """Verify every stream of a tenant and, with `compare`, fold it and look at the rows.

    The report holds tenant_id, streams, events, erased (streams that cannot be folded) and faults (at most 100 texts).
    """
    report: dict[str, Any] = {"tenant_id": tenant_id, "streams": 0, "events": 0, "erased": 0, "faults": []}
    after: tuple[str, UUID] = ("", UUID(int=0))
    while True:
        async with database.transaction(tenant_id, read_only=True) as db:
            await db.execute(_ONE_SNAPSHOT.format(UUID(int=tenant_id.int)))
            heads = await db.fetch(_STREAMS, tenant_id, *after, STREAMS_AT_ONCE)
            for head in heads:
                await _check_stream(db, head, report, compare)
            if len(heads) < STREAMS_AT_ONCE:
                placed = await db.row(_LOG, tenant_id)
                if placed is not None and placed["entries"] != placed["head"]:
                    report["faults"].append(f"log: {placed['entries']} entries are numbered up to {placed['head']}")
                return report
        after = heads[-1]["stream"], heads[-1]["stream_id"]


async def _check_stream(db: Db, head: Mapping[str, Any], report: dict[str, Any], compare: bool) -> None:
    stream, stream_id, faults = head["stream"], head["stream_id"], report["faults"]
    rows = await db.fetch(_EVENTS, db.tenant_id, stream, stream_id)
    report["streams"] += 1
    report["events"] += len(rows)
    if len(faults) >= FAULTS_MAX:
        return
    frames = [_frame(row) for row in rows]
    name = f"{stream} {stream_id}"
    broken = verify(frames)
    if broken is not None:
        faults.append(f"{name}: the chain breaks at event {broken}")
    elif not frames or (frames[-1].seq, frames[-1].hash) != (head["seq"], head["hash"]):
        faults.append(f"{name}: the last event is not the one the head names")
    faults.extend(_misplaced(name, rows))
    changes = []
    is_whole = True
    for row, frame in zip(rows, frames, strict=True):
        if row["data"] is None:
            is_whole = False
            continue
        data = orjson.loads(row["data"])
        if not holds(frame, row["salt"], data):
            faults.append(f"{name}: the data of event {frame.seq} is not what was recorded")
        changes.append(data.get("changes") or {})
    if not is_whole:
        report["erased"] += 1
    elif compare:
        faults.extend(await _differences(db, name, stream_id, fold(changes)))


def _misplaced(name: str, rows: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    """Events of a stream whose place in the log is missing, or before that of an earlier one."""
    last = 0
    for row in rows:
        if row["log_index"] is None:
            if not row["is_pending"]:
                yield f"{name}: event {row['seq']} has no place in the log and waits for none"
        elif row["log_index"] < last:
            yield f"{name}: event {row['seq']} stands before an earlier one in the log"
        else:
            last = row["log_index"]


async def _differences(db: Db, name: str, stream_id: UUID, state: State) -> list[str]:
    """Columns whose stored value is not the folded one."""
    found = []
    for table, rows in state.items():
        place = f"t.{KEYS.get(table, 'id')}::text = r.row"
        arguments: list[Any] = [db.tenant_id, orjson.dumps(list(_rows(table, rows))).decode()]
        if table in OF_INCIDENT:
            place += " AND t.incident_id = $3"
            arguments.append(stream_id)
        if table in BY_GENERATION:
            place += " AND t.generation = r.generation"
        for row in await db.fetch(_DIFFERENCES.format(table=table, place=place), *arguments):
            what = "is not stored" if row["gone"] else f"{row['name']} is not what the events say"
            found.append(f"{name}: {table} {row['key']}: {what}")
    return list(dict.fromkeys(found))


def _rows(table: str, rows: Mapping[str, Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    for key, columns in rows.items():
        generation, _, row = key.partition("/") if table in BY_GENERATION else ("0", "", key)
        yield {"key": key, "row": row, "generation": int(generation), "columns": columns}


def _frame(row: Mapping[str, Any]) -> Frame:
    return Frame(
        tenant=row["tenant_id"],
        stream=row["stream"],
        stream_id=str(row["stream_id"]),
        seq=row["seq"],
        kind=row["kind"],
        occurred_at=row["occurred_at"],
        recorded_at=row["recorded_at"],
        actor_kind=row["actor_kind"],
        actor_id=row["actor_id"],
        data_digest=row["data_digest"],
        prev_hash=row["prev_hash"],
        hash=row["hash"],
    )
