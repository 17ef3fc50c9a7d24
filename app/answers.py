"""What a use case hands back to its door: a status, the JSON text as PostgreSQL built it, and headers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

STATUSES = {200, 201, 202, 204}


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer. `body` is JSON text, or None for an answer without content (204)."""

    body: str | None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.status in STATUSES, "a refusal is raised, never returned"


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list as JSON text `{"items": [...], "next_cursor": ...}`, with the cursor apart for `Link`."""

    body: str
    next_cursor: str | None = None


def answer(
    body: str | None, *, status: int = 200, location: str | None = None, version: int | str | None = None
) -> Answer:
    """An answer with the usual headers: `location` of a created thing, `version` as a strong entity tag."""
    headers = {}
    if location is not None:
        headers["Location"] = location
    if version is not None:
        headers["ETag"] = entity_tag(version)
    return Answer(body, status, headers)


def entity_tag(version: int | str) -> str:
    """The concurrency token of a thing in the form HTTP wants it: quoted."""
    return f'"{version}"'
