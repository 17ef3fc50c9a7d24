"""Who takes part: the tenant, its clients, its people, machine identities and their keys."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, CheckConstraint, Text, Uuid
from sqlmodel import Field

from app.tables import columns
from app.tables.columns import SQLModel, belongs_to, index, of_tenant, one_of, unique


class Tenant(SQLModel, table=True):
    """One organisation using the service. The counters are gapless: they move in the transaction of the report."""

    __tablename__ = "tenants"

    tenant_id: UUID = columns.tenant()
    name: str = columns.text()
    created_at: datetime = columns.now()
    settings: dict[str, Any] = columns.json("{}")  # {calendar, grace, thresholds, profile (org.*), limits}
    next_number: int = columns.number(1001)
    next_exercise: int = columns.number(1)
    directory_version: int = columns.number(1)  # moved by triggers with every change of people, clients and settings


class Client(SQLModel, table=True):
    """A customer of the tenant, with the profile and the contract clauses that obligations are computed from."""

    __tablename__ = "clients"
    __table_args__ = (of_tenant(), index("clients_by_name", "name", "id"))

    tenant_id: UUID = columns.tenant()
    id: UUID = columns.key()
    version: int = columns.number(1)
    name: str = columns.text()
    hipaa_role: str | None = columns.text()
    gdpr_role: str | None = columns.text()
    jurisdictions: list[str] = columns.words()
    profile: dict[str, Any] = columns.json("{}")
    contract: dict[str, Any] = columns.json(
        "{}"
    )  # {clauses: [...]}, fields as in the obligations' section on contracts
    active: bool = columns.flag(True)
    created_at: datetime = columns.now()
    updated_at: datetime = columns.now()


class ClientReference(SQLModel, table=True):
    """What another system calls a client."""

    __tablename__ = "client_references"
    __table_args__ = (belongs_to("clients", "client_id"), index("client_references_of", "client_id"))

    tenant_id: UUID = columns.tenant()
    system: str = columns.key(Text)
    instance: str = Field(primary_key=True, sa_type=Text, sa_column_kwargs={"server_default": "-"})
    external_id: str = columns.key(Text)
    client_id: UUID
    key: str | None = columns.text()
    url: str | None = columns.text()
    created_at: datetime = columns.now()


class Person(SQLModel, table=True):
    """A member of the tenant, an outside person limited to named incidents (C13), or the service itself."""

    __tablename__ = "people"
    __table_args__ = (
        of_tenant(),
        belongs_to("people", "manager_id"),
        unique("people_user_name", "user_name"),
        unique("people_token_hash", "token_hash"),
        one_of("kind", "internal", "external", "system"),
        CheckConstraint("kind <> 'external' OR expires_at IS NOT NULL", name="outside_people_expire"),
        index("people_by_name", "name", "id"),
    )

    tenant_id: UUID = columns.tenant()
    id: UUID = columns.key()
    version: int = columns.number(1)
    kind: str = columns.text("internal")
    name: str = columns.text()
    email: str | None = columns.text()
    user_name: str | None = columns.text()
    manager_id: UUID | None
    roles: list[str] = columns.words()
    active: bool = columns.flag(True)
    expires_at: datetime | None
    incident_ids: list[UUID] = columns.uuids()
    token_hash: bytes | None = columns.binary()  # of a one-time token that waits to be exchanged for a key
    token_expires_at: datetime | None
    token_issued_by: UUID | None  # who handed the person its latest token: four eyes compare it
    created_by: UUID | None
    created_at: datetime = columns.now()
    updated_at: datetime = columns.now()


class ServiceAccount(SQLModel, table=True):
    """A machine identity for integrations."""

    __tablename__ = "service_accounts"
    __table_args__ = (of_tenant(), belongs_to("sources", "source_id"))

    tenant_id: UUID = columns.tenant()
    id: UUID = columns.key()
    name: str = columns.text()
    active: bool = columns.flag(True)
    source_id: UUID | None
    created_by: UUID | None
    created_at: datetime = columns.now()


class ApiKey(SQLModel, table=True):
    """A credential of a person or a service account. Only the SHA-256 of its secret is kept.

    `roles` null means all roles of the person; `client_ids` null means no client limit.
    """

    __tablename__ = "api_keys"
    __table_args__ = (
        belongs_to("people", "person_id"),
        belongs_to("service_accounts", "service_account_id"),
        unique("api_keys_secret_hash", "secret_hash"),
        CheckConstraint("num_nonnulls(person_id, service_account_id) = 1", name="belongs_to_one"),
        index("api_keys_of_person", "person_id"),
    )

    tenant_id: UUID = columns.tenant()
    id: UUID = columns.key()
    person_id: UUID | None
    service_account_id: UUID | None
    name: str = columns.text()
    secret_hash: bytes = columns.binary()
    prefix: str = columns.text()
    roles: list[str] | None = Field(sa_type=ARRAY(Text))
    client_ids: list[UUID] | None = Field(sa_type=ARRAY(Uuid))
    period_from: datetime | None
    period_to: datetime | None
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    created_by: UUID | None
    created_at: datetime = columns.now()
