"""The vendor checklist: which answers are good, which outcome they suggest, and what stands against `approve`."""

from datetime import date
from typing import Any

import pytest

from domain.refusals import Invalid
from domain.vendor_assessments import check_answer, checklist, is_good, is_mandatory, needed, suggest_outcome

TODAY = date(2026, 11, 26)
GOOD: dict[str, dict[str, Any]] = {
    "VC-1": {"answer": "yes", "source": "trust page", "report_type": "type_2", "period_end": "2026-06-30"},
    "VC-2": {"answer": "no", "source": "terms"},
    "VC-3": {"answer": "yes", "source": "contract", "signed": True},
    "VC-4": {"answer": "yes", "source": "policy", "bounded": True, "deletion_on_request": True},
}


def answers(**other: dict[str, Any] | None) -> dict[str, dict[str, Any]]:
    """Good answers but for the named checks (VC_1); None leaves one out."""
    changed = {name.replace("_", "-"): value for name, value in other.items()}
    return {name: {"source": "x", **value} for name, value in {**GOOD, **changed}.items() if value is not None}


def test_the_checklist_is_the_one_of_the_catalogue() -> None:
    assert list(checklist()) == [f"VC-{n}" for n in range(1, 9)]
    assert needed() == ("VC-1", "VC-2", "VC-3", "VC-4")
    assert [c.source for c in checklist().values()] == ["S", "S", "S", "S", "X", "X", "X", "X"]


@pytest.mark.parametrize(
    ("check", "answer", "good"),
    [
        ("VC-1", GOOD["VC-1"], True),
        ("VC-1", {**GOOD["VC-1"], "report_type": "type_1"}, False),
        ("VC-1", {**GOOD["VC-1"], "period_end": "2025-11-26"}, True),
        ("VC-1", {**GOOD["VC-1"], "period_end": "2025-11-25"}, False),
        ("VC-1", {**GOOD["VC-1"], "period_end": "2026-11-27"}, False),
        ("VC-1", {"answer": "no", "source": "x"}, False),
        ("VC-1", {"answer": "yes", "source": "x"}, None),
        ("VC-1", {"answer": "unknown", "source": "x"}, None),
        ("VC-2", {"answer": "yes", "source": "x"}, None),
        ("VC-2", {"answer": "yes", "source": "x", "switched_off_by_contract": True}, True),
        ("VC-2", {"answer": "yes", "source": "x", "switched_off_by_contract": False}, False),
        ("VC-3", {"answer": "yes", "source": "x", "signed": False}, False),
        ("VC-4", {"answer": "yes", "source": "x", "bounded": True}, None),
        ("VC-4", {"answer": "yes", "source": "x", "bounded": True, "deletion_on_request": False}, False),
        ("VC-7", {"answer": "yes", "source": "x"}, True),
        ("VC-7", {"answer": "no", "source": "x"}, False),
    ],
)
def test_an_answer_is_good_bad_or_unknown(check: str, answer: dict[str, Any], good: bool | None) -> None:
    assert is_good(checklist()[check], answer, TODAY) is good


@pytest.mark.parametrize(
    ("given", "personal_data", "outcome", "failed"),
    [
        (answers(), None, "approve", []),
        (answers(VC_3={"answer": "no"}), False, "approve", []),
        (answers(VC_3={"answer": "no"}), True, "conditional", ["VC-3"]),
        (answers(VC_3={"answer": "no"}), None, "conditional", ["VC-3"]),
        (answers(VC_3=None), False, "approve", []),
        (answers(VC_1={"answer": "no"}), False, "conditional", ["VC-1"]),
        (answers(VC_1={"answer": "unknown"}), False, "conditional", ["VC-1"]),
        (answers(VC_2={"answer": "yes", "correctable": "no"}), False, "block", ["VC-2"]),
        (answers(VC_2={"answer": "yes", "correctable": "yes"}), False, "conditional", ["VC-2"]),
        (answers(VC_2={"answer": "yes", "correctable": "unknown"}), False, "conditional", ["VC-2"]),
        (answers(VC_2={"answer": "unknown", "correctable": "no"}), False, "conditional", ["VC-2"]),
        (answers(VC_4={"answer": "no", "correctable": "no"}), False, "block", ["VC-4"]),
        (answers(VC_4={"answer": "yes", "bounded": False, "correctable": "no"}), False, "block", ["VC-4"]),
        (
            answers(VC_1={"answer": "no", "report_type": "unknown"}, VC_5={"answer": "no"}),
            False,
            "conditional",
            ["VC-1"],
        ),
        ({}, True, "conditional", ["VC-1", "VC-2", "VC-3", "VC-4"]),
    ],
)
def test_answers_suggest_an_outcome(
    given: dict[str, Any], personal_data: bool | None, outcome: str, failed: list[str]
) -> None:
    found = suggest_outcome(given, personal_data, TODAY)
    assert (found.outcome, found.failed) == (outcome, failed)
    assert found.because


def test_a_condition_nobody_has_answered_counts_as_met() -> None:
    check = checklist()["VC-3"]
    assert [is_mandatory(check, value) for value in (True, None, False)] == [True, True, False]


@pytest.mark.parametrize(
    ("check", "value"),
    [
        ("VC-9", {"answer": "yes", "source": "x"}),
        ("VC-1", {"answer": "perhaps", "source": "x"}),
        ("VC-1", {"answer": "yes"}),
        ("VC-1", {"answer": "yes", "source": "x", "period_end": "2026-13-40"}),
        ("VC-2", {"answer": "yes", "source": "x", "signed": True}),
        ("VC-2", "yes"),
    ],
)
def test_an_answer_has_to_fit_its_check(check: str, value: Any) -> None:
    with pytest.raises(Invalid) as refused:
        check_answer(check, value, "/answers/x")
    assert refused.value.errors[0].pointer.startswith("/answers/x")
