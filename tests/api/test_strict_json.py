"""JSON as the door takes it: what is refused, where the fault is, and that the fast way and the slow way agree."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.errors import Malformed
from api.strict_json import DEPTH_MAX, loads
from domain.refusals import Invalid

KEPT = [
    b"{}",
    b"[1, 2.5, -3]",
    b'{"a": {"b": [true, null]}}',
    b'"\\u00e9 \\ud83d\\ude00"',
    b"9007199254740991",
    b" 1e3 ",
]
MALFORMED = [b"", b"{", b"{'a': 1}", b"[1,]", b"nul", b'"\xff"', b"\xef\xbb\xbf{}", b'"a\nb"', b"01", b"[" * 100_000]
UNFIT = {
    b'{"a": 1, "a": 2}': "/a",
    b'{"a":1,"b":{"c":1,"c":1}}': "/b/c",
    b'[{"x/y~z": 1, "x/y~z": 2}]': "/0/x~1y~0z",
    b"[NaN]": "/0",
    b'{"a":-Infinity}': "/a",
    b'{"a":1e400}': "/a",
    b'{"a":"x\\u0000y"}': "/a",
    b'{"a\\u0000":1}': "/a\ufffd",
    b'["\\ud800"]': "/0",
    b'{"a":[9007199254740992]}': "/a/0",
    b'{"a":-9007199254740992}': "/a",
    b'{"a":123456789012345678901234567890}': "/a",
}


@pytest.mark.parametrize("body", KEPT)
def test_it_reads_plain_json(body: bytes) -> None:
    assert loads(body) == json.loads(body)


@pytest.mark.parametrize("body", MALFORMED, ids=lambda body: repr(body[:12]))
def test_it_refuses_what_is_no_json(body: bytes) -> None:
    with pytest.raises(Malformed):
        loads(body)


@pytest.mark.parametrize(("body", "pointer"), UNFIT.items())
def test_it_points_at_what_cannot_be_kept(body: bytes, pointer: str) -> None:
    with pytest.raises(Invalid) as refused:
        loads(body)
    assert [error.pointer for error in refused.value.errors] == [pointer]


def test_it_takes_exactly_the_depth_that_it_promises() -> None:
    assert loads(b"[" * DEPTH_MAX + b"]" * DEPTH_MAX)
    with pytest.raises(Invalid):
        loads(b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1))


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert loads(json.dumps([[]] * 500, separators=(",", ":")).encode()) == [[]] * 500


def test_an_integer_of_many_digits_does_not_hang() -> None:
    with pytest.raises((Malformed, Invalid)):
        loads(b"9" * 100_000)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(deadline=None)
@given(JSON, st.booleans(), st.booleans())
def test_every_exact_value_comes_through(value: Any, ascii_only: bool, compact: bool) -> None:
    separators = (",", ":") if compact else None
    assert loads(json.dumps(value, ensure_ascii=ascii_only, separators=separators).encode()) == value


@pytest.mark.parametrize(
    ("body", "status"), [(b'{"title": "a"', 400), (b'{"title":"a\\u0000"}', 422), (b'{"title":"a","title":"b"}', 422)]
)
async def test_the_door_answers_a_problem(door: httpx.AsyncClient, body: bytes, status: int) -> None:
    answer = await door.post("/v1/things", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert answer.json()["code"] == "invalid-json"
    assert answer.json()["errors"]
