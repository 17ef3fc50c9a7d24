"""Samples: what an event of a type would look like, to try a receiver with. Nothing in them is anybody's."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from domain.event_types import INCIDENTS, TYPES

NOBODY: Final = str(UUID(int=0))
_BY_FORMAT: Final = {"uuid": NOBODY}
_BY_TYPE: Final[Mapping[str, Any]] = {"string": "sample", "integer": 1, "boolean": False, "object": {}, "array": []}


def sample_of(event: Mapping[str, Any], base_url: str) -> Mapping[str, Any]:
    """The event as it is, or as one of the type that its `data` asks for with `event_type`.

    Id, time and place in the log stay those of the event that asks. The incident is INC-0, an exercise.
    """
    kind = TYPES.get((event["data"] or {}).get("event_type", ""))
    if event["type"] != "webhook_endpoint.tested" or kind is None:
        return event
    stream, at = kind.streams[0], event["timestamp"]
    incident = {
        "id": NOBODY,
        "number": "INC-0",
        "url": f"{base_url}/v1/incidents/{NOBODY}",
        "status": "in_progress",
        "severity": "SEV2",
        "exercise": True,
        "next_due_at": at,
    }
    data = {name: _sample(schema, at) for name, schema in kind.data_schema["properties"].items()}
    return {
        **event,
        "type": kind.type,
        "stream": stream,
        "incident": incident if stream == INCIDENTS else None,
        "data": data,
    }


def _sample(schema: Mapping[str, Any], at: str) -> Any:
    kinds = schema.get("type")
    kind = kinds[0] if isinstance(kinds, list) else kinds
    named = _BY_FORMAT | {"date-time": at}
    return named.get(schema.get("format", ""), _BY_TYPE.get(kind or ""))
