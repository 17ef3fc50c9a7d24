"""Entries that a tenant adds, and the heat map: pure rules."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.heat_map import heat_map
from domain.refusals import Forbidden, Invalid
from domain.risk_entries import new_entry, next_ref
from domain.risks import register

NOW = datetime(2026, 11, 26, 9, tzinfo=UTC)
REASON = "Found in the yearly review."
GIVEN: dict[str, Any] = {"title": "T", "likelihood": 4, "impact": 5, "residual_likelihood": 2, "residual_impact": 3}


@pytest.mark.parametrize(
    ("taken", "ref"),
    [
        ((), "AR-001"),
        (("AR-001", "AR-002"), "AR-003"),
        (("AR-009", "AR-003"), "AR-010"),
        (("AR-999",), "AR-1000"),
        (("AR-1000", "AR-999"), "AR-1001"),
        (("XY-5", "AR-x"), "AR-001"),
    ],
)
def test_the_next_reference_follows_the_highest(taken: Iterable[str], ref: str) -> None:
    assert next_ref(taken) == ref


def test_a_new_entry_is_reviewed_by_being_added() -> None:
    entry = new_entry("AR-011", GIVEN, REASON, ["risk_owner"], "person", NOW)
    assert (entry.inherent, entry.residual, entry.residual_band) == (20, 6, "medium")
    assert (entry.last_reviewed_at, entry.next_review_at) == (NOW, datetime(2027, 5, 26, 9, tzinfo=UTC))


@pytest.mark.parametrize(
    ("change", "roles", "refusal"),
    [
        ({"residual_likelihood": 5}, ["risk_owner"], Invalid),
        ({"residual_likelihood": 4, "residual_impact": 4}, ["risk_owner"], Invalid),  # high, without a plan
        ({}, ["privacy"], Forbidden),
    ],
)
def test_an_entry_that_cannot_stand_is_refused(
    change: dict[str, Any], roles: list[str], refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        new_entry("AR-011", {**GIVEN, **change}, REASON, roles, "person", NOW)


def test_the_heat_map_has_every_cell_and_counts_each_entry_once_per_map() -> None:
    rows: dict[tuple[str, int, int], list[str]] = {}
    for risk in register():
        rows.setdefault(("inherent", risk.likelihood, risk.impact), []).append(risk.ref)
        rows.setdefault(("residual", risk.residual_likelihood, risk.residual_impact), []).append(risk.ref)
    found = heat_map(
        {"map": name, "likelihood": likelihood, "impact": impact, "count": len(refs), "refs": refs}
        for (name, likelihood, impact), refs in rows.items()
    )
    for name in ("inherent", "residual"):
        assert len(found[name]) == 25
        assert sum(cell["count"] for cell in found[name]) == sum(found["bands"][name].values()) == 10
    assert found["inherent"][0] == {"likelihood": 1, "impact": 1, "score": 1, "band": "low", "count": 0, "refs": []}
    assert found["inherent"][24]["band"] == "critical"
