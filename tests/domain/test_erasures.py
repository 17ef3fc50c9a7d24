"""Which texts an erasure takes along, and what stays."""

from typing import Any

import pytest

from domain.erasures import ERASED, clean_column, repeats, texts_in, texts_of_event, without


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("jane", {"jane"}),
        ("", set()),
        (ERASED, set()),
        (["Jane Doe", "jane_doe"], {"Jane Doe"}),
        ({"note": "She said so", "level": "SEV2", "action": "DL.1.2", "kind": "contact_data"}, {"She said so"}),
        ({"at": "2026-03-02T15:00:00.000000Z", "by": "0198e0c8-0000-7000-8000-000000000000", "n": 3}, set()),
        (None, set()),
    ],
)
def test_it_takes_prose_along_and_leaves_the_words_of_rules(value: Any, found: set[str]) -> None:
    assert set(texts_in(value)) == found


def test_it_finds_what_was_typed_in_an_event() -> None:
    data = {
        "text": "Jane Doe called",
        "playbook": "data-leakage",
        "changes": {
            "incidents": {"1": {"title": "A leak", "status": "triage", "hold": {"reason": "Waits", "since": "x y"}}},
            "step_runs": {"1/DL.1": {"status": "ready for it"}},
        },
    }
    assert texts_of_event(data) == {"Jane Doe called", "A leak", "Waits"}


@pytest.mark.parametrize(
    ("data", "is_told"),
    [
        ({"text": "Jane Doe called"}, True),
        ({"text": "Somebody called", "detail": "Jane"}, True),
        ({"status": "Jane"}, False),
        ({"anything": {"deep": ["with Jane Doe in it"]}}, True),
        ({"text": "Janet"}, False),
    ],
)
def test_it_knows_an_event_that_repeats_a_text(data: dict[str, Any], is_told: bool) -> None:
    assert repeats(data, {"Jane Doe", "Jane"}) is is_told


def test_it_erases_a_long_text_inside_others_and_a_short_one_alone() -> None:
    assert without("Jane Doe and Janet", {"Jane Doe", "Jane"}) == f"{ERASED} and Janet"
    assert without({"a": ["Jane", 3, None]}, {"Jane"}) == {"a": [ERASED, 3, None]}


def test_it_leaves_what_rules_read_of_a_column() -> None:
    value = {"level": "SEV2", "reason": "SEV2"}
    assert clean_column("severity_adjustment", value, {"SEV2"}) == {"level": "SEV2", "reason": ERASED}
