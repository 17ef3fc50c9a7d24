"""`high-impact-ai-use`: a re-review of each decision by somebody else, and what follows from it."""

from typing import Any

import pytest

from domain.refusals import Forbidden, GateRefused, Invalid
from tests.domain.engine import ADA, CLEO, FAY, LIST, NOBODY, TEAM, WHY, Story, declared, person

BO = person(7, "Bo Owner", "business_owner")
PAT = person(8, "Pat Privacy", "privacy")
HARM = {"individual_harm": False, "client_harm": False}


def used(*decisions: str, **facts: Any) -> Story:
    story = declared(*TEAM, BO, PAT, slug="high-impact-ai-use", facts=facts)
    if decisions:
        listed(story, *decisions)
    return story


def listed(story: Story, *decisions: str) -> None:
    entries = [{"decision": name, "decided_by": str(BO.id)} for name in decisions]
    inputs = {"decisions": entries, "affected_data": {"entries": [LIST]}, "impacted_parties": NOBODY}
    story.act(BO, "HI.1.4", inputs=inputs)


def review(story: Story, *reviews: tuple[str, str], by: Any = PAT) -> Any:
    found = [{"decision": name, "reviewer": str(by.id), "outcome": outcome} for name, outcome in reviews]
    return story.act(PAT, "HI.3.1", outcome="reviewed", inputs={"reviews": found, **HARM})


def test_each_decision_listed_is_reviewed_exactly_once() -> None:
    story = used("A", "B")
    for wrong, words in (
        ([("A", "stands")], "has no entry for B"),
        ([("A", "stands"), ("B", "stands"), ("C", "stands")], "is not listed"),
        ([("A", "stands"), ("B", "stands"), ("A", "changes")], "answered twice"),
    ):
        with pytest.raises(Invalid, match=words):
            review(story, *wrong)
    assert review(story, ("B", "cannot_tell"), ("A", "stands")).status == "done"


def test_nobody_reviews_their_own_decision() -> None:
    story = used("A", "B")
    with pytest.raises(GateRefused) as refused:
        review(story, ("A", "stands"), ("B", "stands"), by=BO)
    assert refused.value.gate == "G-HI-1"
    assert review(story, ("A", "stands"), ("B", "stands")).status == "done"


def test_a_decision_listed_later_asks_for_its_review() -> None:
    story = used("A")
    review(story, ("A", "stands"))
    story.act(BO, "HI.1.4", "reopen", reason=WHY)
    listed(story, "A", "B")
    assert story.action("HI.3.1").status == "pending"
    assert review(story, ("A", "stands"), ("B", "stands")).status == "done"


@pytest.mark.parametrize(("outcome", "requirement"), [("stands", "not_applicable"), ("changes", "required")])
def test_what_was_found_wrong_has_to_be_redone(outcome: str, requirement: str) -> None:
    story = used("A", "B")
    review(story, ("A", "stands"), ("B", outcome))
    assert story.action("HI.4.1").requirement == requirement


@pytest.mark.parametrize(("kind", "asked"), [("hr", {"HI.3.2"}), ("legal", {"HI.3.3"}), ("business_decision", set())])
def test_the_kind_of_work_decides_what_is_checked(kind: str, asked: set[str]) -> None:
    story = used(workflow_kind=kind)
    required = {a for a in ("HI.3.2", "HI.3.3") if story.action(a).requirement == "required"}
    assert required == asked


def test_restricting_reaches_evidence_present_and_later() -> None:
    story = used()
    first = story.attach("HI.1.2")
    first.sensitivity = "internal"
    story.act(ADA, "HI.2.3", inputs={"roles": ["legal_counsel", "hr"]})
    assert story.record.evidence[str(first.id)].sensitivity == "restricted"
    assert story.record.evidence[str(first.id)].custody[-1]["what"] == "restricted"
    assert story.attach(None).sensitivity == "restricted"
    assert "evidence.restricted" in story.kinds()


def test_the_decision_needs_a_tool_and_one_person_never_approves_it() -> None:
    story = used()
    why = {"rationale": "It was assessed."}
    with pytest.raises(Invalid, match="use the transition approve"):
        story.act(BO, "HI.4.3", outcome="approve", inputs=why)
    with pytest.raises(Invalid, match="which tool"):
        story.act(CLEO, "HI.4.3", outcome="block", inputs=why)
    with pytest.raises(Forbidden):
        story.act(CLEO, "HI.4.3", "approve", outcome="approve", inputs=why)


def test_a_notice_waits_for_the_whole_review() -> None:
    story = used(workflow_kind="business_decision")
    notice = story.draft(BO, kind="client_notice", audience="the applicants", action_id="HI.4.2")
    story.tell(notice, "submit", BO)
    story.tell(notice, "approve", ADA)
    with pytest.raises(GateRefused) as refused:
        story.tell(notice, "record_sent", BO)
    assert refused.value.gate == "G-HI-2"


def test_harm_to_a_person_escalates() -> None:
    story = used(client_harm=False)
    assert story.action("HI.4.4").requirement == "pending_fact"
    story.fact("individual_harm", True, FAY)
    assert (story.action("HI.4.4").requirement, story.incident.severity) == ("required", "SEV2")
