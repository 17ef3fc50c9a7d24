"""Who vouches for people: the identity providers of a tenant, and the identities that its people sign in with."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Text

from app.tables import columns
from app.tables.columns import SQLModel, belongs_to, index, of_tenant


class IdentityProvider(SQLModel, table=True):
    """An issuer whose access tokens for one audience open this tenant. Retired ones are kept and count no more."""

    __tablename__ = "identity_providers"
    __table_args__ = (of_tenant(), index("identity_providers_of", "issuer", "audience"))

    tenant_id: UUID = columns.tenant()
    id: UUID = columns.key()
    version: int = columns.number(1)
    name: str = columns.text()
    issuer: str = columns.text()
    audience: str = columns.text()
    client_id: str = columns.text()  # of the console: an identifier that anybody may know
    token_type: str = columns.text("at+jwt")
    role_claim: str | None = columns.text()
    role_map: dict[str, Any] = columns.json("{}")  # value of the claim -> roles
    enabled: bool = columns.flag(True)
    retired_at: datetime | None
    created_by: UUID | None
    created_at: datetime = columns.now()
    updated_at: datetime = columns.now()


class IdentityDirectory(SQLModel, table=True):
    """Which tenant a pair of issuer and audience belongs to: to one alone. Only tenant_of() looks across tenants."""

    __tablename__ = "identity_directory"
    __table_args__ = (of_tenant(),)

    issuer: str = columns.key(Text)
    audience: str = columns.key(Text)
    tenant_id: UUID


class Identity(SQLModel, table=True):
    """What a person signs in with: a subject of an issuer, never an e-mail address. Unlinked ones are kept."""

    __tablename__ = "identities"
    __table_args__ = (
        belongs_to("people", "person_id"),
        index("identities_subject", "issuer", "subject", unique=True, where="unlinked_at IS NULL"),
        index("identities_of_person", "person_id"),
    )

    tenant_id: UUID = columns.tenant()
    id: UUID = columns.key()
    person_id: UUID
    issuer: str = columns.text()
    subject: str = columns.text()
    unlinked_at: datetime | None
    created_at: datetime = columns.now()
