"""The risk register and its revisions."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Text, text
from sqlmodel import Field

from app.tables import columns
from app.tables.columns import SQLModel, belongs_to, index, of_tenant, one_of


class Risk(SQLModel, table=True):
    """An entry of the register. Inherent and residual scores are products, so they are computed when read."""

    __tablename__ = "risks"
    __table_args__ = (
        of_tenant(),
        belongs_to("people", "owner_id"),
        one_of("status", "open", "treating", "accepted", "closed"),
        CheckConstraint("likelihood BETWEEN 1 AND 5 AND impact BETWEEN 1 AND 5", name="scored_1_to_5"),
        CheckConstraint(
            "residual_likelihood BETWEEN 1 AND likelihood AND residual_impact BETWEEN 1 AND impact",
            name="residual_within_inherent",
        ),
    )

    tenant_id: UUID = columns.tenant()
    ref: str = columns.key(Text)  # AR-001
    id: UUID = Field(sa_column_kwargs={"server_default": text("gen_random_uuid()")})  # of its stream of events
    version: int = columns.number(1)
    title: str = columns.text()
    description: str = columns.text()
    category: str = columns.text()
    owner_id: UUID | None
    status: str = columns.text("open")
    likelihood: int
    impact: int
    residual_likelihood: int
    residual_impact: int
    treatments: list[str] = columns.words()
    treatment_plan: Any | None = columns.json()  # {actions, owner, due}
    acceptance: Any | None = columns.json()  # {approved_by, expires_at}
    controls: list[str] = columns.words()
    playbooks: list[str] = columns.words()
    maps_to: list[str] = columns.words()
    kris: list[Any] = columns.json("[]")
    last_reviewed_at: datetime | None
    next_review_at: datetime | None
    late_review_announced_at: datetime | None  # that the review fell due undone; a review takes it back
    created_at: datetime = columns.now()
    updated_at: datetime = columns.now()


class RiskRevision(SQLModel, table=True):
    """A change of an entry, or the statement that none is needed, with its cause."""

    __tablename__ = "risk_revisions"
    __table_args__ = (
        belongs_to("risks", "risk_ref", "ref"),
        belongs_to("incidents", "incident_id"),
        belongs_to("people", "author_id"),
        belongs_to("people", "decided_by"),
        one_of("decision", "accept", "edit", "no_change"),
        one_of("status", "proposed", "accepted", "rejected"),
        one_of("cause", "review", "incident", "treatment", "audit"),
        index("risk_revisions_of_risk", "risk_ref", "at"),
        index("risk_revisions_of_incident", "incident_id", where="incident_id IS NOT NULL"),
    )

    tenant_id: UUID = columns.tenant()
    id: UUID = columns.key()
    risk_ref: str = columns.text()
    incident_id: UUID | None
    decision: str = columns.text()
    status: str = columns.text("accepted")
    proposal: Any | None = columns.json()
    before: dict[str, Any] = columns.json("{}")
    after: dict[str, Any] = columns.json("{}")
    reason: str = columns.text()
    cause: str = columns.text()
    author_id: UUID
    at: datetime
    outcome: str | None = columns.text()  # of the decision on a tool that it carries
    decided_by: UUID | None  # the author, unless it was proposed first
    decided_at: datetime | None
    decision_reason: str | None = columns.text()  # of a decision on a proposed revision
