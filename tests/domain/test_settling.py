"""Settling brings everything that follows from a change into line, once."""

import copy
from typing import Any

import pytest

from domain.changes import Change
from domain.discovery import move_discovery
from domain.refusals import Conflict, Forbidden, GateRefused, Invalid
from domain.settling import settle
from domain.severities import adjust_severity
from domain.timeline import instant_text
from tests.domain import engine
from tests.domain.engine import ADA, BEN, DAN, FAY, HOUR, LIST, MINUTE, START, WHY, Story, declared, ready, reported

PEOPLE_500 = {"data_type": "contact_data", "record_count": 640, "individuals_count": 640, "count_precision": "exact"}


def moments() -> list[Any]:
    """Stories at every stage of an incident."""
    stages: dict[str, Story] = {"reported": reported(), "declared": declared()}
    stages["contained"] = engine.contain(declared(), exposed=True)
    stages["assessed"] = engine.assess(engine.escalate(engine.contain(declared())))
    stages["ready"] = ready()
    grave = declared()
    grave.fact("client_harm", True)
    stages["grave"] = grave
    held = declared()
    held.move(ADA, "hold", reason=WHY, waiting_for="the vendor")
    stages["held"] = held
    closed = ready()
    closed.sign()
    stages["closed"] = closed
    return [pytest.param(story, id=name) for name, story in stages.items()]


@pytest.mark.parametrize("story", moments())
def test_settling_again_changes_nothing_and_says_nothing(story: Story) -> None:
    record = copy.deepcopy(story.record)
    later = Change(record, story.playbook, story.actor(ADA), story.now + HOUR, story.around(), story.new_id)
    later.reconsider = True
    settle(later)
    assert later.events == []
    assert record == story.record


def test_a_fact_that_turns_true_later_reopens_the_completed_step() -> None:
    story = engine.escalate(engine.contain(declared()))
    first = story.step("DL.1").first_result
    assert story.action("DL.1.6").status == "not_applicable"
    story.now = START + 3 * HOUR
    story.fact("credentials_exposed", True)
    step, rotation = story.step("DL.1"), story.action("DL.1.6")
    assert (step.status, step.reopened_by, step.completed_at) == ("blocked", "fact_change", None)
    assert step.first_result == first
    assert first["state"] == "met"
    assert (rotation.requirement, rotation.status) == ("required", "pending")
    assert rotation.due_at == story.now + 15 * MINUTE
    assert story.step("DL.2").status == "completed"
    assert story.step("DL.3").status == "locked"
    assert story.incident.current_step == "DL.1"
    assert {"action.requirement_changed", "step.reopened"} <= {e.kind for e in story.last}


def test_later_steps_keep_their_work_but_cannot_complete_before_the_reopened_one() -> None:
    story = engine.escalate(engine.contain(declared()))
    vendor = {"vendor_retained": "yes", "vendor_trained_on": "no", "vendor_access_known": "unknown"}
    story.act(ADA, "DL.3.5", inputs=vendor)
    story.fact("credentials_exposed", True)
    assert story.action("DL.3.5").status == "done"
    with pytest.raises(GateRefused) as refused:
        story.finish(ADA, "DL.3")
    assert refused.value.gate == "G-ALL-1"
    story.act(BEN, "DL.1.6")
    story.now += HOUR
    again = story.finish(BEN, "DL.1")
    assert again.first_result["completed_at"] == instant_text(START)
    assert story.step("DL.3").status == "in_progress"


def test_requirements_follow_the_facts_in_both_directions() -> None:
    story = declared()
    assert story.action("DL.1.6").status == "pending_fact"
    assert story.action("DL.3.1").status == "pending_fact"
    story.write("D04", {"entries": [LIST]})
    assert story.action("DL.3.1").status == "pending"
    story.fact("credentials_exposed", True)
    assert story.action("DL.1.6").status == "pending"
    story.fact("credentials_exposed", False)
    assert story.action("DL.1.6").status == "not_applicable"
    story.fact("credentials_exposed", "unknown")
    assert story.action("DL.1.6").status == "pending_fact"
    assert story.step("DL.1").status == "blocked"


def test_what_was_done_stays_done_when_it_is_no_longer_required() -> None:
    story = declared()
    story.fact("credentials_exposed", True)
    story.act(BEN, "DL.1.6")
    story.fact("credentials_exposed", False)
    rotation = story.action("DL.1.6")
    assert (rotation.requirement, rotation.status) == ("not_applicable", "done")


def test_reopening_what_is_no_longer_required_opens_nothing() -> None:
    story = engine.contain(declared(), exposed=True)
    story.fact("credentials_exposed", False)
    story.act(BEN, "DL.1.6", "reopen", reason=WHY)
    assert story.action("DL.1.6").status == "not_applicable"
    assert story.step("DL.1").status == "completed"


def test_it_is_contained_and_post_incident_by_itself() -> None:
    story = engine.assess(engine.escalate(engine.contain(declared())))
    assert story.incident.status == "in_progress"
    engine.remedy(story)
    assert (story.incident.status, story.incident.contained_at) == ("contained", START)
    assert story.last[-1].kind == "incident.contained"
    story.act(ADA, "CO.5", inputs={"none": {"reason": WHY}})
    assert story.incident.status == "post_incident"
    story.fact("credentials_exposed", True)
    assert story.incident.status == "in_progress"


def test_a_hold_stops_no_clock_and_no_work() -> None:
    story = declared()
    due = story.incident.next_due_at
    story.move(ADA, "hold", reason=WHY, waiting_for="the vendor")
    assert (story.incident.status, story.incident.next_due_at) == ("on_hold", due)
    assert story.incident.next_alarm_at is not None
    engine.contain(story)
    assert story.step("DL.1").status == "completed"
    assert story.incident.status == "on_hold"
    story.move(ADA, "resume")
    assert story.incident.status == "in_progress"


def test_a_hold_returns_to_where_the_work_has_come_meanwhile() -> None:
    story = engine.assess(engine.escalate(engine.contain(declared())))
    story.move(ADA, "hold", reason=WHY, waiting_for="the vendor")
    engine.remedy(story)
    assert (story.incident.status, story.incident.status_before_hold) == ("on_hold", "contained")
    story.move(ADA, "resume")
    assert (story.incident.status, story.incident.hold) == ("contained", None)


def escalations(story: Story) -> dict[str, Any]:
    found = [n for n in story.record.notifications.values() if n.kind == "escalation"]
    assert len(found) == len({n.audience for n in found})
    return {n.audience: n for n in found}


def test_a_grave_severity_escalates_once() -> None:
    story = declared()
    assert escalations(story) == {}
    story.write("D04", {"entries": [PEOPLE_500]})
    assert story.incident.severity == "SEV2"
    due = {role: n.due_at - story.now for role, n in escalations(story).items()}
    assert due == {
        "risk_owner": HOUR,
        "security_lead": HOUR,
        "legal_counsel": HOUR,
        "executive_leadership": 4 * HOUR,
    }
    story.now += MINUTE
    story.edit(title="Another title")
    story.write("D04", {"entries": [LIST]})
    story.write("D04", {"entries": [PEOPLE_500]})
    assert len(escalations(story)) == 4


def test_sev1_escalates_at_once_and_only_to_whom_it_should() -> None:
    story = declared()
    story.fact("harm", 4)
    assert story.incident.severity == "SEV1"
    assert {role: n.due_at for role, n in escalations(story).items()} == dict.fromkeys(
        ("executive_leadership", "legal_counsel", "security_lead"), START
    )


def test_nothing_escalates_before_the_declaration() -> None:
    story = reported()
    story.fact("client_harm", True)
    assert escalations(story) == {}
    story.move(ADA, "declare", slug="data-leakage")
    assert "executive_leadership" in escalations(story)


def test_harm_to_a_client_reaches_leadership_at_once() -> None:
    story = declared()
    story.fact("client_harm", True)
    told = escalations(story)
    assert told["executive_leadership"].due_at == START
    assert told["legal_counsel"].due_at == START


def test_harm_hastens_an_escalation_that_waits() -> None:
    story = declared()
    story.write("D04", {"entries": [PEOPLE_500]})
    story.now += 10 * MINUTE
    story.fact("client_harm", True)
    assert escalations(story)["executive_leadership"].due_at == story.now
    hastened = story.now
    story.now += 10 * MINUTE
    story.edit(title="Another title")
    assert escalations(story)["executive_leadership"].due_at == hastened


def adjust(story: Story, who: Any, level: str) -> None:
    story.do(who, lambda change: adjust_severity(change, level, WHY))


def test_anybody_entitled_may_raise_and_only_risk_owner_lowers_by_one() -> None:
    story = declared()
    assert story.incident.severity == "SEV3"
    adjust(story, BEN, "SEV1")
    assert story.incident.severity == "SEV1"
    adjust(story, BEN, "SEV3")  # the computed level again
    assert (story.incident.severity, story.incident.severity_adjustment) == ("SEV3", None)
    with pytest.raises(Forbidden):
        adjust(story, BEN, "SEV4")
    adjust(story, ADA, "SEV4")
    assert story.incident.severity == "SEV4"
    assert len(story.exceptions("severity_lowered")) == 1


def test_it_is_lowered_by_one_level_only() -> None:
    story = declared()
    story.fact("client_harm", True)
    assert story.incident.severity == "SEV2"
    with pytest.raises(Invalid):
        adjust(story, ADA, "SEV4")
    assert story.incident.severity == "SEV2"


def test_a_raise_never_holds_down_what_is_computed_later() -> None:
    story = declared(slug="generic-ai-incident", primary_risk="AR-001")
    assert story.incident.severity == "SEV4"
    adjust(story, BEN, "SEV3")
    story.fact("client_harm", True)
    assert story.incident.severity == "SEV2"


def test_a_lowering_never_lifts_what_is_computed_later() -> None:
    story = declared(slug="generic-ai-incident", primary_risk="AR-001")
    story.fact("client_harm", True)
    adjust(story, ADA, "SEV3")
    assert story.incident.severity == "SEV3"
    story.fact("client_harm", False)
    assert story.incident.severity == "SEV4"


def test_duties_run_again_when_the_playbook_is_pinned() -> None:
    story = reported()
    story.write("D04", {"entries": [PEOPLE_500]})
    (counsel,) = [d for d in story.record.obligations.values() if d.clock_event == "assess_due_at"]
    assert counsel.pending_clock
    story.move(ADA, "acknowledge")
    story.move(ADA, "declare", slug="data-leakage")
    counsel = story.record.obligations[str(counsel.id)]
    assert (counsel.pending_clock, counsel.due_at) == (False, story.step("DL.3").due_at)


def test_notice_actions_tick_themselves_and_come_back_when_a_message_fails() -> None:
    story = engine.contain(declared())
    notice = story.draft(BEN, action_id="DL.2.1")
    assert story.action("DL.2.1").status == "pending"
    story.tell(notice, "record_sent")
    assert story.action("DL.2.1").status == "done"
    story.tell(notice, "record_failed", reason=WHY)
    assert story.action("DL.2.1").status == "pending"


def test_an_unread_second_message_keeps_the_action_open() -> None:
    story = engine.contain(declared())
    story.tell(story.draft(BEN, action_id="DL.2.1"), "record_sent")
    story.draft(BEN, action_id="DL.2.1")
    assert story.action("DL.2.1").status == "pending"


def test_a_correction_of_the_discovery_moves_every_deadline_and_keeps_the_old_ones() -> None:
    story = declared()
    before = {step.id: step.due_at for step in story.record.steps.values()}
    with pytest.raises(Forbidden):
        story.do(BEN, lambda change: move_discovery(change, START - HOUR, None, WHY))
    with pytest.raises(Invalid):
        story.do(ADA, lambda change: move_discovery(change, START - HOUR, None, None))
    story.do(ADA, lambda change: move_discovery(change, START - HOUR, None, WHY))
    assert {step.id: step.due_at + HOUR for step in story.record.steps.values()} == before
    kept = {step.earlier_deadlines[0]["due_at"] for step in story.record.steps.values()}
    assert kept == {instant_text(at) for at in before.values()}
    assert len(story.exceptions("discovery_corrected")) == 1
    for occurrence in story.record.occurrences.values():
        if occurrence.purpose == "step":
            assert occurrence.due_at == story.step(str(occurrence.step_id)).due_at


def test_a_settled_member_of_staff_reports_and_declares_what_staff_own() -> None:
    story = reported(by=DAN)
    assert story.incident.status == "reported"
    with pytest.raises(Forbidden):
        story.move(DAN, "declare", slug="data-leakage")  # an existing report is declared by those who triage
    story = Story().report(DAN, engine.playbook())
    assert story.incident.status == "in_progress"
    with pytest.raises(Conflict):
        story.move(FAY, "declare", slug="data-leakage")


@pytest.mark.parametrize(
    "text",
    [
        "2016-12-31T23:59:60Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:00",
        "1999-12-31T23:59:59Z",
        "2026-11-20T02:00:00.000001Z",
        "9999-12-31T23:59:59Z",
    ],
)
def test_an_impossible_discovery_is_refused(text: str) -> None:
    story = reported()
    with pytest.raises(Invalid):
        story.write("D01", {"discovered_at": text})
    assert story.incident.discovered_at == START


def test_a_discovery_reads_in_any_case_and_zone() -> None:
    story = reported()
    story.write("D01", {"discovered_at": "2026-11-20t02:30:00+01:00"})
    assert START - story.incident.discovered_at == 30 * MINUTE


def test_a_client_has_to_be_one_of_ours() -> None:
    story = declared()
    entry = {"kind": "client", "client_id": str(engine.numbered(404)), "name": "Somebody", "count": 3}
    story.write("D05", {"entries": [entry]})
    assert story.record.documents["D05"].state == "partial"
    story.write("D05", {"entries": [entry | {"client_id": str(engine.NORTH.id)}]})
    assert story.record.documents["D05"].state == "complete"
    assert story.incident.client_ids == [engine.NORTH.id]
