"""Reading the log of a tenant: all events that a caller may see, in one order, from any place on."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from msgspec import Struct

from app.authentication import Principal
from app.database import Db
from app.event_envelopes import COLUMNS, DATA, event_of
from app.rights import may
from domain.event_envelopes import envelope
from domain.event_types import INCIDENTS, STREAMS
from domain.refusals import Forbidden, InputError, Invalid

LOOKED_THROUGH_MAX = 2_000  # entries for one page: what is filtered out costs too

# Bounded by the number, which is dense: a caller that sees little of the log reads it in as many steps as any other.
# The inner select is by key, one entry after the other, so that a page is never planned as a join of whole tables.
_PAGE = f"""
WITH head AS (SELECT coalesce(max(log_index), 0) AS log_index FROM log_entries WHERE tenant_id = $1),
page AS MATERIALIZED (
    SELECT l.log_index, e.* FROM (
        SELECT log_index, stream, stream_id, seq FROM log_entries
        WHERE tenant_id = $1 AND log_index > $2 AND log_index <= $2 + $3 ORDER BY log_index OFFSET 0) l
    CROSS JOIN LATERAL (
        SELECT e.* FROM events e
        WHERE e.tenant_id = $1 AND e.stream = l.stream AND e.stream_id = l.stream_id AND e.seq = l.seq
          AND e.stream = ANY ($5::text[])
          AND ($6::text[] IS NULL OR e.kind = ANY ($6) OR split_part(e.kind, '.', 1) || '.*' = ANY ($6))
          AND ($7::uuid IS NULL OR CASE e.stream WHEN 'client' THEN e.stream_id = $7
               WHEN 'incident' THEN EXISTS (SELECT 1 FROM incident_clients c WHERE c.tenant_id = $1
                                            AND c.client_id = $7 AND c.incident_id = e.stream_id) ELSE false END)
        LIMIT 1) e
    ORDER BY l.log_index LIMIT $4)
SELECT head.log_index AS head, e.log_index, {COLUMNS}
FROM head LEFT JOIN page e ON true {DATA}
ORDER BY e.log_index
"""


class Wanted(Struct, frozen=True, kw_only=True):
    """Which events: `types` are types, `thing.*` or `*`. None: all."""

    types: Sequence[str] | None = None
    stream: str | None = None
    client_id: UUID | None = None


class LogPage(Struct, frozen=True, kw_only=True):
    """Envelopes in the order of the log. Reading on from `next_after` skips nothing; `has_more` says that there is more
    already, perhaps nothing that passes."""

    items: list[dict[str, Any]]
    next_after: int
    has_more: bool


async def read_log(db: Db, principal: Principal, base_url: str, wanted: Wanted, *, after: int, limit: int) -> LogPage:
    """The events after a place in the log.

    Raises Invalid for a stream that there is not, Forbidden for one that the caller's roles do not read.
    """
    streams, stream = readable_streams(principal), wanted.stream
    if stream is not None:
        if stream not in STREAMS:
            told = f"one of {', '.join(STREAMS)}"
            raise Invalid(f"`stream` is {told}.", errors=[InputError("/query/stream", told)])
        if stream not in streams:
            raise Forbidden(f"You may not read the events of `{stream}`: see `{STREAMS[stream].read}` of the table.")
        streams = [stream]
    kinds = None if wanted.types is None or "*" in wanted.types else list(wanted.types)
    rows = await db.fetch(_PAGE, db.tenant_id, after, LOOKED_THROUGH_MAX, limit, streams, kinds, wanted.client_id)
    head = rows[0]["head"]
    items = [envelope(event_of(row, base_url)) for row in rows if row["log_index"] is not None]
    last = items[-1]["log_index"] if items else after
    reached = min(after + LOOKED_THROUGH_MAX, head)
    if len(items) == limit:
        return LogPage(items=items, next_after=last, has_more=last < head)
    # At the end the place stays at what was told: how much else happened is nobody's business.
    return LogPage(items=items, next_after=max(reached, after) if reached < head else last, has_more=reached < head)


async def log_head(db: Db) -> int:
    """The last place in the log; 0 where nothing happened."""
    return int(await db.value("SELECT coalesce(max(log_index), 0) FROM log_entries WHERE tenant_id = $1", db.tenant_id))


def readable_streams(principal: Principal) -> list[str]:
    """The streams that the caller's roles let it read. Who is limited to incidents of its own, or to a period, reads
    those alone; a limit to clients is the walls' business."""
    if principal.member_id is not None or principal.period_from is not None or principal.period_to is not None:
        return [INCIDENTS]
    return [name for name, stream in STREAMS.items() if name == INCIDENTS or may(principal, stream.read)]
