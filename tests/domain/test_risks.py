"""The risk register: scores, proposals, and who may decide which revision."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from domain.refusals import Forbidden, Invalid
from domain.risks import (
    Counts,
    Risk,
    band,
    key_indicators,
    next_review,
    proposal,
    register,
    revise,
)

NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)
PERSON = UUID(int=7)
OWNER = {"risk_owner"}
LEADERSHIP = {"executive_leadership"}
REASON = "Reviewed with the team after the incident."


def a_risk(likelihood: int = 4, impact: int = 4, residual: tuple[int, int] = (3, 3), **more: object) -> Risk:
    scores = {"residual_likelihood": residual[0], "residual_impact": residual[1]}
    return Risk(ref="AR-001", title="Leakage", likelihood=likelihood, impact=impact, **scores, **more)  # type: ignore[arg-type]


def decide(risk: Risk, decision: str = "edit", roles: set[str] = OWNER, counts: Counts | None = None, **more):  # type: ignore[no-untyped-def]
    edits = more.pop("edits", {})
    reason = more.pop("reason", REASON)
    return revise(risk, decision, edits, proposal(risk, counts or Counts()), reason, roles, now=NOW, **more)


@pytest.mark.parametrize(
    ("score", "name"),
    [
        (1, "low"),
        (4, "low"),
        (5, "medium"),
        (9, "medium"),
        (10, "high"),
        (16, "high"),
        (20, "critical"),
        (25, "critical"),
    ],
)
def test_a_score_falls_into_its_band(score: int, name: str) -> None:
    assert band(score) == name


@pytest.mark.parametrize("score", [0, 26, -1])
def test_a_score_beyond_the_scale_is_a_fault(score: int) -> None:
    with pytest.raises(ValueError, match="1 to 25"):
        band(score)


def test_the_register_starts_with_ten_risks() -> None:
    shipped = {risk.ref: risk for risk in register()}
    assert list(shipped) == [f"AR-{number:03}" for number in range(1, 11)]
    residuals = {ref: (risk.inherent, risk.residual, risk.residual_band) for ref, risk in shipped.items()}
    assert residuals == {
        "AR-001": (16, 9, "medium"),
        "AR-002": (15, 9, "medium"),
        "AR-003": (12, 9, "medium"),
        "AR-004": (20, 12, "high"),
        "AR-005": (12, 8, "medium"),
        "AR-006": (12, 9, "medium"),
        "AR-007": (15, 8, "medium"),
        "AR-008": (12, 6, "medium"),
        "AR-009": (12, 8, "medium"),
        "AR-010": (15, 8, "medium"),
    }
    assert shipped["AR-001"].playbooks == ("data-leakage", "source-code-exposure")
    assert shipped["AR-004"].treatments == ("mitigate", "transfer")
    assert shipped["AR-004"].maps_to == ("ATLAS AML.T0052, AML.T0088", "NIST AI 600-1 Information Security")
    assert all(risk.controls and risk.maps_to and risk.status == "open" for risk in register())
    assert len(key_indicators()) == 6


@pytest.mark.parametrize(("incidents", "likelihood"), [(0, 1), (1, 3), (2, 4), (3, 4), (4, 5), (40, 5)])
def test_the_number_of_incidents_supports_a_likelihood(incidents: int, likelihood: int) -> None:
    assert proposal(a_risk(1, 1, (1, 1)), Counts(incident_count_12m=incidents)).likelihood == likelihood


@pytest.mark.parametrize(("severity", "impact"), [("SEV1", 5), ("SEV2", 4), ("SEV3", 3), ("SEV4", 2), (None, 1)])
def test_the_worst_severity_supports_an_impact(severity: str | None, impact: int) -> None:
    assert proposal(a_risk(1, 1, (1, 1)), Counts(highest_severity_12m=severity)).impact == impact


def test_a_proposal_never_lowers_a_score() -> None:
    proposed = proposal(a_risk(5, 5, (4, 4)), Counts(incident_count_12m=1, highest_severity_12m="SEV4"))
    assert (proposed.likelihood, proposed.impact, proposed.residual) == (5, 5, 16)
    assert proposed.because == []


@pytest.mark.parametrize("cause", ["control_failure", "missing_technical_control"])
def test_failed_controls_raise_the_residual_to_one_below(cause: str) -> None:
    counts = Counts(incident_count_12m=4, highest_severity_12m="SEV1", root_causes=frozenset({cause, "human_error"}))
    proposed = proposal(a_risk(), counts)
    assert (proposed.residual_likelihood, proposed.residual_impact) == (4, 4)
    assert proposed.residual_band == "high"
    assert len(proposed.because) == 3


def test_other_root_causes_leave_the_residual() -> None:
    counts = Counts(incident_count_12m=4, highest_severity_12m="SEV1", root_causes=frozenset({"human_error"}))
    proposed = proposal(a_risk(), counts)
    assert (proposed.residual_likelihood, proposed.residual_impact) == (3, 3)


@pytest.mark.parametrize(
    ("residual", "due"),
    [
        ((5, 4), datetime(2026, 4, 2, 15, tzinfo=UTC)),
        ((4, 4), datetime(2026, 6, 2, 15, tzinfo=UTC)),
        ((3, 3), datetime(2026, 9, 2, 15, tzinfo=UTC)),
        ((2, 2), datetime(2027, 3, 2, 15, tzinfo=UTC)),
    ],
)
def test_the_residual_band_sets_the_next_review(residual: tuple[int, int], due: datetime) -> None:
    assert next_review(a_risk(5, 5, residual), NOW) == due


def test_the_next_review_is_the_earliest_reason_to_look() -> None:
    period_end = datetime(2026, 3, 31, tzinfo=UTC)
    assert next_review(a_risk(), NOW, [period_end]) == period_end
    accepted = a_risk(acceptance={"approved_by": str(PERSON), "expires_at": "2026-05-01T00:00:00Z"})
    assert next_review(accepted, NOW) == datetime(2026, 5, 1, tzinfo=UTC)


def test_no_change_is_a_revision_and_a_review() -> None:
    revision = decide(a_risk(), "no_change")
    assert revision.changes.keys() == {"last_reviewed_at", "next_review_at"}
    assert revision.after.last_reviewed_at == NOW
    assert (revision.status, revision.reason, revision.cause) == ("accepted", REASON, "incident")


def test_accept_takes_the_proposed_scores() -> None:
    counts = Counts(incident_count_12m=5, highest_severity_12m="SEV1")
    revision = decide(a_risk(), "accept", counts=counts)
    assert (revision.after.likelihood, revision.after.impact) == (5, 5)
    assert (revision.before.likelihood, revision.before.impact) == (4, 4)
    assert {"likelihood", "impact"} <= revision.changes.keys()


def test_a_proposal_of_anybody_reviews_nothing() -> None:
    revision = decide(
        a_risk(), "edit", {"it_security"}, edits={"likelihood": 5}, proposed_only=True, actor_kind="person"
    )
    assert revision.status == "proposed"
    assert revision.after.last_reviewed_at is None


def test_a_revision_carries_the_outcome_of_a_tool_decision() -> None:
    assert decide(a_risk(), "no_change", outcome="blocked").outcome == "blocked"


@pytest.mark.parametrize(
    ("decision", "more"),
    [
        ("perhaps", {}),
        ("no_change", {"reason": "  no  "}),
        ("no_change", {"edits": {"impact": 5}}),
        ("no_change", {"cause": "mood"}),
        ("accept", {"edits": {"impact": 5}}),
        ("edit", {}),
        ("edit", {"edits": {"ref": "AR-999"}}),
        ("edit", {"edits": {"impact": 6}}),
        ("edit", {"edits": {"impact": True}}),
        ("edit", {"edits": {"impact": "4"}}),
        ("edit", {"edits": {"residual_likelihood": 5}}),
        ("edit", {"edits": {"likelihood": 2}}),
        ("edit", {"edits": {"status": "gone"}}),
        ("edit", {"edits": {"treatments": ["pray"]}}),
        ("edit", {"edits": {"residual_likelihood": 4, "residual_impact": 4}}),
        ("edit", {"edits": {"residual_likelihood": 4, "residual_impact": 4, "treatment_plan": {"actions": [{}]}}}),
    ],
)
def test_a_revision_that_breaks_a_rule_is_refused(decision: str, more: dict[str, object]) -> None:
    with pytest.raises(Invalid) as refusal:
        decide(a_risk(), decision, **more)
    assert refusal.value.errors


def test_a_residual_that_becomes_high_comes_with_a_dated_plan() -> None:
    plan = {"actions": [{"title": "Block uploads", "due": "2026-06-01"}], "owner": str(PERSON)}
    edits = {"residual_likelihood": 4, "residual_impact": 4, "treatment_plan": plan}
    assert decide(a_risk(), edits=edits).after.residual_band == "high"


def test_a_residual_that_stays_high_can_be_confirmed() -> None:
    assert decide(a_risk(5, 5, (4, 4)), "no_change").status == "accepted"


ACCEPTED = {"status": "accepted", "treatments": ["accept"]}


@pytest.mark.parametrize(
    "acceptance",
    [
        None,
        "yes",
        {"approved_by": str(PERSON)},
        {"expires_at": "2026-12-01T00:00:00Z"},
        {"approved_by": str(PERSON), "expires_at": "2027-03-02T15:00:01Z"},
        {"approved_by": str(PERSON), "expires_at": "2026-03-02T15:00:00Z"},
        {"approved_by": str(PERSON), "expires_at": "2026-12-01T00:00:00"},
        {"approved_by": str(PERSON), "expires_at": "soon"},
    ],
)
def test_an_accepted_risk_names_its_approver_and_a_year_at_most(acceptance: object) -> None:
    with pytest.raises(Invalid):
        decide(a_risk(), edits={**ACCEPTED, "acceptance": acceptance})


def test_a_risk_may_be_accepted_for_a_year() -> None:
    acceptance = {"approved_by": str(PERSON), "expires_at": "2027-03-02T15:00:00Z"}
    assert decide(a_risk(), edits={**ACCEPTED, "acceptance": acceptance}).after.status == "accepted"


@pytest.mark.parametrize(
    ("before", "edits"),
    [
        ((3, 3), {"residual_likelihood": 5, "residual_impact": 4}),
        ((5, 4), {"residual_likelihood": 3}),
        ((5, 4), {"title": "Same scores"}),
    ],
)
def test_a_critical_residual_is_for_leadership(before: tuple[int, int], edits: dict[str, object]) -> None:
    plan = {"actions": [{"title": "Act", "due": "2026-04-01"}]}
    with pytest.raises(Forbidden):
        decide(a_risk(5, 5, before), edits={**edits, "treatment_plan": plan})
    assert decide(a_risk(5, 5, before), roles=LEADERSHIP, edits={**edits, "treatment_plan": plan})


@pytest.mark.parametrize("roles", [set(), {"it_security"}, LEADERSHIP, {"auditor"}])
def test_an_ordinary_risk_is_for_the_risk_owner(roles: set[str]) -> None:
    with pytest.raises(Forbidden):
        decide(a_risk(), "no_change", roles)


@pytest.mark.parametrize("kind", ["service_account", "system"])
def test_only_people_decide(kind: str) -> None:
    with pytest.raises(Forbidden):
        decide(a_risk(), "no_change", actor_kind=kind)
