"""What comes from outside and what waits to be done: sources, their deliveries, stored answers, due work."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, Text
from sqlmodel import Field

from app.tables import columns
from app.tables.columns import SQLModel, belongs_to, index, of_tenant, one_of, unique


class Source(SQLModel, table=True):
    """A system that sends us webhooks. Secrets are sealed; of the address only the token's SHA-256 is kept."""

    __tablename__ = "sources"
    __table_args__ = (
        of_tenant(),
        belongs_to("clients", "default_client_id"),
        belongs_to("connections", "connection_id"),
        unique("sources_token_hash", "token_hash"),
        one_of("status", "active", "paused", "disabled"),
    )

    tenant_id: UUID = columns.tenant()
    id: UUID = columns.key()
    version: int = columns.number(1)
    name: str = columns.text()
    system: str = columns.text()
    instance: str = columns.text("-")
    token_hash: bytes = columns.binary()
    secret: bytes | None = columns.binary()
    previous_secret: bytes | None = columns.binary()
    previous_secret_until: datetime | None
    scheme: dict[str, Any] = columns.json("{}")
    mapping: dict[str, Any] = columns.json("{}")
    defaults: dict[str, Any] = columns.json("{}")  # {playbook, facts, labels, ...}
    default_client_id: UUID | None
    client_map: dict[str, Any] = columns.json("{}")
    limits: dict[str, Any] = columns.json("{}")
    status: str = columns.text("active")
    created_by: UUID | None
    created_at: datetime = columns.now()
    updated_at: datetime = columns.now()
    silent_since: datetime | None
    connection_id: UUID | None  # over which what a delivery only names is fetched


class HookDelivery(SQLModel, table=True):
    """One delivery of a source, kept as it was received. The unique key makes a repeated delivery a duplicate."""

    __tablename__ = "hook_deliveries"
    __table_args__ = (
        belongs_to("sources", "source_id"),
        belongs_to("incidents", "incident_id"),
        unique("hook_deliveries_once", "source_id", "dedupe_key"),
        one_of("result", "created", "updated", "noted", "duplicate", "ignored", "unmapped"),
        index("hook_deliveries_by_receipt", "source_id", "received_at"),
        index("hook_deliveries_of", "incident_id", "received_at", where="incident_id IS NOT NULL"),
        index("hook_deliveries_waiting", "source_id", "waiting_for", where="waiting_for IS NOT NULL"),
    )

    tenant_id: UUID = columns.tenant()
    id: UUID = columns.key()
    source_id: UUID
    received_at: datetime = columns.now()
    dedupe_key: str = columns.text()
    headers: dict[str, Any] = columns.json("{}")  # sanitised: never a credential
    content_type: str | None = columns.text()
    body: bytes = columns.binary()
    result: str | None = columns.text()
    because: str | None = columns.text()
    incident_id: UUID | None
    error: str | None = columns.text()
    attempts: int = columns.number(0)
    waiting_for: str | None = columns.text()  # an external id that no incident carries yet


class Correlation(SQLModel, table=True):
    """How many alerts of one cause an incident stands for."""

    __tablename__ = "correlations"
    __table_args__ = (belongs_to("sources", "source_id"), belongs_to("incidents", "incident_id"))

    tenant_id: UUID = columns.tenant()
    source_id: UUID = columns.key()
    key: str = Field(primary_key=True, sa_type=Text)
    incident_id: UUID
    alerts: int
    first_at: datetime
    last_at: datetime


class UnmappedClient(SQLModel, table=True):
    """A name by which a source calls a client, and of which nobody has said whom it means."""

    __tablename__ = "unmapped_clients"
    __table_args__ = (
        belongs_to("sources", "source_id"),
        belongs_to("incidents", "incident_id"),
        unique("unmapped_clients_once", "source_id", "external_id"),
    )

    tenant_id: UUID = columns.tenant()
    id: UUID = columns.key()
    source_id: UUID
    external_id: str = columns.text()
    name: str | None = columns.text()
    incident_id: UUID | None
    incidents: int
    first_at: datetime
    last_at: datetime


class IdempotencyKey(SQLModel, table=True):
    """A stored answer, for the one who asked. The principal is the person or service account, never the credential."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (index("idempotency_keys_by_age", "created_at"),)

    tenant_id: UUID = columns.tenant()
    principal_id: UUID = columns.key()
    route: str = columns.key(Text)
    key: str = Field(primary_key=True, sa_type=Text)
    digest: bytes = columns.binary()
    status: int
    headers: dict[str, Any] = columns.json("{}")
    answer: bytes | None = columns.binary()  # encrypted
    created_at: datetime = columns.now()


class DueWork(SQLModel, table=True):
    """The one queue. A claim moves `next_at` past its lease, so an expired lease is simply due again."""

    __tablename__ = "due_work"
    __table_args__ = (
        index("due_work_by_time", "kind", "next_at"),
        # The one question across tenants, asked as holdfast_worker: who has work that is due?
        Index("due_work_next", "next_at", "tenant_id"),
    )

    tenant_id: UUID = columns.tenant()
    kind: str = columns.key(Text)  # deadline, reevaluate, ...
    subject_id: UUID = columns.key()
    next_at: datetime
    attempts: int = columns.number(0)
