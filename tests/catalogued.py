"""Are events what the catalogue says? For tests that see many of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jsonschema_rs

from domain.event_types import TYPES

_VALIDATORS = {name: jsonschema_rs.validator_for(one.data_schema, validate_formats=True) for name, one in TYPES.items()}


def misfits(events: Iterable[dict[str, Any]]) -> list[str]:
    """What is not as the catalogue says of events as the feed tells them: unknown types, streams, data and members."""
    found = set()
    for event in events:
        name, data = event["type"], event["data"]
        if name not in TYPES:
            found.add(f"{name} is not in the catalogue")
            continue
        if event["stream"] not in TYPES[name].streams:
            found.add(f"{name} is told on the stream {event['stream']}")
        if data is None:
            continue  # erased
        found |= {f"{name}: {error.message}" for error in _VALIDATORS[name].iter_errors(data)}
        untold = data.keys() - TYPES[name].data_schema["properties"].keys()
        found |= {f"{name}: the catalogue does not name {member}" for member in untold}
    return sorted(found)
