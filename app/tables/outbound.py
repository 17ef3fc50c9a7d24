"""What we tell others: connections, webhook endpoints, one delivery per event and endpoint, and the lanes that keep
their order."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Text, Uuid
from sqlmodel import Field

from app.tables import columns
from app.tables.columns import SQLModel, belongs_to, index, of_tenant, one_of, unique


class Connection(SQLModel, table=True):
    """A system that we call. Credentials are sealed; `account` is the name under which it knows us."""

    __tablename__ = "connections"
    __table_args__ = (of_tenant(), one_of("status", "active", "retired"))

    tenant_id: UUID = columns.tenant()
    id: UUID = columns.key()
    version: int = columns.number(1)
    name: str = columns.text()
    system: str = columns.text()
    instance: str = columns.text()
    base_url: str = columns.text()
    credentials: bytes = columns.binary()
    account: str | None = columns.text()
    status: str = columns.text("active")
    last_checked_at: datetime | None
    last_error: str | None = columns.text()
    created_by: UUID | None
    created_at: datetime = columns.now()
    updated_at: datetime = columns.now()


class WebhookEndpoint(SQLModel, table=True):
    """An address that events are sent to. `client_ids` null means no client limit. Secrets are sealed."""

    __tablename__ = "webhook_endpoints"
    __table_args__ = (
        of_tenant(),
        belongs_to("connections", "connection_id"),
        one_of("payload", "thin", "full"),
        one_of("format", "standard", "cloudevents", "ocsf", "slack", "teams", "ticket"),
        one_of("status", "active", "disabled", "retired"),
    )

    tenant_id: UUID = columns.tenant()
    id: UUID = columns.key()
    version: int = columns.number(1)
    name: str = columns.text()
    url: str = columns.text()  # masked where `sealed_url` holds the address
    sealed_url: bytes | None = columns.binary()
    format: str = columns.text("standard")
    connection_id: UUID | None
    ticket: dict[str, Any] | None = columns.json()  # what is wanted of tickets, where it writes to them
    event_types: list[str] = columns.words()
    filter: str | None = columns.text()
    client_ids: list[UUID] | None = Field(sa_type=ARRAY(Uuid))
    payload: str = columns.text("thin")
    status: str = columns.text("active")
    disabled_because: str | None = columns.text()
    failing_since: datetime | None
    confirmed_at: datetime | None
    secret: bytes = columns.binary()  # 32 bytes of HMAC key, then 32 bytes of Ed25519 seed
    previous_secret: bytes | None = columns.binary()
    previous_secret_until: datetime | None
    public_key: str = columns.text()
    created_by: UUID | None
    created_at: datetime = columns.now()
    updated_at: datetime = columns.now()


class WebhookDelivery(SQLModel, table=True):
    """One event for one endpoint, written with the event. The body is made anew for each attempt and never kept."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        unique("webhook_deliveries_once", "endpoint_id", "stream", "stream_id", "seq"),
        one_of("status", "pending", "delivered", "failed", "withheld"),
        index("webhook_deliveries_pending", "endpoint_id", "stream", "stream_id", "seq", where="status = 'pending'"),
        index("webhook_deliveries_failed", "endpoint_id", where="status = 'failed'"),
        index("webhook_deliveries_by_age", "endpoint_id", "created_at"),
    )

    tenant_id: UUID = columns.tenant()
    id: UUID = columns.key()
    endpoint_id: UUID
    stream: str = columns.text()
    stream_id: UUID
    seq: int
    event_id: str = columns.text()
    event_type: str = columns.text()
    status: str = columns.text("pending")
    attempts: int = columns.number(0)
    next_attempt_at: datetime | None
    attempted_at: datetime | None
    delivered_at: datetime | None
    duration_ms: int | None
    request: Any | None = columns.json()
    response_status: int | None
    response_excerpt: str | None = columns.text()
    error: str | None = columns.text()
    created_at: datetime = columns.now()


class WebhookLane(SQLModel, table=True):
    """One stream on its way to one endpoint: claimed as a whole by moving `next_at`, so that its events keep their
    order. `bumps` counts what was queued since it exists; who queues takes the lock of the row by it."""

    __tablename__ = "webhook_lanes"
    __table_args__ = (
        index("webhook_lanes_by_time", "endpoint_id", "next_at", "stream", "stream_id"),
        index("webhook_lanes_next", "next_at"),
    )

    tenant_id: UUID = columns.tenant()
    endpoint_id: UUID = columns.key()
    stream: str = columns.key(Text)
    stream_id: UUID = columns.key()
    next_at: datetime
    bumps: int = columns.number(0)
