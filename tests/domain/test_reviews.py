"""A correction is drafted, approved seat by seat, and sent; what the playbook asks for follows the text."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from domain.notifications import Message, edit_notification
from domain.playbooks import suggest
from domain.record import UNOFFERED, Notification
from domain.refusals import Conflict, Forbidden, GateRefused, Invalid
from tests.domain import engine
from tests.domain.engine import ADA, BEN, CLEO, EVE, FAY, NORTH, WHY, Story, alone, declared, numbered, person

GIL = person(7, "Gil Hart", "account_owner", email="gil@msp.example", manager_id=numbered(5))
MAY = person(8, "May Ito", "communications", email="may@msp.example")
SAL = person(9, "Sal Reyes", "risk_owner", "account_owner", "communications", email="sal@msp.example")
STAFF = (*engine.TEAM, GIL, MAY)
NO_DATA = {"none": True, "reason": "The text holds no protected data, only advice on a firewall rule."}
SOURCES = [{"title": "Vendor's manual, chapter 4", "kind": "vendor_documentation"}]


def gate_of(apply: Callable[[], Any]) -> str | None:
    with pytest.raises(GateRefused) as refused:
        apply()
    return refused.value.gate


def identify(story: Story, who: Any = GIL, *, acted: Any = False, cost: Any = False, **more: Any) -> Story:
    """BO.1, complete; the actions of the variant too where it has them."""
    variant = "MI.1.1" in story.record.actions
    inputs = {"affected_data": NO_DATA, "incorrect_content": "Port 3389 may be open to all."}
    story.act(who, "BO.1.1", evidence_ids=[story.attach("BO.1.1", who).id], inputs=inputs)
    said = {"rationale": "Asked them.", "client_acted_on_output": acted, "client_incurred_cost": cost, **more}
    story.act(who, "BO.1.2", outcome="may_be_relied_upon", inputs=said)
    story.act(who, "BO.1.3")
    received = {"impacted_parties": engine.NOBODY, "sent_at": "2026-11-19T16:00:00Z", "recipients": ["North Dental"]}
    story.act(who, "BO.1.4", inputs=received)
    story.act(who, "BO.1.5", inputs={"ai_systems": {"entries": [engine.TOOL]}})
    if variant:
        story.act(who, "MI.1.1")
        story.act(
            who, "MI.1.2", evidence_ids=[story.attach("MI.1.2", who).id], inputs={"address": "blog", "reach": "9"}
        )
        channels = [{"channel": "blog", "audience": "everybody", "count": 900}]
        story.act(who, "MI.1.3", inputs={"channels": channels, "regulated_statement": False})
    story.finish(who, "BO.1")
    return story


def verify(story: Story, who: Any = GIL) -> Story:
    """BO.2.1 and BO.2.2."""
    story.tell(story.draft(who, action_id="BO.2.1"), "record_sent", who)
    story.act(who, "BO.2.2", inputs={"sources": SOURCES, "verified_facts": "Port 3389 has to be closed."})
    return story


def correction(story: Story, who: Any = GIL, action_id: str = "BO.3.1", **said: Any) -> Notification:
    story.edit(ADA, client_ids=[NORTH.id])
    told = {"kind": "correction", "client_id": NORTH.id, "audience": "North Dental", "subject": "A correction"}
    return story.draft(who, action_id=action_id, **told, **said)


def edit(story: Story, made: Notification, who: Any = GIL, **said: Any) -> Notification:
    story.do(who, lambda change: edit_notification(change, str(made.id), Message(**said)))
    return story.record.notifications[str(made.id)]


def faulty(*people: Any, slug: str = "bad-output") -> Story:
    return verify(identify(declared(*(people or STAFF), by=GIL, slug=slug)))


def test_the_draft_and_its_approval_fulfil_the_actions_of_the_playbook() -> None:
    story = faulty()
    assert story.action("BO.2.3").status == "pending"
    made = correction(story)
    assert (story.action("BO.2.3").status, story.action("BO.2.4").status) == ("done", "pending")
    story.tell(made, "submit", GIL)
    assert story.action("BO.2.4").outcome is None
    approved = story.tell(made, "approve", EVE)
    assert (approved.status, approved.approved_by) == ("approved", EVE.id)
    review = story.action("BO.2.4")
    assert (review.status, review.outcome) == ("done", "approved")
    assert [(a["role"], a["person_id"]) for a in review.approvals] == [("manager", str(EVE.id))]
    story.finish(GIL, "BO.2")
    assert story.tell(made, "record_sent", GIL).status == "sent"
    assert story.action("BO.3.1").status == "done"


def test_they_are_done_by_the_text_and_by_nothing_else() -> None:
    story = faulty()
    for action_id in ("BO.2.3", "BO.2.4"):
        assert story.action(action_id).allowed == UNOFFERED
        for transition in ("complete", "approve", "skip"):
            with pytest.raises((Conflict, Forbidden)):
                story.act(ADA, action_id, transition, outcome="approved", reason=WHY)


def test_g_bo_1_and_g_bo_2_hold_the_correction() -> None:
    story = faulty()
    made = correction(story)
    assert gate_of(lambda: story.tell(made, "record_sent", GIL)) == "G-BO-1"
    story.tell(made, "submit", GIL)
    assert gate_of(lambda: story.tell(made, "record_sent", GIL)) == "G-BO-1"
    story.tell(made, "approve", EVE)
    assert gate_of(lambda: story.tell(made, "record_sent", GIL)) == "G-BO-2"
    story.finish(GIL, "BO.2")
    story.tell(made, "record_sent", GIL)


def test_a_correction_passes_under_no_other_name() -> None:
    story = faulty()
    for kind in ("client_notice", "vendor", "regulator"):
        with pytest.raises(Invalid):
            story.draft(GIL, kind=kind, action_id="BO.3.1")


def test_an_edit_reopens_the_review_and_its_step() -> None:
    story = faulty()
    made = correction(story)
    story.tell(made, "submit", GIL)
    story.tell(made, "approve", EVE)
    story.finish(GIL, "BO.2")
    edited = edit(story, made, body="Another text.")
    assert (edited.status, edited.approvals, edited.approved_by) == ("draft", [], None)
    review = story.action("BO.2.4")
    assert (review.status, review.outcome, review.approvals) == ("pending", None, [])
    assert story.action("BO.2.3").status == "done"
    assert story.step("BO.2").status == "in_progress"
    assert gate_of(lambda: story.tell(made, "record_sent", GIL)) == "G-BO-1"


def test_a_reviewer_asks_for_changes_and_the_next_version_is_judged_anew() -> None:
    story = faulty()
    made = correction(story)
    story.tell(made, "submit", GIL)
    story.tell(made, "request_changes", EVE, reason=WHY)
    review = story.action("BO.2.4")
    assert (review.status, review.outcome, review.approvals[0]["note"]) == ("pending", "changes_requested", WHY)
    edit(story, made, body="A better text.")
    assert story.action("BO.2.4").outcome is None
    story.tell(made, "submit", GIL)
    story.tell(made, "approve", EVE)
    assert story.action("BO.2.4").outcome == "approved"


def test_the_recorded_manager_approves_and_nobody_else() -> None:
    story = faulty()
    made = correction(story)
    story.tell(made, "submit", GIL)
    for other in (ADA, FAY, CLEO, BEN):
        with pytest.raises(Forbidden):
            story.tell(made, "approve", other)
    with pytest.raises(Forbidden):
        story.tell(made, "approve", GIL)
    story.tell(made, "approve", EVE)


def test_without_a_manager_any_account_owner_or_risk_owner_does_but_never_the_author() -> None:
    for approver in (ADA, FAY, GIL):
        story = faulty()
        made = correction(story, EVE)
        story.tell(made, "submit", EVE)
        assert gate_of(lambda story=story, made=made: story.tell(made, "approve", EVE)) == "G-ALL-11"  # type: ignore[misc]
        with pytest.raises(Forbidden):
            story.tell(made, "approve", CLEO)
        assert story.tell(made, "approve", approver).status == "approved"


def test_a_manager_who_wrote_at_the_text_gives_way_to_the_others() -> None:
    story = faulty()
    made = correction(story)
    edit(story, made, EVE, body="The manager's own words.")
    story.tell(made, "submit", GIL)
    assert gate_of(lambda: story.tell(made, "approve", EVE)) == "G-ALL-11"
    assert story.tell(made, "approve", ADA).status == "approved"


def test_g_all_11_a_provider_of_one_approves_alone_under_c13_only() -> None:
    story = verify(identify(declared(SAL, by=SAL, slug="bad-output"), SAL), SAL)
    made = engine_correction(story)
    assert gate_of(lambda: story.tell(made, "approve", SAL)) == "G-ALL-11"
    assert story.tell(made, "approve", SAL, overrides=[alone()]).status == "approved"
    assert [e.gate for e in story.exceptions("override")] == ["G-ALL-11"]
    together = faulty()
    made = correction(together, ADA)
    together.tell(made, "submit", ADA)
    assert gate_of(lambda: together.tell(made, "approve", ADA, overrides=[alone()])) == "G-ALL-11"


def test_g_all_11_a_seat_that_nobody_could_take_is_taken_alone_under_c13_too() -> None:
    rae = person(10, "Rae Holm", "risk_owner", "account_owner", email="rae@msp.example")
    story = verify(identify(declared(rae, by=rae, slug="ai-misinformation"), rae), rae)
    made = story.draft(rae, kind="correction", action_id="BO.3.1")
    story.tell(made, "submit", rae)
    with pytest.raises(Forbidden):
        story.tell(story.tell(made, "approve", rae, overrides=[alone()]), "approve", rae)
    assert story.tell(made, "approve", rae, overrides=[alone()]).status == "approved"
    assert {a["role"] for a in story.action("MI.2.1").approvals} == {"communications"}
    assert len(story.exceptions("override")) == 2


def engine_correction(story: Story) -> Notification:
    story.edit(SAL, client_ids=[NORTH.id])
    made = story.draft(SAL, kind="correction", client_id=NORTH.id, action_id="BO.3.1")
    return story.tell(made, "submit", SAL)


def test_g_bo_4_an_ai_answer_is_no_source() -> None:
    story = identify(declared(*STAFF, by=GIL, slug="bad-output"))
    asked = {"sources": [*SOURCES, {"title": "What the chatbot said", "kind": "ai_output"}], "verified_facts": "No."}
    assert gate_of(lambda: story.act(GIL, "BO.2.2", inputs=asked)) == "G-BO-4"
    assert story.action("BO.2.2").status == "pending"


def test_g_bo_3_harm_to_a_client_goes_to_leadership_at_once() -> None:
    story = identify(declared(*STAFF, by=GIL, slug="bad-output"), acted=True, cost=True, client_harm=True)
    told = {n.audience: n for n in story.record.notifications.values() if n.kind == "escalation"}
    assert told["executive_leadership"].due_at == story.now
    assert "legal_counsel" in told


@pytest.mark.parametrize(
    ("acted", "cost", "expected"),
    [(False, False, "not_applicable"), (True, "unknown", "required"), ("unknown", False, "pending_fact")],
)
def test_bo_3_2_is_asked_when_a_client_acted_or_paid(acted: Any, cost: Any, expected: str) -> None:
    story = identify(declared(*STAFF, by=GIL, slug="bad-output"), acted=acted, cost=cost)
    assert story.action("BO.3.2").requirement == expected


def test_g_all_6_harm_escalates_in_every_playbook() -> None:
    story = declared()
    story.fact("client_harm", True)
    told = {n.audience: n.due_at for n in story.record.notifications.values() if n.kind == "escalation"}
    assert (told["executive_leadership"], "legal_counsel" in told) == (story.now, True)


def test_a_second_correction_is_reviewed_too() -> None:
    story = faulty()
    made = correction(story)
    story.tell(made, "submit", GIL)
    story.tell(made, "approve", EVE)
    story.finish(GIL, "BO.2")
    story.tell(made, "record_sent", GIL)
    second = correction(story)
    assert story.action("BO.2.4").status == "pending"
    assert gate_of(lambda: story.tell(second, "record_sent", GIL)) == "G-BO-1"
    assert story.tell(second, "not_required", ADA, reason=WHY).status == "not_required"
    assert story.action("BO.2.4").outcome == "approved"


def published(*people: Any) -> tuple[Story, Notification]:
    story = faulty(*people, slug="ai-misinformation")
    made = correction(story)
    story.tell(made, "submit", GIL)
    return story, made


def test_g_mi_1_two_people_approve_a_public_correction() -> None:
    story, made = published()
    half = story.tell(made, "approve", EVE)
    assert (half.status, half.approved_by) == ("in_review", None)
    assert (story.action("BO.2.4").outcome, story.action("MI.2.1").outcome) == ("approved", None)
    assert gate_of(lambda: story.tell(made, "record_sent", GIL)) == "G-MI-1"
    with pytest.raises(Forbidden):
        story.tell(made, "approve", EVE)
    whole = story.tell(made, "approve", MAY)
    assert (whole.status, whole.approved_by) == ("approved", MAY.id)
    assert story.action("MI.2.1").approvals[0]["role"] == "communications"
    assert gate_of(lambda: story.tell(made, "record_sent", GIL)) == "G-BO-2"
    story.finish(GIL, "BO.2")
    story.tell(made, "record_sent", GIL)


def test_stopping_the_distribution_waits_for_nothing() -> None:
    story = declared(*STAFF, by=GIL, slug="ai-misinformation")
    assert story.act(GIL, "MI.1.1").status == "done"


@pytest.mark.parametrize(("regulated", "waits"), [(True, True), ("unknown", True), (False, False)])
def test_counsel_approves_what_a_regulation_governs(regulated: Any, waits: bool) -> None:
    story, made = published()
    story.tell(made, "approve", EVE)
    story.fact("regulated_statement", regulated)
    story.tell(made, "approve", MAY)
    assert (story.action("MI.2.1").outcome is None) is waits
    if waits:
        assert story.tell(made, "approve", CLEO).status == "approved"
        assert [a["role"] for a in story.action("MI.2.1").approvals] == ["communications", "legal_counsel"]


def test_a_fact_that_adds_a_seat_takes_the_approval_back_and_one_that_removes_it_gives_it() -> None:
    story, made = published()
    story.tell(made, "approve", EVE)
    story.tell(made, "approve", MAY)
    story.finish(GIL, "BO.2")
    story.fact("regulated_statement", True)
    assert story.record.notifications[str(made.id)].status == "in_review"
    assert story.step("BO.2").status == "in_progress"
    assert gate_of(lambda: story.tell(made, "record_sent", GIL)) == "G-MI-1"
    story.fact("regulated_statement", False)
    assert story.record.notifications[str(made.id)].status == "approved"
    assert story.action("MI.2.1").outcome == "approved"


def test_one_person_takes_one_seat_the_one_that_fewest_could_take() -> None:
    story, made = published(*STAFF, SAL)
    edit(story, made, EVE, body="The manager wrote at it, so that others review it.")
    story.tell(made, "submit", GIL)
    story.tell(made, "approve", SAL)
    assert [a["role"] for a in story.record.notifications[str(made.id)].approvals] == ["communications"]
    assert gate_of(lambda: story.tell(made, "approve", SAL)) == "G-ALL-11"
    story.tell(made, "approve", ADA)
    assert story.action("BO.2.4").outcome == "approved"


def test_a_known_fact_adds_a_role_to_the_step() -> None:
    story = identify(declared(*STAFF, by=GIL, slug="ai-misinformation"))
    with pytest.raises(Forbidden):
        story.act(CLEO, "BO.2.2", inputs={"sources": SOURCES, "verified_facts": "Closed."})
    story.fact("regulated_statement", True)
    assert story.step("BO.2").added_roles == ["legal_counsel"]
    assert story.act(CLEO, "BO.2.2", inputs={"sources": SOURCES, "verified_facts": "Closed."}).status == "done"


@pytest.mark.parametrize(
    ("later", "due"),
    [
        (timedelta(0), "2026-11-20T17:00:00"),  # Friday before opening: the close of that day
        (timedelta(hours=15), "2026-11-20T17:00:00"),  # at the close itself
        (timedelta(hours=15, seconds=1), "2026-11-23T17:00:00"),  # after it: Monday's
        (timedelta(days=1), "2026-11-23T17:00:00"),  # Saturday
    ],
)
def test_the_correction_is_due_at_the_close_of_the_business_day(later: timedelta, due: str) -> None:
    story = Story(*STAFF)
    story.now += later
    story.report(GIL, engine.playbook("bad-output"))
    run = story.step("BO.3")
    assert (run.due_at.isoformat()[:19], run.breach_at, run.clock_started_at) == (due, run.due_at, story.now)
    assert story.step("BO.4").due_at == story.now + timedelta(days=7)


def reclassified(story: Story, slug: str) -> set[str]:
    """Ids of the actions that stayed done."""
    story.move(ADA, "reclassify", slug=slug, reason=WHY, primary_risk="AR-003")
    return {run.id for run in story.record.actions.values() if run.status == "done"}


def test_reclassifying_to_the_variant_keeps_the_work_and_asks_for_the_second_approval() -> None:
    story = faulty()
    made = correction(story)
    story.tell(made, "submit", GIL)
    story.tell(made, "approve", EVE)
    before = {run.id for run in story.record.actions.values() if run.status == "done"}
    assert reclassified(story, "ai-misinformation") == before
    assert story.record.notifications[str(made.id)].status == "in_review"
    assert (story.action("BO.2.4").outcome, story.action("MI.2.1").status) == ("approved", "pending")
    story.fact("regulated_statement", False)
    story.tell(made, "approve", MAY)
    assert reclassified(story, "bad-output") == before
    assert story.record.notifications[str(made.id)].status == "approved"


@pytest.mark.parametrize("slug", ["data-leakage", "generic-ai-incident"])
def test_reclassifying_to_another_playbook_keeps_what_both_have_and_finds_the_rest_on_the_way_back(slug: str) -> None:
    story = faulty()
    correction(story)
    mine, other = story.playbook, engine.playbook(slug)
    assert mine is not None
    before = {run.id for run in story.record.actions.values() if run.status == "done"}
    roots = {action.same_as or action.id for action in mine.actions.values() if action.id in before}
    shared = {a.id for a in other.actions.values() if a.id in before or (a.same_as or a.id) in roots}
    assert reclassified(story, slug) == shared
    assert story.record.documents["D04"].value == NO_DATA
    assert all(occurrence.voided_at for occurrence in story.record.occurrences.values() if occurrence.step_id == "BO.3")
    assert reclassified(story, "bad-output") >= {"BO.2.3"} | shared


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("Wrong firewall advice mailed to a client", "bad-output"),
        ("Hallucinated citation in a client report", "bad-output"),
        ("Newsletter with invented figures published", "ai-misinformation"),
        ("AI misinformation on our website", "ai-misinformation"),
    ],
)
def test_a_report_of_faulty_output_suggests_its_playbook(title: str, slug: str) -> None:
    assert suggest({"title": title}).slug == slug
