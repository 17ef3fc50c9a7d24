"""The timeline: hash-linked events apart from their data, and what was erased."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, Integer, Text
from sqlmodel import Field

from app.tables import columns
from app.tables.columns import SQLModel, belongs_to, in_incident, index, one_of, unique


class Stream(SQLModel, table=True):
    """The head of one stream: the last sequence number and hash. Its row is locked while the stream grows."""

    __tablename__ = "streams"

    tenant_id: UUID = columns.tenant()
    stream: str = columns.key(Text)
    stream_id: UUID = columns.key()
    seq: int
    hash: str = columns.text()


class Event(SQLModel, table=True):
    """The frame of one event: what is hashed and never changes. It names nobody: an actor is a kind and an id."""

    __tablename__ = "events"
    __table_args__ = (
        one_of("actor_kind", "person", "service_account", "system"),
        CheckConstraint("seq > 0", name="seq_from_one"),
        index("events_by_record", "recorded_at"),
        index("events_by_transaction", "written_in"),
        index("events_of_late_reviews", "occurred_at", where="kind IN ('risk.review_late', 'tool.review_overdue')"),
    )

    tenant_id: UUID = columns.tenant()
    stream: str = columns.key(Text)
    stream_id: UUID = columns.key()
    seq: int = columns.key(Integer)
    kind: str = columns.text()
    occurred_at: datetime
    recorded_at: datetime
    actor_kind: str = columns.text()
    actor_id: UUID
    data_digest: str = columns.text()
    prev_hash: str = columns.text()
    hash: str = columns.text()
    written_in: int = columns.transaction()


class EventData(SQLModel, table=True):
    """What happened, with the salt of its digest. Rows go only by erasure; the frame and its digest stay."""

    __tablename__ = "event_data"
    __table_args__ = (belongs_to("events", ("stream", "stream_id", "seq"), ("stream", "stream_id", "seq")),)

    tenant_id: UUID = columns.tenant()
    stream: str = columns.key(Text)
    stream_id: UUID = columns.key()
    seq: int = columns.key(Integer)
    salt: bytes = columns.binary()
    data: dict[str, Any] = columns.json()


class LogPending(SQLModel, table=True):
    """An event that has no place in the log yet: written with the event, deleted when it gets one."""

    __tablename__ = "log_pending"

    tenant_id: UUID = columns.tenant()
    position: int = columns.counted_key()
    stream: str = columns.text()
    stream_id: UUID
    seq: int


class LogEntry(SQLModel, table=True):
    """The place of an event in the log of its tenant: from 1, without a gap, never changed."""

    __tablename__ = "log_entries"
    __table_args__ = (
        unique("log_entries_once", "stream", "stream_id", "seq"),
        CheckConstraint("log_index > 0", name="index_from_one"),
    )

    tenant_id: UUID = columns.tenant()
    log_index: int = columns.key(BigInteger)
    stream: str = columns.text()
    stream_id: UUID
    seq: int


class Erasure(SQLModel, table=True):
    """A removal of personal data: asked for, approved by somebody else, executed."""

    __tablename__ = "erasures"
    __table_args__ = (
        in_incident(),
        belongs_to("people", "requested_by"),
        belongs_to("people", "approved_by"),
        belongs_to("people", "rejected_by"),
        CheckConstraint("approved_by <> requested_by", name="four_eyes"),
    )

    tenant_id: UUID = columns.tenant()
    id: UUID = columns.key()
    incident_id: UUID
    event_seqs: list[int] = Field(sa_type=ARRAY(Integer))
    fields: list[Any] = columns.json("[]")
    reason: str = columns.text()
    requested_by: UUID
    requested_at: datetime = columns.now()
    approved_by: UUID | None
    executed_at: datetime | None
    rejected_by: UUID | None
    rejected_at: datetime | None
