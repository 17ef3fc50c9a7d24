"""The timeline in the database: appending to a stream under the lock of its head.

The writer of an incident takes the head along with the record and inserts `frames(...)` in its own statement; every
other stream goes through `append`. Sequence numbers count from 1 without a gap, since the head is locked.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from os import urandom
from typing import Any, Protocol
from uuid import UUID

import orjson
from msgspec import Struct

from app.database import Db
from domain.actors import ORIGIN, Actor
from domain.timeline import GENESIS, SALT_BYTES, canonical_data, frame_hash, instant_text, text_digest

Row = dict[str, Any]

# To be used as a common table expression over one jsonb parameter, the rows of `frames`.
FRAME_ROWS = """
SELECT * FROM jsonb_to_recordset({parameter}::jsonb) AS r(
    tenant_id uuid, stream text, stream_id uuid, seq integer, kind text, occurred_at timestamptz,
    recorded_at timestamptz, actor_kind text, actor_id uuid, data_digest text, prev_hash text, hash text,
    salt bytea, data jsonb)
"""
INSERT_EVENTS = """
INSERT INTO events (tenant_id, stream, stream_id, seq, kind, occurred_at, recorded_at, actor_kind, actor_id,
                    data_digest, prev_hash, hash)
SELECT tenant_id, stream, stream_id, seq, kind, occurred_at, recorded_at, actor_kind, actor_id, data_digest,
       prev_hash, hash FROM {rows}
"""
INSERT_EVENT_DATA = """
INSERT INTO event_data (tenant_id, stream, stream_id, seq, salt, data)
SELECT tenant_id, stream, stream_id, seq, salt, data FROM {rows}
"""
MOVE_HEADS = """
INSERT INTO streams (tenant_id, stream, stream_id, seq, hash)
SELECT DISTINCT ON (tenant_id, stream, stream_id) tenant_id, stream, stream_id, seq, hash FROM {rows}
ORDER BY tenant_id, stream, stream_id, seq DESC
ON CONFLICT (tenant_id, stream, stream_id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash
"""

_LOCK_HEAD = """
INSERT INTO streams (tenant_id, stream, stream_id, seq, hash) VALUES ($1, $2, $3, 0, $4)
ON CONFLICT (tenant_id, stream, stream_id) DO UPDATE SET seq = streams.seq
RETURNING seq, hash
"""
_APPEND = f"""
WITH r AS MATERIALIZED ({FRAME_ROWS.format(parameter="$1")}),
     framed AS ({INSERT_EVENTS.format(rows="r")}),
     told AS ({INSERT_EVENT_DATA.format(rows="r")})
{MOVE_HEADS.format(rows="r")}
"""


class Happening(Protocol):
    """What `frames` asks of an event; `domain.changes.Event` is one. `occurred_at` None: when it is recorded."""

    @property
    def kind(self) -> str:
        """A dotted name, such as `step.completed`."""

    @property
    def data(self) -> Mapping[str, Any]:
        """What happened, as ids and values."""

    @property
    def occurred_at(self) -> datetime | None:
        """When it happened, as claimed."""


class Told(Struct):
    """What happened as canonical text, before it has its place in a stream."""

    kind: str
    text: bytes
    occurred_at: datetime | None


def told(events: Iterable[Happening], actor: Actor) -> list[Told]:
    """Events as what is hashed of them. Raises domain.timeline.NotCanonical for data that has no canonical form."""
    origin = {} if actor.via is None else {ORIGIN: actor.via.stored}
    return [
        Told(event.kind, canonical_data({**event.data, **origin} if origin else event.data), event.occurred_at)
        for event in events
    ]


def frames(
    tenant: UUID,
    stream: str,
    stream_id: UUID,
    head_seq: int,
    head_hash: str,
    events: Iterable[Happening],
    actor: Actor,
    recorded_at: datetime,
) -> list[Row]:
    """The rows that continue a stream from its head, see `linked`. Raises as `told` does."""
    return linked(tenant, stream, stream_id, head_seq, head_hash, told(events, actor), actor, recorded_at)


def linked(
    tenant: UUID,
    stream: str,
    stream_id: UUID,
    head_seq: int,
    head_hash: str,
    events: Iterable[Told],
    actor: Actor,
    recorded_at: datetime,
) -> list[Row]:
    """The rows that continue a stream from its head: columns of `events` plus `salt` (as `\\x...`) and `data`.

    A stream without events has the head (0, GENESIS). The last row is the new head.
    """
    rows: list[Row] = []
    recorded = instant_text(recorded_at)
    seq, previous = head_seq, head_hash
    for event in events:
        seq += 1
        salt = urandom(SALT_BYTES)
        row: Row = {
            "stream": stream,
            "stream_id": str(stream_id),
            "seq": seq,
            "kind": event.kind,
            "occurred_at": recorded if event.occurred_at is None else instant_text(event.occurred_at),
            "recorded_at": recorded,
            "actor_kind": actor.kind,
            "actor_id": str(actor.id),
            "data_digest": text_digest(salt, event.text),
            "prev_hash": previous,
        }
        previous = frame_hash(tenant=tenant, **row)
        row.update(tenant_id=str(tenant), hash=previous, salt=f"\\x{salt.hex()}", data=orjson.Fragment(event.text))
        rows.append(row)
    return rows


async def append(
    db: Db,
    stream: str,
    stream_id: UUID,
    kind: str,
    data: Mapping[str, Any],
    *,
    actor: Actor,
    occurred_at: datetime | None = None,
    recorded_at: datetime | None = None,
) -> Row:
    """Append one event to a stream, locking its head until the transaction ends; the row that was inserted.

    Where one use case appends to several streams it does so ordered by (stream, id), after its incidents.
    """
    seq, head = await lock_head(db, stream, stream_id)
    now = recorded_at or datetime.now(UTC)
    rows = frames(db.tenant_id, stream, stream_id, seq, head, [_Said(kind, data, occurred_at)], actor, now)
    await insert_frames(db, rows)
    return rows[-1]


async def lock_head(db: Db, stream: str, stream_id: UUID) -> tuple[int, str]:
    """Lock the head of a stream, beginning it where it is new: the last sequence number and hash."""
    head = await db.row(_LOCK_HEAD, db.tenant_id, stream, stream_id, GENESIS)
    assert head is not None
    return head["seq"], head["hash"]


async def insert_frames(db: Db, rows: list[Row]) -> None:
    """Insert what `frames` made and move the heads. The heads must be locked by this transaction."""
    await db.execute(_APPEND, orjson.dumps(rows).decode())


class _Said:
    __slots__ = ("data", "kind", "occurred_at")

    def __init__(self, kind: str, data: Mapping[str, Any], occurred_at: datetime | None) -> None:
        self.kind = kind
        self.data = data
        self.occurred_at = occurred_at
