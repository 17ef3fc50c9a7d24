"""The envelope of an event: what everybody who reads events gets, whether they are sent or fetched."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from domain.actors import ORIGIN

UNTOLD = ("changes", ORIGIN)
"""Members of what is stored with an event that its reader gets elsewhere: from the rows, and as `origin`."""


def origin_of(actor_kind: str, actor_id: UUID, data: Mapping[str, Any] | None) -> dict[str, Any]:
    """Who did it, and through what: kind is `person`, `service_account`, `system` (the service itself), `source` or
    `connection`; `external_event_id` is what the other system calls its own event. `data` is what is stored with the
    event, None where it was erased.
    """
    via = (data or {}).get(ORIGIN) or {}
    found: dict[str, Any] = {"kind": via.get("kind", actor_kind), "id": str(actor_id)}
    return found | {name: via.get(name) for name in ("source_id", "connection_id", "external_event_id")}


def told_data(data: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What of the stored data its reader is told; None where it was erased."""
    return None if data is None else {name: value for name, value in data.items() if name not in UNTOLD}


def envelope(event: Mapping[str, Any], *, is_full: bool = True) -> dict[str, Any]:
    """Which event, of what, by whom, and where to read on; with `is_full` what the timeline says too.

    `event` holds id, type, timestamp, log_index (None: it has no place in the log yet), stream, stream_id, seq,
    incident (None where there is none), origin and data.
    """
    kept = {name: event[name] for name in ("id", "type", "timestamp", "log_index", "stream", "stream_id", "seq")}
    kept |= {"incident": _brief(event["incident"]), "origin": event["origin"]}
    return kept | {"data": event["data"] if is_full else None}


def _brief(incident: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if incident is None:
        return None
    return {name: incident[name] for name in ("id", "number", "url", "status", "severity")}
