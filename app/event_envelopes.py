"""Reading events for their envelopes: the columns of a statement, and what is made of a row."""

from collections.abc import Mapping
from typing import Any

import orjson

from domain.event_envelopes import origin_of, told_data
from domain.timeline import instant_text

# Of `e`, a row of events; DATA joins what is told with it, where it was not erased. To be read beside `log_index`.
COLUMNS = """
e.stream, e.stream_id, e.seq, 'evt_' || left(e.hash, 32) AS event_id, e.kind AS event_type, e.recorded_at, e.actor_kind,
e.actor_id, (x.data - 'changes')::text AS data,
(SELECT json_build_object('id', i.id, 'number', i.number, 'status', i.status, 'severity', i.severity,
     'playbook', i.playbook_slug, 'exercise', i.exercise, 'client_ids', i.client_ids, 'labels', i.labels,
     'next_due_at', instant(i.next_due_at))::text
 FROM incidents i WHERE e.stream = 'incident' AND i.tenant_id = e.tenant_id AND i.id = e.stream_id) AS incident
"""
DATA = """
LEFT JOIN event_data x ON x.tenant_id = e.tenant_id AND x.stream = e.stream AND x.stream_id = e.stream_id
    AND x.seq = e.seq
"""


def event_of(row: Mapping[str, Any], base_url: str) -> dict[str, Any]:
    """The event of a row that has COLUMNS and `log_index`, for its envelope; the incident as it is now, with its
    address below our own, `base_url`."""
    incident = None if row["incident"] is None else orjson.loads(row["incident"])
    if incident is not None:
        incident["url"] = f"{base_url}/v1/incidents/{incident['id']}"
    data = None if row["data"] is None else orjson.loads(row["data"])
    return {
        "id": row["event_id"],
        "type": row["event_type"],
        "timestamp": instant_text(row["recorded_at"]),
        "log_index": row["log_index"],
        "stream": row["stream"],
        "stream_id": str(row["stream_id"]),
        "seq": row["seq"],
        "origin": origin_of(row["actor_kind"], row["actor_id"], data),
        "incident": incident,
        "data": told_data(data),
    }
