"""The tool register's rules: statuses and artifacts, approvals by two persons, late reviews."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.actors import Actor
from domain.changes import Person
from domain.refusals import Conflict, Forbidden, GateRefused, Invalid
from domain.tool_decisions import Choice, approve, confirm_block, decide, reject
from domain.tools import (
    ARTIFACTS,
    DEFAULT_CONDITIONS,
    MEMBERS,
    OUTCOMES,
    STATUS_OF,
    Decision,
    Entry,
    Tool,
    announce_overdue,
    answer_checks,
    member_schema,
    missing_of_artifact,
    name_key,
    open_assessment,
    standing,
)
from tests.domain.engine import numbered

NOW = datetime(2026, 11, 26, 9, tzinfo=UTC)
EARLIER = "2021-01-01T00:00:00Z"
REASON = "A sentence of a reason that an auditor can read."
GOOD: dict[str, dict[str, Any]] = {
    "VC-1": {"answer": "yes", "source": "x", "report_type": "type_2", "period_end": "2026-06-30"},
    "VC-2": {"answer": "no", "source": "x"},
    "VC-3": {"answer": "yes", "source": "x", "signed": True},
    "VC-4": {"answer": "yes", "source": "x", "bounded": True, "deletion_on_request": True},
}
WHOLE = {"owner_id": str(numbered(9)), "approved_uses": ["Drafting"], "approved_data_classes": ["generic_prompt"]}


def entry(**more: Any) -> Entry:
    """A tool that was requested."""
    given = {"name": "ExampleChat", "name_key": "examplechat", "requested_by_kind": "person", **more}
    return Entry(tool=Tool(id=numbered(1), requested_by_id=numbered(2), created_at=NOW, updated_at=NOW, **given))


def assessed(**more: Any) -> Entry:
    """One whose checks are all good."""
    made = entry(**more)
    answer_checks(made, open_assessment(made, NOW, numbered(50), None, None), GOOD, NOW, numbered(2))
    return made


def somebody(number: int, *roles: str) -> Actor:
    return Actor(kind="person", id=numbered(number), roles=frozenset(roles))


IDA, RIA, BOTH = somebody(11, "it_security"), somebody(12, "risk_owner"), somebody(13, "it_security", "risk_owner")
PEOPLE = {a.id: Person(id=a.id, roles=a.roles) for a in (IDA, RIA, BOTH)}


def taken(made: Entry, outcome: str, actor: Actor = RIA, **members: Any) -> Decision:
    return decide(
        made, Choice(outcome=outcome, reason=REASON, members=members), actor, NOW, UUID(int=len(made.decisions))
    )


def test_every_outcome_has_a_status_and_an_artifact() -> None:
    assert STATUS_OF.keys() == ARTIFACTS.keys()
    assert set(OUTCOMES) == STATUS_OF.keys() - {"retire"}
    named = {name for names in ARTIFACTS.values() for name in names}
    assert named <= MEMBERS.keys() & set(Tool.__struct_fields__)
    assert member_schema("checks.VC-1") is not None
    assert member_schema("checks.VC-9") is None
    assert member_schema("status") is None


@pytest.mark.parametrize(("one", "other"), [(" Example  Chat ", "example chat"), ("STRASSE", "straße")])
def test_names_are_compared_without_case_and_blanks(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


def test_an_assessment_reviews_a_request_and_is_complete_with_the_four_checks() -> None:
    made = entry()
    opened = open_assessment(made, NOW, numbered(50), None, None)
    assert made.tool.status == "under_review"
    answer_checks(made, opened, {"VC-1": GOOD["VC-1"]}, NOW, numbered(2))
    assert (opened.status, opened.completed_at) == ("draft", None)
    answer_checks(made, opened, GOOD, NOW, numbered(2))
    assert (opened.status, opened.completed_at) == ("complete", NOW)
    assert open_assessment(made, NOW, numbered(51), None, None) is opened
    taken(made, "conditional")
    assert opened.status == "decided"
    assert open_assessment(made, NOW, numbered(51), None, None).id == numbered(51)


def test_two_persons_with_both_roles_between_them_approve() -> None:
    for first, second, roles in ((IDA, RIA, ["it_security", "risk_owner"]), (BOTH, IDA, ["risk_owner", "it_security"])):
        made = assessed()
        decision = taken(made, "approve", first, **WHOLE)
        assert (decision.status, made.tool.status) == ("proposed", "under_review")
        approve(made, decision, second, PEOPLE, None, NOW)
        assert [a["role"] for a in decision.approvals] == roles
        assert (made.tool.status, standing(made.tool)) == ("approved", "approve")
        assert made.tool.review_due_at == datetime(2027, 11, 26, 9, tzinfo=UTC)


def test_nobody_approves_alone_nor_by_a_stand_in() -> None:
    made = assessed()
    decision = taken(made, "approve", BOTH, **WHOLE)
    stand_in = somebody(14, "it_security")
    people = {**PEOPLE, stand_in.id: Person(id=stand_in.id, roles=stand_in.roles, created_by=BOTH.id)}
    for other in (BOTH, stand_in):
        with pytest.raises(GateRefused) as refused:
            approve(made, decision, other, people, None, NOW)
        assert refused.value.gate == "G-ALL-11"
    made = assessed()
    decision = taken(made, "approve", IDA, **WHOLE)
    with pytest.raises(Forbidden):
        approve(made, decision, somebody(15, "it_security"), PEOPLE, None, NOW)


def test_approve_waits_for_the_checklist_at_both_ends() -> None:
    with pytest.raises(GateRefused) as refused:
        taken(entry(), "approve", **WHOLE)
    assert refused.value.gate == "G-SA-2"
    made = assessed()
    decision = taken(made, "approve", IDA, **WHOLE)
    with pytest.raises(GateRefused):  # the report is too old by then
        approve(made, decision, RIA, PEOPLE, None, NOW + timedelta(days=300))
    assert made.tool.status == "under_review"


def test_an_outcome_ends_what_another_one_brought() -> None:
    made = entry(domains=["chat.example"], extension_ids=["abc"])
    condition = taken(made, "conditional")
    assert condition.artifact is not None
    assert (made.tool.conditions, made.tool.acknowledgement_required) == (list(DEFAULT_CONDITIONS), True)
    taken(made, "block")
    assert (made.tool.conditions, made.tool.blocked_domains) == ([], ["chat.example"])
    assert made.tool.blocked_extension_ids == ["abc"]
    assert missing_of_artifact(made.tool, "block") == []
    retired = taken(made, "retire")
    assert (retired.status_before, retired.status_after, made.tool.blocked_domains) == ("blocked", "retired", [])
    with pytest.raises(Conflict):
        taken(made, "retire")


def test_what_does_not_belong_to_an_outcome_is_refused() -> None:
    with pytest.raises(Invalid) as refused:
        taken(entry(), "conditional", blocked_domains=["a.example"])
    assert refused.value.errors[0].pointer == "/blocked_domains"
    with pytest.raises(Forbidden):
        taken(entry(), "conditional", somebody(16, "vendor_management"))


@pytest.mark.parametrize(
    ("outcome", "members", "pointer"),
    [
        ("approve", {**WHOLE, "approved_data_classes": ["whatever"]}, "/approved_data_classes/0"),
        ("approve", {**WHOLE, "approved_uses": []}, "/approved_uses"),
        ("approve", {**WHOLE, "review_due_at": "2026-11-26T08:00:00Z"}, "/review_due_at"),
        ("block", {"block_requested_at": "2027-01-01T00:00:00Z"}, "/block_requested_at"),
        (
            "block",
            {"block_confirmed_at": "2020-01-01T00:00:00Z", "block_requested_at": "2021-01-01T00:00:00Z"},
            "/block",
        ),
    ],
)
def test_a_part_of_an_artifact_has_to_fit(outcome: str, members: dict[str, Any], pointer: str) -> None:
    with pytest.raises(Invalid) as refused:
        taken(assessed(domains=["a.example"]), outcome, **members)
    assert refused.value.errors[0].pointer.startswith(pointer)


def test_a_proposal_is_decided_once() -> None:
    made = assessed()
    decision = taken(made, "approve", IDA, **WHOLE)
    with pytest.raises(Conflict):
        taken(made, "block")
    reject(decision, RIA, REASON, NOW)
    for again in (lambda: reject(decision, RIA, REASON, NOW), lambda: approve(made, decision, RIA, PEOPLE, None, NOW)):
        with pytest.raises(Conflict):
            again()
    assert made.tool.status == "under_review"


def test_a_block_is_confirmed_after_it_was_requested() -> None:
    made = entry(domains=["a.example"])
    decision = taken(made, "block")
    with pytest.raises(Invalid):
        confirm_block(made, decision, NOW - timedelta(seconds=1))
    confirm_block(made, decision, NOW)
    assert made.tool.block_confirmed_at == NOW
    taken(made, "conditional")
    with pytest.raises(Conflict):
        confirm_block(made, decision, NOW)


def test_a_late_review_is_announced_once() -> None:
    made = assessed()
    taken(made, "conditional")
    due = made.tool.review_due_at
    assert due is not None
    assert not announce_overdue(made, due - timedelta(seconds=1))
    assert announce_overdue(made, due)
    assert not announce_overdue(made, due + timedelta(days=1))
    assert made.assessment is not None
    assert made.assessment.status == "expired"
    with pytest.raises(GateRefused):  # an expired assessment approves nothing
        taken(made, "approve", **WHOLE)
