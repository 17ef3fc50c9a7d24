"""The timeline: canonical JSON against RFC 8785, fixed hashes, broken chains, folding."""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from domain.timeline import (
    GENESIS,
    Frame,
    NotCanonical,
    canonical,
    data_digest,
    fold,
    frame_hash,
    holds,
    instant_text,
    verify,
)

TENANT = UUID("0198c0de-0000-7000-8000-000000000001")
INCIDENT = "0198c0de-0000-7000-8000-000000000002"
PERSON = UUID("0198c0de-0000-7000-8000-000000000003")
SALT = bytes(range(16))

SAFE = st.integers(-(2**53) + 1, 2**53 - 1)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), SAFE, st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(st.text(max_size=8), inner, max_size=5)),
    max_leaves=25,
)


@given(JSON)
def test_canonical_json_is_that_of_rfc_8785(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)
    assert json.loads(canonical(value)) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"b": 1, "a": [True, None, "x"]}, b'{"a":[true,null,"x"],"b":1}'),
        ({"€": 1, "\r": 2, "דּ": 3, "1": 4, "😀": 5, "\x80": 6, "ö": 7}, None),  # the sorting example of the RFC
        ('\x00\x1f"\\/\x7f\u2028é😀', None),
        (("a", "tuple"), b'["a","tuple"]'),
        (-(2**53) + 1, b"-9007199254740991"),
    ],
)
def test_order_and_escapes(value: Any, expected: bytes | None) -> None:
    assert canonical(value) == (expected or rfc8785.dumps(value))


class Colour(StrEnum):
    RED = "red"


@dataclass
class Thing:
    a: int = 1


NESTED: list[Any] = []
for _ in range(150):
    NESTED = [NESTED]


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        float("nan"),
        float("inf"),
        2**53,
        -(2**53),
        {1: 2},
        {None: 1},
        "\ud800",
        {"\ud800": 1},
        {"é\ud800": 1},
        b"x",
        {"a"},
        object(),
        TENANT,
        datetime(2026, 1, 1, tzinfo=UTC),
        Colour.RED,
        Thing(),
        NESTED,
        [[1.5]],
        {"a": {"b": 2.5}},
    ],
)
def test_what_has_no_one_form_is_refused(value: Any) -> None:
    with pytest.raises(NotCanonical):
        canonical(value)


def test_instants_have_six_decimals_and_a_z() -> None:
    assert instant_text(datetime(2026, 3, 2, 15, 0, tzinfo=UTC)) == "2026-03-02T15:00:00.000000Z"
    east = timezone(timedelta(hours=2))
    assert instant_text(datetime(2026, 3, 2, 15, 0, 0, 12, tzinfo=east)) == "2026-03-02T13:00:00.000012Z"
    assert instant_text(datetime(987, 1, 1, tzinfo=UTC)) == "0987-01-01T00:00:00.000000Z"
    with pytest.raises(ValueError, match="time zone"):
        instant_text(datetime(2026, 3, 2))


def frames(count: int = 3) -> list[Frame]:
    made: list[Frame] = []
    previous = GENESIS
    for seq in range(1, count + 1):
        fields: dict[str, Any] = {
            "tenant": TENANT,
            "stream": "incident",
            "stream_id": INCIDENT,
            "seq": seq,
            "kind": "incident.reported" if seq == 1 else "note.added",
            "occurred_at": datetime(2026, 3, 2, 15, seq, tzinfo=UTC),
            "recorded_at": datetime(2026, 3, 2, 15, seq, 1, tzinfo=UTC),
            "actor_kind": "person",
            "actor_id": PERSON,
            "data_digest": data_digest(SALT, {"text": f"event {seq}", "n": seq}),
            "prev_hash": previous,
        }
        made.append(Frame(**fields, hash=frame_hash(**fields)))
        previous = made[-1].hash
    return made


def test_hashes_never_change() -> None:
    first, second, _ = frames()
    assert first.data_digest == "c015d92fb99213f1c7c2aca7b862ac4a3d300fb194332728ebb552ee0eafdb86"
    assert first.hash == "a84eabbf006627845b0704682dc4dc493693e2e24b797ed7917c4c86966e5174"
    assert second.hash == "930cf8529fd2881e6c141e91bbe1666661ea8303cbcf4aa55f8503b9d2e67b65"


def test_a_frame_is_hashed_as_the_contract_says() -> None:
    first = frames()[0]
    text = (
        '{"actor":{"id":"0198c0de-0000-7000-8000-000000000003","kind":"person"},'
        f'"data_digest":"{first.data_digest}","kind":"incident.reported",'
        '"occurred_at":"2026-03-02T15:01:00.000000Z",'
        f'"prev_hash":"{GENESIS}","recorded_at":"2026-03-02T15:01:01.000000Z","seq":1,"stream":"incident",'
        f'"stream_id":"{INCIDENT}","tenant":"{TENANT}","v":1}}'
    )
    assert hashlib.sha256(b"\x00" + text.encode()).hexdigest() == first.hash
    digest = hashlib.sha256(SALT + b'{"n":1,"text":"event 1"}').hexdigest()
    assert digest == first.data_digest
    assert holds(first, SALT, {"text": "event 1", "n": 1})
    assert not holds(first, SALT, {"text": "event 2", "n": 1})


def test_instants_may_come_as_the_text_they_are_stored_as() -> None:
    first = frames()[0]
    fields = msgspec.structs.asdict(first) | {"occurred_at": "2026-03-02T15:01:00.000000Z", "tenant": str(TENANT)}
    del fields["hash"]
    assert frame_hash(**fields) == first.hash


def test_an_untouched_chain_holds() -> None:
    assert verify([]) is None
    assert verify(frames(1)) is None
    assert verify(iter(frames(20))) is None


CHANGES: list[dict[str, Any]] = [
    {"tenant": UUID(int=9)},
    {"stream": "risk"},
    {"stream_id": str(UUID(int=9))},
    {"seq": 7},
    {"kind": "note.removed"},
    {"occurred_at": datetime(2026, 3, 2, 14, 0, tzinfo=UTC)},
    {"recorded_at": datetime(2026, 3, 2, 14, 0, tzinfo=UTC)},
    {"actor_kind": "system"},
    {"actor_id": UUID(int=9)},
    {"data_digest": "0" * 64},
    {"prev_hash": "0" * 63 + "1"},
    {"hash": "0" * 64},
]


@pytest.mark.parametrize("change", CHANGES, ids=[next(iter(change)) for change in CHANGES])
def test_any_changed_field_breaks_the_chain_where_it_is(change: dict[str, Any]) -> None:
    chain = frames(5)
    chain[2] = msgspec.structs.replace(chain[2], **change)
    assert verify(chain) == 3


def test_a_rewritten_event_breaks_the_next_link() -> None:
    chain = frames(5)
    fields = msgspec.structs.asdict(chain[2]) | {"kind": "note.removed"}
    del fields["hash"]
    chain[2] = Frame(**fields, hash=frame_hash(**fields))
    assert verify(chain) == 4


def test_a_missing_a_doubled_and_a_swapped_event_are_seen() -> None:
    chain = frames(5)
    assert verify(chain[1:]) == 1
    assert verify([*chain[:2], *chain[3:]]) == 3
    assert verify([*chain[:2], chain[1], *chain[2:]]) == 3
    assert verify([chain[0], chain[2], chain[1]]) == 2


def test_events_of_another_stream_are_no_part_of_it() -> None:
    chain = frames(2)
    fields = msgspec.structs.asdict(chain[1]) | {"stream_id": str(UUID(int=9))}
    del fields["hash"]
    assert verify([chain[0], Frame(**fields, hash=frame_hash(**fields))]) == 2


def test_folding_assigns() -> None:
    changes = [
        {"incidents": {"1": {"status": "reported", "title": "x"}}, "step_runs": {"DL.1": {"status": "ready"}}},
        {"incidents": {"1": {"status": "in_progress"}}},
        {"step_runs": {"DL.2": {"status": "locked"}, "DL.1": {"status": "completed"}}},
    ]
    expected = {
        "incidents": {"1": {"status": "in_progress", "title": "x"}},
        "step_runs": {"DL.1": {"status": "completed"}, "DL.2": {"status": "locked"}},
    }
    assert fold(changes) == expected
    assert fold(changes[1:], fold(changes[:1])) == expected
    assert fold(changes + changes) == expected
    assert changes[0]["incidents"]["1"]["status"] == "reported"
