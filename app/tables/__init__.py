"""The tables, declared once: Alembic compares the database with `METADATA`; statements are SQL by their use case."""

from sqlalchemy import MetaData

from app.tables import (
    catalogue,
    identities,
    incidents,
    intake,
    outbound,
    parties,
    proof,
    risks,
    steps,
    timeline,
    tools,
    work,
)
from app.tables.columns import SQLModel

__all__ = [
    "METADATA",
    "catalogue",
    "identities",
    "incidents",
    "intake",
    "outbound",
    "parties",
    "proof",
    "risks",
    "steps",
    "timeline",
    "tools",
    "work",
]

METADATA: MetaData = SQLModel.metadata
