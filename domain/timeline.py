"""The timeline: hash-linked frames, canonical JSON, and the state that events fold to.

A frame carries who, when and what kind, never a personal name; what was said lives in its data, which may be erased:
the digest stays in the frame and the chain still verifies.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import orjson
from msgspec import Struct

Json = Any

GENESIS: Final = "0" * 64  # prev_hash of the first frame of a stream
VERSION: Final = 1  # of the frame's form
LEAF: Final = b"\x00"  # RFC 9162: leaves and nodes of the log are hashed under different prefixes
SALT_BYTES: Final = 16
INTEGER_MAX: Final = 2**53 - 1  # beyond it JSON readers that use doubles disagree (RFC 7493)
DEPTH_MAX: Final = 100

PLAIN: Final = frozenset({str, bool, type(None)})
SETS: Final = frozenset({set, frozenset})
AS_TEXT: Final = (str, UUID, datetime, date)  # enums of text among them


class NotCanonical(ValueError):
    """A value that has no canonical JSON here: a float, an integer past 2**53-1, a key that is no text."""


class Frame(Struct, frozen=True, kw_only=True):
    """One event without its data. Hashes are lower-case hex; `seq` counts from 1 in its stream."""

    tenant: UUID
    stream: str
    stream_id: str
    seq: int
    kind: str
    occurred_at: datetime
    recorded_at: datetime
    actor_kind: str
    actor_id: UUID
    data_digest: str
    prev_hash: str
    hash: str


def canonical(value: Json) -> bytes:
    """`value` as RFC 8785 canonical JSON. Raises NotCanonical; floats are refused, since their text invites doubt."""
    try:
        if _needs_utf16_order(value, 0):
            return orjson.dumps(_in_utf16_order(value))
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:  # a lone surrogate
        raise NotCanonical(str(error)) from None


def canonical_data(data: Any) -> bytes:
    """The data of an event as canonical JSON: ids and instants as the text that is stored, sets as sorted lists.

    Raises NotCanonical.
    """
    if _needs_utf16_order(data, 0, AS_TEXT):
        return canonical(plain(data))
    try:
        return orjson.dumps(data, default=_as_text, option=orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise NotCanonical(str(error)) from None


def plain(data: Any) -> Any:
    """`data` with ids and instants as the text that is stored and hashed."""
    return orjson.loads(orjson.dumps(data, default=_as_text, option=orjson.OPT_PASSTHROUGH_DATETIME))


def _as_text(value: Any) -> Any:
    if isinstance(value, datetime):
        return instant_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)  # the driver's own subclass, which orjson does not know
    if isinstance(value, frozenset | set):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no place in an event")


def instant_text(instant: datetime) -> str:
    """`instant` in UTC with six decimals and `Z`. Raises ValueError when it has no time zone."""
    if instant.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    return instant.astimezone(UTC).isoformat(timespec="microseconds")[: -len("+00:00")] + "Z"


def data_digest(salt: bytes, data: Json) -> str:
    """SHA-256 (hex) of the salt followed by the canonical data. The salt keeps short data from being guessed."""
    return text_digest(salt, canonical(data))


def text_digest(salt: bytes, text: bytes) -> str:
    """`data_digest` of data that is canonical text already."""
    return sha256(salt + text).hexdigest()


def frame_hash(
    *,
    tenant: UUID | str,
    stream: str,
    stream_id: UUID | str,
    seq: int,
    kind: str,
    occurred_at: datetime | str,
    recorded_at: datetime | str,
    actor_kind: str,
    actor_id: UUID | str,
    data_digest: str,
    prev_hash: str,
) -> str:
    """SHA-256 (hex) of 0x00 followed by the canonical frame. Instants given as text must be in the form of ours."""
    frame = {
        "v": VERSION,
        "tenant": str(tenant),
        "stream": stream,
        "stream_id": str(stream_id),
        "seq": seq,
        "kind": kind,
        "occurred_at": occurred_at if isinstance(occurred_at, str) else instant_text(occurred_at),
        "recorded_at": recorded_at if isinstance(recorded_at, str) else instant_text(recorded_at),
        "actor": {"kind": actor_kind, "id": str(actor_id)},
        "data_digest": data_digest,
        "prev_hash": prev_hash,
    }
    # Text and one small integer under keys of ours: of `canonical` only the order is left to do.
    return sha256(LEAF + orjson.dumps(frame, option=orjson.OPT_SORT_KEYS)).hexdigest()


def verify(frames: Iterable[Frame]) -> int | None:
    """The sequence number at which one stream's chain breaks first, None when it holds.

    `frames` come in order from the first one. A gap, a repetition, a frame of another stream, a changed field and a
    broken link are all breaks; a missing end is not visible here but in the log.
    """
    previous = GENESIS
    first: Frame | None = None
    seq = 0
    for seq, frame in enumerate(frames, start=1):
        first = first or frame
        same_stream = (frame.tenant, frame.stream, frame.stream_id) == (first.tenant, first.stream, first.stream_id)
        if frame.seq != seq or not same_stream or frame.prev_hash != previous or frame.hash != _hash_of(frame):
            return seq
        previous = frame.hash
    return None


def holds(frame: Frame, salt: bytes, data: Json) -> bool:
    """Whether `data` is what `frame` was made over."""
    return data_digest(salt, data) == frame.data_digest


State = dict[str, dict[str, dict[str, Json]]]
Changes = Mapping[str, Mapping[str, Mapping[str, Json]]]


def fold(changes: Iterable[Changes], state: State | None = None) -> State:
    """State after `changes` in order: {table: {row id: {column: value}}}. Assigns, never decides, never deletes.

    With `state` the fold goes on from there and changes it in place.
    """
    folded: State = {} if state is None else state
    for change in changes:
        for table, rows in change.items():
            kept = folded.setdefault(table, {})
            for row_id, columns in rows.items():
                kept.setdefault(row_id, {}).update(columns)
    return folded


def _hash_of(frame: Frame) -> str:
    return frame_hash(
        tenant=frame.tenant,
        stream=frame.stream,
        stream_id=frame.stream_id,
        seq=frame.seq,
        kind=frame.kind,
        occurred_at=frame.occurred_at,
        recorded_at=frame.recorded_at,
        actor_kind=frame.actor_kind,
        actor_id=frame.actor_id,
        data_digest=frame.data_digest,
        prev_hash=frame.prev_hash,
    )


def _needs_utf16_order(value: Json, depth: int, typed: tuple[type, ...] = ()) -> bool:
    """Checks `value` all the way down; whether sorting keys by code point may differ from RFC 8785's UTF-16 order."""
    kind = type(value)
    if kind in PLAIN:
        return False
    if kind is int:
        if not -INTEGER_MAX <= value <= INTEGER_MAX:
            raise NotCanonical(f"{value} is past 2**53-1")
        return False
    if depth > DEPTH_MAX:
        raise NotCanonical("nested too deeply")
    utf16 = False
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise NotCanonical(f"a key is text, not {type(key).__name__}")
            if not key.isascii():
                utf16 = True
            if type(item) not in PLAIN and _needs_utf16_order(item, depth + 1, typed):
                utf16 = True
        return utf16
    if kind is list or kind is tuple or (typed and kind in SETS):
        for item in value:
            if type(item) not in PLAIN and _needs_utf16_order(item, depth + 1, typed):
                utf16 = True
        return utf16
    if typed and isinstance(value, typed):
        return False
    raise NotCanonical(f"{kind.__name__} has no canonical form")


def _in_utf16_order(value: Json) -> Json:
    if isinstance(value, dict):
        ordered = sorted(value.items(), key=lambda item: item[0].encode("utf-16-be", "surrogatepass"))
        return {key: _in_utf16_order(item) for key, item in ordered}
    if isinstance(value, list | tuple):
        return [_in_utf16_order(item) for item in value]
    return value
