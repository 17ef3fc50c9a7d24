"""The playbook catalogue as rows, for the read path.

Shipped playbooks carry the nil uuid as tenant and are readable by every tenant; only a migration or a start of the
service writes them. `hash` is the content hash that an incident pins, so rows of one hash never change.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, Text

from app.tables import columns
from app.tables.columns import SQLModel, belongs_to, index, one_of


class PlaybookVersion(SQLModel, table=True):
    """One version of a playbook."""

    __tablename__ = "playbook_versions"
    __table_args__ = (
        # One content per published version; what incidents pinned under another content stays readable.
        index("playbook_versions_slug", "slug", "version", unique=True, where="status = 'published'"),
        one_of("status", "draft", "published", "superseded", "withdrawn"),
    )

    tenant_id: UUID = columns.tenant()
    hash: str = columns.key(Text)
    slug: str = columns.text()
    version: str = columns.text()
    title: str = columns.text()
    description: str = columns.text()
    status: str = columns.text("published")
    primary_risk: str | None = columns.text()
    risks: list[str] = columns.words()
    severity_floor: str | None = columns.text()
    standards: Any | None = columns.json()
    sources: Any | None = columns.json()
    resolved: dict[str, Any] = columns.json("{}")
    imported_at: datetime = columns.now()


class PlaybookStep(SQLModel, table=True):
    """A step of a playbook, with what never changes while it runs."""

    __tablename__ = "playbook_steps"
    __table_args__ = (
        belongs_to("playbook_versions", "hash", "hash"),
        # Every tenant reads the shipped rows, so the plan must not start with one tenant.
        Index("playbook_steps_by_hash", "hash", "id"),
    )

    tenant_id: UUID = columns.tenant()
    hash: str = columns.key(Text)
    id: str = columns.key(Text)
    position: int
    phase: str = columns.text()
    title: str = columns.text()
    summary: str = columns.text("")
    owner_roles: list[str] = columns.words()
    sla: Any | None = columns.json()
    controls: list[str] = columns.words()
    controls_suggested: list[str] = columns.words()
    source: str = columns.text("")


class PlaybookAction(SQLModel, table=True):
    """An action of a playbook."""

    __tablename__ = "playbook_actions"
    __table_args__ = (
        belongs_to("playbook_steps", ("hash", "step_id"), ("hash", "id")),
        Index("playbook_actions_by_hash", "hash", "id"),
    )

    tenant_id: UUID = columns.tenant()
    hash: str = columns.key(Text)
    id: str = columns.key(Text)
    step_id: str = columns.text()
    position: int
    text: str = columns.text()
    type: str = columns.text()
    required_if: str | None = columns.text()
    outcomes: list[str] = columns.words()
    inputs: list[Any] = columns.verbatim()
    fills: list[str] = columns.words()
    role: str | None = columns.text()
    closing: bool = columns.flag()
    source: str = columns.text("")
    basis: str | None = columns.text()
    approvals_from: list[str] = columns.words()
    approvals_when: list[str] = columns.words()
    opens: dict[str, Any] | None = columns.verbatim()
