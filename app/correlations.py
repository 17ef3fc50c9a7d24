"""Alerts of one cause, counted: the incident of the first stands for all, and its timeline tells of them briefly.

Alerts belong together by what their mapping calls `correlation`, within a window that every one of them begins anew.
"""

from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from app.database import Db
from app.sources import Source

WINDOW = timedelta(hours=1)
TOLD_EACH = 10  # after so many, only every doubling of the count is told

_COUNT = """
UPDATE correlations c SET alerts = c.alerts + 1, last_at = greatest(c.last_at, $4::timestamptz) FROM incidents i
WHERE c.tenant_id = $1 AND c.source_id = $2 AND c.key = $3 AND c.last_at > $4::timestamptz - $5::interval
  AND i.tenant_id = c.tenant_id AND i.id = c.incident_id AND i.status NOT IN ('closed', 'rejected')
RETURNING c.incident_id, i.number, c.alerts, c.first_at
"""
_BEGIN = """
INSERT INTO correlations (tenant_id, source_id, key, incident_id, alerts, first_at, last_at)
VALUES ($1, $2, $3, $4, 1, $5, $5)
ON CONFLICT (tenant_id, source_id, key) DO UPDATE SET incident_id = excluded.incident_id, alerts = 1,
    first_at = excluded.first_at, last_at = excluded.last_at
"""


class Counted(Struct, frozen=True):
    """An alert that was counted: the incident it belongs to, and the count with it."""

    incident_id: UUID
    number: str
    alerts: int
    first_at: datetime

    @property
    def is_told(self) -> bool:
        """Whether the timeline tells of this one: the first few, then every doubling."""
        return self.alerts <= TOLD_EACH or self.alerts & (self.alerts - 1) == 0


def window_of(source: Source) -> timedelta:
    """How long after the last alert another one still belongs to it; nothing where the source counts none."""
    seconds = source.limits.get("correlation_seconds")
    return WINDOW if seconds is None else timedelta(seconds=seconds)


async def count_alert(db: Db, source: Source, key: str, at: datetime) -> Counted | None:
    """Count an alert with the open incident of its cause, None when there is no such."""
    row = await db.row(_COUNT, db.tenant_id, source.id, key, at, window_of(source))
    return None if row is None else Counted(**dict(row))


async def begin_correlation(db: Db, source: Source, key: str, incident_id: UUID, at: datetime) -> None:
    """Let an incident stand for the alerts with this key that follow."""
    await db.execute(_BEGIN, db.tenant_id, source.id, key, incident_id, at)
