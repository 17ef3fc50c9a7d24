"""Notices sent ahead of their approval, while an attack runs: by whom, why, and who approves them afterwards."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pytest

from domain.refusals import Conflict, Forbidden, Invalid
from tests.domain import engine
from tests.domain.engine import ADA, BEN, CLEO, FAY, HOUR, NORTH, Story, alone
from tests.domain.test_ai_phishing import assess, break_off, gate_of, phished, report_it
from tests.domain.test_allowed_transitions import check

ATTACK = "attack_in_progress"


@cache
def _attacked() -> Story:
    return assess(report_it(break_off(phished()), impersonated=True))


def attacked() -> Story:
    """All of PH.3 is done but the warning; North Dental is being impersonated."""
    return copy.deepcopy(_attacked())


def warning(story: Story, who: Any = FAY, **said: Any) -> Any:
    told = {
        "kind": "client_notice",
        "action_id": "PH.3.4",
        "client_id": NORTH.id,
        "audience": "North Dental",
        "subject": "A caller who is not us",
        "body": "Somebody calls in our name today. Hang up and call the number you know.",
        **said,
    }
    return story.draft(who, **told)


def test_the_warning_takes_an_approval_while_nothing_presses() -> None:
    story = attacked()
    made = warning(story)
    with pytest.raises(Conflict) as refused:
        story.tell(made, "record_sent", FAY)
    assert ATTACK in refused.value.detail
    with pytest.raises(Conflict):
        story.tell(made, "record_sent", FAY, reason="attack in progress, or so it seems")
    story.tell(made, "submit", FAY)
    story.tell(made, "approve", CLEO)
    story.tell(made, "record_sent", FAY, reason=ATTACK)
    assert story.exceptions("sent_ahead_of_approval") == []  # it was approved: nothing was early
    assert story.finish(FAY, "PH.3").status == "completed"


@pytest.mark.parametrize("before", [(), ("submit",)])
def test_during_the_attack_the_warning_is_sent_and_approved_afterwards(before: tuple[str, ...]) -> None:
    story = attacked()
    made = warning(story)
    for transition in before:
        story.tell(made, transition, FAY)
    sent = story.tell(made, "record_sent", FAY, reason=ATTACK)
    assert (sent.status, sent.approved_by) == ("sent", None)
    assert story.action("PH.3.4").status == "done"
    (exception,) = story.exceptions("sent_ahead_of_approval")
    assert (exception.person_id, exception.action_id, exception.step_id) == (FAY.id, "PH.3.4", "PH.3")
    assert gate_of(lambda: story.finish(FAY, "PH.3")) == "G-PH-3"
    assert gate_of(lambda: story.tell(made, "approve", FAY)) == "G-ALL-11"
    with pytest.raises(Forbidden):
        story.tell(made, "approve", BEN)
    approved = story.tell(made, "approve", CLEO)
    assert (approved.status, approved.approved_by) == ("sent", CLEO.id)
    with pytest.raises(Conflict):
        story.tell(made, "approve", ADA)
    assert story.finish(FAY, "PH.3").status == "completed"


def test_whoever_sent_a_colleagues_warning_does_not_approve_it_either() -> None:
    story = attacked()
    made = warning(story, FAY)
    story.tell(made, "record_sent", ADA, reason=ATTACK)
    assert gate_of(lambda: story.tell(made, "approve", ADA)) == "G-ALL-11"
    story.tell(made, "acknowledge", FAY)
    assert story.tell(made, "approve", CLEO).status == "acknowledged"


def test_only_the_security_lead_and_the_risk_owner_send_it_early() -> None:
    story = attacked()
    story.do(ADA, lambda change: change.record.steps["PH.3"].__setattr__("assignee_id", BEN.id))
    made = warning(story, BEN)
    with pytest.raises(Forbidden):
        story.tell(made, "record_sent", BEN, reason=ATTACK)
    assert story.tell(made, "record_sent", ADA, reason=f"{ATTACK}: they were told by phone").status == "sent"


def test_a_late_entry_of_an_early_warning_says_more_than_the_word() -> None:
    story = attacked()
    made = warning(story)
    told_at, story.now = story.now, story.now + 2 * HOUR
    with pytest.raises(Invalid):
        story.tell(made, "record_sent", FAY, reason=ATTACK, occurred_at=told_at)
    sent = story.tell(made, "record_sent", FAY, reason=f"{ATTACK}, told by phone at two", occurred_at=told_at)
    assert sent.sent_at == told_at


def test_another_message_to_the_client_has_no_such_leave() -> None:
    story = attacked()
    other = warning(story, ADA, action_id=None)
    with pytest.raises(Conflict):
        story.tell(other, "record_sent", ADA, reason=ATTACK)
    with pytest.raises(Invalid):
        warning(story, kind="vendor", client_id=None)


def test_a_provider_of_one_approves_alone_by_exception() -> None:
    story = attacked()
    made = warning(story, FAY)
    story.tell(made, "record_sent", FAY, reason=ATTACK)
    story.people = {FAY.id: FAY}
    assert story.tell(made, "approve", FAY, overrides=[alone()]).approved_by == FAY.id


def test_what_is_shown_of_an_early_warning_is_what_the_call_answers() -> None:
    story = attacked()
    made = warning(story, FAY)
    for who in engine.TEAM:
        check(story, who)
    story.tell(made, "record_sent", ADA, reason=ATTACK)
    for who in engine.TEAM:
        check(story, who)
    story.tell(made, "approve", CLEO)
    for who in engine.TEAM:
        check(story, who)
