"""When something was done and when it was recorded: bounds, late entries, and which of the two counts."""

from datetime import timedelta
from typing import Any

import pytest

from domain.doings import Claim
from domain.notes import add_note
from domain.refusals import Invalid
from domain.timeline import instant_text
from tests.domain import engine
from tests.domain.engine import ADA, BEN, DAY, HOUR, MINUTE, START, WHY, Story, declared, numbered

SECOND = timedelta(seconds=1)


def note(story: Story, **claim: Any) -> None:
    story.do(BEN, lambda change: add_note(change, "Looked at it.", Claim(**claim)))


def at_work() -> Story:
    """Declared at 02:00, and it is 02:40 now: DL.1 was due at 02:15."""
    story = declared()
    story.now = START + 40 * MINUTE
    return story


@pytest.mark.parametrize("lag", [timedelta(0), MINUTE, 30 * MINUTE, HOUR])
def test_a_doing_of_the_last_hour_needs_no_reason(lag: timedelta) -> None:
    story = declared()
    story.now = START + 2 * HOUR
    note(story, occurred_at=story.now - lag)
    (event,) = story.last
    assert (event.occurred_at, event.data["late_entry"]) == (story.now - lag, False)


@pytest.mark.parametrize(
    ("seconds", "allowed"), [(59, True), (60, True), (61, False), (3600, False)], ids=["59", "60", "61", "3600"]
)
def test_a_callers_clock_may_run_a_minute_ahead(seconds: int, allowed: bool) -> None:
    story = at_work()
    ahead = story.now + seconds * SECOND
    if not allowed:
        with pytest.raises(Invalid) as refused:
            note(story, occurred_at=ahead)
        assert refused.value.errors[0].pointer == "/occurred_at"
        return
    note(story, occurred_at=ahead)
    assert story.last[0].occurred_at == story.now  # never stored ahead of our clock


def test_nothing_was_done_before_the_discovery() -> None:
    story = at_work()
    with pytest.raises(Invalid) as refused:
        note(story, occurred_at=START - 2 * MINUTE, reason=WHY)
    assert refused.value.errors[0].pointer == "/occurred_at"
    note(story, occurred_at=START)


def test_who_did_it_is_an_active_person() -> None:
    story = at_work()
    with pytest.raises(Invalid) as refused:
        note(story, performed_by=numbered(404))
    assert refused.value.errors[0].pointer == "/performed_by"
    note(story, performed_by=ADA.id)
    assert story.last[0].data["performed_by"] == ADA.id


def test_work_at_two_past_five_entered_at_twenty_to_three_is_met_and_late() -> None:
    story = at_work()
    done: dict[str, Any] = {"occurred_at": START + 5 * MINUTE, "reason": WHY}
    shot = story.attach("DL.1.2")
    story.act(BEN, "DL.1.1", **done)
    story.act(BEN, "DL.1.2", evidence_ids=[shot.id], **done)
    story.act(BEN, "DL.1.3", inputs={"ai_systems": {"entries": [engine.TOOL]}}, **done)
    inputs = {"affected_data": {"entries": [engine.LIST]}, "credentials_exposed": False}
    story.act(BEN, "DL.1.4", inputs=inputs, **done)
    story.act(BEN, "DL.1.5", inputs={"impacted_parties": engine.NOBODY}, **done)
    step = story.finish(BEN, "DL.1", **done)
    assert (step.completed_occurred_at, step.completed_at) == (START + 5 * MINUTE, story.now)
    assert step.first_result["state"] == "met"
    assert step.first_result["recorded_state"] == "met_late"
    assert step.late_entry
    assert story.action("DL.1.1").late_entry
    (exception,) = story.exceptions("late_entry")
    assert (exception.reason, exception.person_id) == (WHY, BEN.id)


def test_turning_a_breach_into_met_takes_a_reason() -> None:
    story = at_work()
    with pytest.raises(Invalid) as refused:
        story.act(BEN, "DL.1.1", occurred_at=START + 5 * MINUTE)
    assert refused.value.errors[0].pointer == "/reason"
    with pytest.raises(Invalid):
        story.act(BEN, "DL.1.1", occurred_at=START + 5 * MINUTE, reason="too short")
    assert story.action("DL.1.1").status == "pending"


def test_work_after_the_deadline_entered_soon_is_merely_late() -> None:
    story = at_work()
    run = story.act(BEN, "DL.1.1", occurred_at=START + 20 * MINUTE)
    assert (run.late_entry, run.occurred_at) == (False, START + 20 * MINUTE)
    assert story.exceptions("late_entry") == []


def test_a_lag_of_more_than_an_hour_is_a_late_entry() -> None:
    story = declared()
    story.now = START + 3 * HOUR
    with pytest.raises(Invalid):
        story.act(BEN, "DL.4.1", occurred_at=START + HOUR)
    run = story.act(BEN, "DL.4.1", occurred_at=START + HOUR, reason=WHY)
    assert (run.late_entry, run.occurred_at, run.recorded_at) == (True, START + HOUR, story.now)
    assert story.exceptions("late_entry") == []  # no breach was turned


def test_past_a_day_only_the_recorded_instant_counts() -> None:
    story = declared()
    story.now = START + 2 * DAY
    run = story.act(BEN, "DL.1.1", occurred_at=START + 5 * MINUTE, reason=WHY)
    assert (run.occurred_at, run.late_entry) == (story.now, True)
    (exception,) = story.exceptions("late_entry_past_a_day")
    assert exception.details["claimed_at"] == instant_text(START + 5 * MINUTE)
    assert story.exceptions("late_entry") == []


def test_exactly_a_day_still_counts() -> None:
    story = declared()
    story.now = START + DAY + 5 * MINUTE
    assert story.act(BEN, "DL.1.1", occurred_at=START + 5 * MINUTE, reason=WHY).occurred_at == START + 5 * MINUTE


def test_a_step_is_not_done_before_the_last_of_its_actions() -> None:
    story = engine.contain(declared())
    story.act(BEN, "DL.2.2", inputs={"retention": "30 days", "breach_notice": "at once"})
    story.act(BEN, "DL.2.3", inputs={"opt_out_available": "yes"})
    story.tell(story.draft(BEN, action_id="DL.2.1"), "record_sent")
    story.now = START + 30 * MINUTE
    story.act(BEN, "DL.2.4")
    with pytest.raises(Invalid) as refused:
        story.finish(BEN, "DL.2", occurred_at=START + 20 * MINUTE)
    assert refused.value.errors[0].pointer == "/occurred_at"
    assert story.finish(BEN, "DL.2", occurred_at=START + 30 * MINUTE).status == "completed"


def test_recorder_and_performer_are_both_kept() -> None:
    story = at_work()
    run = story.act(BEN, "DL.1.1", performed_by=ADA.id)
    assert (run.recorded_by, run.performed_by) == (BEN.id, ADA.id)


def test_a_message_sent_an_hour_and_more_ago_needs_a_reason() -> None:
    story = declared()
    made = story.draft(BEN, action_id="DL.2.1")
    story.now = START + 2 * HOUR
    with pytest.raises(Invalid):
        story.tell(made, "record_sent", occurred_at=START + 30 * MINUTE)
    sent = story.tell(made, "record_sent", occurred_at=START + 30 * MINUTE, reason=WHY)
    assert (sent.sent_at, sent.sent_recorded_at) == (START + 30 * MINUTE, story.now)
