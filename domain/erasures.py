"""Erasure of personal data: what a request may name, which texts it takes along, and what is put in their place.

A text is erased wherever the record repeats it. Ids, states, dates and numbers stay: what was decided stays decided,
only what it said about somebody goes. The bytes of evidence files are not erased by this: they are removed by a
recorded tombstone alone, and never under a legal hold.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from domain.record import Record
from domain.refusals import InputError, Invalid

ERASED = "[erased]"
SHORT = 8  # characters: a shorter text is erased where it stands alone, never inside another one
TEXT_AT_LEAST = 2
# Words of the rules, ids, numbers of incidents and actions, instants.
MACHINE = re.compile(r"[a-z0-9_.:/-]+|[A-Z0-9]{1,6}([.-][A-Z0-9]+)*|\d{4}-\d\d-\d\d[T ][0-9:.]+(Z|[+-][0-9:]+)")
SEQS_MAX = 500
FIELDS_MAX = 100

# Part of the record -> columns that hold what people typed. `incident` is the header.
_HEADER = {"title", "summary", "discovered_by_name", "discovery_note", "person_concerned_note"}
ERASABLE: dict[str, frozenset[str]] = {
    "incident": frozenset(_HEADER | {"hold", "reopened", "severity_adjustment"}),
    "actions": frozenset({"values", "note", "reason", "approvals"}),
    "documents": frozenset({"value"}),
    "evidence": frozenset({"title", "filename", "collected_from", "collection_method"}),
    "notifications": frozenset({"audience", "channel", "recipients", "subject", "body", "reason", "approvals"}),
    "obligations": frozenset({"rationale", "opinion_reference"}),
    "follow_ups": frozenset({"title", "reason", "outside_reviewer"}),
    "exceptions": frozenset({"reason", "details"}),
    "links": frozenset({"reason", "release_reason"}),
    "external_references": frozenset({"key", "url"}),
}
TABLES = {
    "incidents": "incident",
    "action_runs": "actions",
    "documents": "documents",
    "evidence": "evidence",
    "notifications": "notifications",
    "obligations": "obligations",
    "follow_ups": "follow_ups",
    "incident_exceptions": "exceptions",
    "incident_links": "links",
    "external_references": "external_references",
}
"""Table of the change in an event -> part of the record."""
WORDS_OF: dict[str, frozenset[str]] = {
    "hold": frozenset({"reason", "waiting_for"}),
    "reopened": frozenset({"reason"}),
    "severity_adjustment": frozenset({"reason"}),
    "approvals": frozenset({"note"}),
}
"""Columns that rules read: only these members of theirs are what somebody typed."""
SAID = frozenset({"text", "reason", "note", "rationale", "detail", "statement", "title", "summary", "waiting_for"})
"""Members of an event's own data that hold what people typed."""


def check_request(record: Record, seqs: Sequence[int], fields: Sequence[str], head_seq: int) -> None:
    """Raise Invalid unless every event exists and every field is a place of this record that may be erased."""
    faults = [InputError(f"/event_seqs/{n}", "is no event") for n, seq in enumerate(seqs) if not 1 <= seq <= head_seq]
    for number, pointer in enumerate(fields):
        try:
            find(record, pointer)
        except KeyError:
            faults.append(InputError(f"/fields/{number}", "is no text of this incident that can be erased"))
    if not seqs and not fields:
        faults.append(InputError("/fields", "name fields or events"))
    if faults:
        places = "/incident/summary, /documents/D04/value, /notifications/{id}/body"
        raise Invalid(f"An erasure names events by number, or fields such as {places}.", errors=faults[:20])


def find(record: Record, pointer: str) -> Any:
    """What stands at a pointer: /incident/{column} or /{part}/{row}/{column}, and on into its JSON value.

    Raises KeyError where nothing that may be erased stands there.
    """
    row, column, path = _locate(record, pointer)
    value = _typed(column, getattr(row, column))
    for step in path:
        value = _member(value, step)
    return value


def texts_of_fields(record: Record, pointers: Collection[str]) -> set[str]:
    """Every text that stands at these places."""
    return {text for pointer in pointers for text in texts_in(find(record, pointer))}


def texts_of_event(data: Mapping[str, Any]) -> set[str]:
    """What people typed in an event: in its own words, and in the columns it set."""
    return {text for value in _typed_in_event(data) for text in texts_in(value)}


def texts_in(value: Any) -> Iterator[str]:
    """The texts to erase for a value: a text itself, or what reads like prose among the members of an object or list.

    Ids, instants and the words of the rules stay there: they say nothing about a person and keep the value valid.
    A member that looks like one and is none is erased by naming it.
    """
    if isinstance(value, str):
        if len(value) >= TEXT_AT_LEAST and value != ERASED:
            yield value
        return
    yield from (leaf for leaf in leaves(value) if leaf != ERASED and len(leaf) > 1 and not MACHINE.fullmatch(leaf))


def leaves(value: Any) -> Iterator[str]:
    """Every text of a JSON value, keys left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)


def repeats(data: Mapping[str, Any], texts: Collection[str]) -> bool:
    """Whether an event holds one of `texts`: a long one anywhere, a short one among what people typed."""
    long = [text for text in texts if len(text) >= SHORT]
    if long and any(part in leaf for leaf in leaves(data) for part in long):
        return True
    return any(leaf in texts for value in _typed_in_event(data) for leaf in leaves(value))


def redact(record: Record, texts: Collection[str]) -> None:
    """Put ERASED in the place of `texts` wherever the record may hold what people typed."""
    for part, columns in ERASABLE.items():
        held = getattr(record, part)
        for row in [held] if part == "incident" else held.values():
            for name in columns:
                value = getattr(row, name)
                clean = clean_column(name, value, texts)
                if clean != value:
                    setattr(row, name, clean)


def strips_evidence(record: Record, texts: Collection[str]) -> bool:
    """Whether erasing `texts` takes words away from an evidence item."""
    columns = ERASABLE["evidence"]
    return any(
        clean_column(name, getattr(item, name), texts) != getattr(item, name)
        for item in record.evidence.values()
        for name in columns
    )


def clean_column(name: str, value: Any, texts: Collection[str]) -> Any:
    """The value of a column without `texts`."""
    words = WORDS_OF.get(name)
    if words is None:
        return without(value, texts)
    if isinstance(value, list):
        return [clean_column(name, item, texts) for item in value]
    if isinstance(value, Mapping):
        return {key: without(item, texts) if key in words else item for key, item in value.items()}
    return value


def without(value: Any, texts: Collection[str]) -> Any:
    """A JSON value in which ERASED stands for each of `texts`, and for a long one also inside other texts."""
    if isinstance(value, str):
        if value in texts:
            return ERASED
        for text in sorted(texts, key=len, reverse=True):
            if len(text) >= SHORT and text in value:
                value = value.replace(text, ERASED)
        return value
    if isinstance(value, Mapping):
        return {key: without(item, texts) for key, item in value.items()}
    if isinstance(value, list):
        return [without(item, texts) for item in value]
    return value


def _typed(name: str, value: Any) -> Any:
    """What somebody typed of a column's value."""
    words = WORDS_OF.get(name)
    if words is None:
        return value
    if isinstance(value, list):
        return [_typed(name, item) for item in value]
    return {key: item for key, item in value.items() if key in words} if isinstance(value, Mapping) else None


def _typed_in_event(data: Mapping[str, Any]) -> Iterator[Any]:
    yield from (data[name] for name in SAID & data.keys())
    for table, rows in (data.get("changes") or {}).items():
        columns = ERASABLE.get(TABLES.get(table, ""), frozenset())
        yield from (_typed(name, row[name]) for row in rows.values() for name in columns & row.keys())


def _locate(record: Record, pointer: str) -> tuple[Any, str, list[str]]:
    if not pointer.startswith("/"):
        raise KeyError(pointer)
    part, *path = [step.replace("~1", "/").replace("~0", "~") for step in pointer[1:].split("/")]
    row: Any = record.incident
    if part != "incident":
        if part not in ERASABLE or not path:
            raise KeyError(pointer)
        row, path = getattr(record, part)[path[0]], path[1:]
    if not path or path[0] not in ERASABLE[part]:
        raise KeyError(pointer)
    return row, path[0], path[1:]


def _member(value: Any, step: str) -> Any:
    if isinstance(value, Mapping):
        return value[step]
    if isinstance(value, list) and step.isdecimal() and int(step) < len(value):
        return value[int(step)]
    raise KeyError(step)
