"""Decisions of several persons: every role asked for, by different persons, all for the same outcome."""

from typing import Any

import pytest
from msgspec import json

from domain.playbooks import FaultyPlaybook
from domain.refusals import Forbidden, GateRefused, Invalid
from tests.domain.engine import ADA, BEN, CLEO, DAN, EVE, FAY, Story, alone, person
from tests.domain.made_up import an_action, made_up, running

BOTH = {"outcomes": ["go", "stay"], "approvals_from": ["it_security", "risk_owner"]}
ONLY_GO = {**BOTH, "approvals_when": ["go"]}
WHY = {"rationale": "It was tested twice."}


def approve(story: Story, who: Any, outcome: str = "go", **more: Any) -> Any:
    return story.act(who, "XC.1.1", "approve", outcome=outcome, **more)


def test_it_is_done_when_every_role_has_approved() -> None:
    story = running(an_action("XC.1.1", "decision", **BOTH))
    assert approve(story, BEN, inputs=WHY).status == "pending"
    done = approve(story, ADA)
    assert (done.status, done.outcome, done.values) == ("done", "go", WHY)
    assert [a["role"] for a in done.approvals] == ["it_security", "risk_owner"]
    assert [a["person_id"] for a in done.approvals] == [str(BEN.id), str(ADA.id)]


def test_nobody_approves_twice_nor_through_somebody_they_made() -> None:
    both = person(8, "Gil Both", "it_security", "risk_owner")
    puppet = person(9, "Pam Puppet", "risk_owner", "it_security", created_by=both.id)
    story = running(an_action("XC.1.1", "decision", **BOTH), people=(both, puppet, ADA, BEN), by=BEN)
    approve(story, both, inputs=WHY)
    for barred in (both, puppet):
        with pytest.raises(GateRefused) as refusal:
            approve(story, barred)
        assert refusal.value.gate == "G-ALL-11"
    assert story.action("XC.1.1").status == "pending"


def test_who_holds_both_roles_leaves_the_other_to_the_only_one_who_can_give_it() -> None:
    both = person(8, "Gil Both", "it_security", "risk_owner")
    story = running(an_action("XC.1.1", "decision", **BOTH), people=(both, BEN), by=BEN)
    approve(story, both, inputs=WHY)
    assert story.action("XC.1.1").approvals[0]["role"] == "risk_owner"
    assert approve(story, BEN).status == "done"


def test_a_role_that_is_not_asked_for_approves_nothing() -> None:
    story = running(an_action("XC.1.1", "decision", **BOTH))
    with pytest.raises(Forbidden):
        approve(story, EVE, inputs=WHY)
    with pytest.raises(Forbidden):
        approve(story, CLEO, inputs=WHY)


def test_another_outcome_asks_everybody_again() -> None:
    story = running(an_action("XC.1.1", "decision", **BOTH))
    approve(story, BEN, inputs=WHY)
    assert approve(story, ADA, "stay", inputs=WHY).status == "pending"
    assert approve(story, BEN, "stay").status == "done"
    assert story.action("XC.1.1").outcome == "stay"


def test_the_first_one_fills_in_what_is_asked_and_each_may_add_to_it() -> None:
    story = running(an_action("XC.1.1", "decision", **BOTH))
    with pytest.raises(Invalid, match="rationale"):
        approve(story, BEN)
    with pytest.raises(Invalid):
        approve(story, BEN, inputs={"rationale": "no"})
    approve(story, BEN, inputs=WHY)
    assert approve(story, ADA, inputs={"rationale": "And read by me."}).values == {"rationale": "And read by me."}


def test_it_cannot_be_completed_by_one_person() -> None:
    story = running(an_action("XC.1.1", "decision", **BOTH))
    assert "complete" not in [v["transition"] for v in json.decode(story.action("XC.1.1").allowed)["@"]]


def test_where_only_one_outcome_takes_two_the_other_takes_one() -> None:
    story = running(an_action("XC.1.1", "decision", **ONLY_GO))
    with pytest.raises(Invalid, match="use the transition approve"):
        story.act(BEN, "XC.1.1", outcome="go", inputs=WHY)
    with pytest.raises(Invalid, match="use the transition complete"):
        approve(story, BEN, "stay", inputs=WHY)
    approve(story, BEN, inputs=WHY)
    done = story.act(BEN, "XC.1.1", outcome="stay", inputs=WHY)
    assert (done.status, done.outcome, done.approvals) == ("done", "stay", [])


def test_a_role_under_a_condition_is_asked_for_while_it_may_hold() -> None:
    three = {**BOTH, "approvals_from": ["it_security", "risk_owner", "legal_counsel"]}
    three["approvals_if"] = {"legal_counsel": "regulated_statement"}
    story = running(an_action("XC.1.1", "decision", **three))
    approve(story, BEN, inputs=WHY)
    assert approve(story, ADA).status == "pending"  # not known: counsel is asked
    story.act(CLEO, "XC.1.1", "approve", outcome="go")
    assert story.action("XC.1.1").status == "done"
    story = running(an_action("XC.1.1", "decision", **three))
    story.fact("regulated_statement", False)
    approve(story, BEN, inputs=WHY)
    assert approve(story, ADA).status == "done"


@pytest.mark.parametrize("never_alone", [False, True])
def test_a_provider_of_one_approves_alone_unless_the_file_forbids_it(never_alone: bool) -> None:
    solo = person(8, "Gil Solo", "it_security", "risk_owner")
    story = running(an_action("XC.1.1", "decision", **BOTH, never_alone=never_alone), people=(solo, DAN), by=solo)
    approve(story, solo, inputs=WHY)
    with pytest.raises(GateRefused):
        approve(story, solo)
    if never_alone:
        with pytest.raises(GateRefused):
            approve(story, solo, overrides=[alone()])
        return
    assert approve(story, solo, overrides=[alone()]).status == "done"
    assert [e.gate for e in story.exceptions("override")] == ["G-ALL-11"]


def test_where_others_are_active_nobody_approves_alone() -> None:
    story = running(an_action("XC.1.1", "decision", **BOTH), people=(FAY, BEN, ADA), by=BEN)
    approve(story, ADA, inputs=WHY)
    with pytest.raises(GateRefused):
        approve(story, ADA, overrides=[alone()])


@pytest.mark.parametrize(
    "more",
    [
        {"outcomes": ["go"], "approvals_from": ["risk_owner"], "approvals_when": ["gone"]},
        {"outcomes": ["go"], "approvals_when": ["go"]},
        {"outcomes": ["go"], "never_alone": True},
    ],
)
def test_a_file_that_asks_nobody_or_for_nothing_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(FaultyPlaybook):
        made_up(an_action("XC.1.1", "decision", **more))
