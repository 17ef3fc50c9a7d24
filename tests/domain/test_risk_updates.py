"""What an accepted revision writes into an incident, and proposals decided later."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.record import ActionRun, Incident, Record
from domain.refusals import Conflict, Forbidden, Invalid
from domain.risk_updates import accept_proposed, check_citable, stored_revision, tool_outcome, with_approver
from domain.risks import Revision, Risk, register

NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)
ME, OTHER = UUID(int=7), UUID(int=8)
OWNER = {"risk_owner"}


def proposed(risk: Risk, **changes: Any) -> Revision:
    """A stored proposal to set these members."""
    before = {name: getattr(risk, name) for name in risk.__struct_fields__}
    return stored_revision("edit", "proposed", before, {**before, **changes}, "The team says so.", "review")


def run(step: int, outcome: str | None, status: str = "done", generation: int = 1) -> ActionRun:
    return ActionRun(
        id=f"SA.{step}.1", step_id=f"SA.{step}", position=1, outcome=outcome, status=status, generation=generation
    )


@pytest.mark.parametrize("status", ["in_progress", "contained", "post_incident", "on_hold", "reopened"])
def test_an_open_declared_incident_may_be_cited(status: str) -> None:
    check_citable(status, NOW)


@pytest.mark.parametrize(
    ("status", "declared_at"), [("reported", None), ("triage", None), ("closed", NOW), ("rejected", NOW)]
)
def test_others_may_not(status: str, declared_at: datetime | None) -> None:
    with pytest.raises(Conflict) as refused:
        check_citable(status, declared_at)
    assert refused.value.current == {"status": status}


@pytest.mark.parametrize(
    ("runs", "outcome"),
    [
        ([], None),
        ([run(1, "generic")], None),
        ([run(3, "approve", status="pending")], None),
        ([run(3, "block")], "block"),
        ([run(1, "generic"), run(3, "conditional"), run(4, None)], "conditional"),
        ([run(3, "approve"), run(3, "block", generation=2)], "block"),
    ],
)
def test_the_decision_on_a_tool_is_found(runs: list[ActionRun], outcome: str | None) -> None:
    header = Incident(
        id=ME,
        number="INC-1001",
        title="Unknown tool",
        discovered_at=NOW,
        reported_at=NOW,
        opened_by_kind="person",
        opened_by_id=ME,
        triage_due_at=NOW,
    )
    actions = {f"{one.generation}/{one.id}": one for one in runs}
    assert tool_outcome(Record(incident=header, documents={}, actions=actions)) == outcome


def test_an_accepted_proposal_is_a_review_with_only_its_changes() -> None:
    risk = register()[0]
    accepted = accept_proposed(risk, proposed(risk, likelihood=5), OWNER, "person", ME, NOW)
    assert accepted.status == "accepted"
    assert (accepted.after.likelihood, accepted.after.last_reviewed_at) == (5, NOW)
    assert accepted.changes.keys() == {"likelihood", "last_reviewed_at", "next_review_at"}


def test_a_review_meanwhile_leaves_a_proposal_good() -> None:
    risk = register()[0]
    waiting = proposed(risk, likelihood=5)
    later = NOW + timedelta(days=1)
    reviewed = accept_proposed(risk, proposed(risk), OWNER, "person", ME, NOW).after
    assert accept_proposed(reviewed, waiting, OWNER, "person", ME, later).after.likelihood == 5


def test_a_change_meanwhile_does_not() -> None:
    risk = register()[0]
    changed = accept_proposed(risk, proposed(risk, impact=5), OWNER, "person", ME, NOW).after
    with pytest.raises(Conflict, match="impact"):
        accept_proposed(changed, proposed(risk, likelihood=5), OWNER, "person", ME, NOW)


def test_a_proposal_does_not_lend_its_authors_rights() -> None:
    risk = register()[3]
    plan = {"actions": [{"title": "Call back"}], "due": "2026-06-30"}
    critical = proposed(risk, residual_likelihood=4, residual_impact=5, treatment_plan=plan)
    with pytest.raises(Forbidden, match="executive_leadership"):
        accept_proposed(risk, critical, OWNER, "person", ME, NOW)
    with pytest.raises(Forbidden, match="person"):
        accept_proposed(risk, critical, {"executive_leadership"}, "service_account", ME, NOW)
    assert accept_proposed(risk, critical, {"executive_leadership"}, "person", ME, NOW).after.residual == 20


def test_the_approver_is_who_decides() -> None:
    until = {"expires_at": "2026-12-01T00:00:00Z"}
    named = {"acceptance": {**until, "approved_by": str(OTHER)}}
    assert with_approver({"acceptance": until}, ME, proposed_only=False)["acceptance"]["approved_by"] == str(ME)
    assert with_approver(named, ME, proposed_only=True)["acceptance"]["approved_by"] == str(OTHER)
    assert with_approver(named, OTHER, proposed_only=False) == named
    assert with_approver({"acceptance": None, "title": "x"}, ME, proposed_only=False) == {
        "acceptance": None,
        "title": "x",
    }
    with pytest.raises(Invalid, match="approved_by"):
        with_approver(named, ME, proposed_only=False)
    risk = register()[0]
    waiting = proposed(risk, status="accepted", **named)
    accepted = accept_proposed(risk, waiting, OWNER, "person", ME, NOW)
    assert accepted.after.acceptance == {**until, "approved_by": str(ME)}
