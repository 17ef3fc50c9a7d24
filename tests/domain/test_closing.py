"""Closing: what has to be complete before anybody signs (C1-C5, C8, C9, C11)."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from domain.closing import closing_gaps
from domain.doings import Claim
from domain.follow_ups import FollowUpEdit, NewFollowUp, add_follow_up, edit_follow_up
from domain.gating import View
from domain.links import add_link
from domain.notes import add_note
from domain.refusals import Conflict, Forbidden, GateRefused, Invalid
from domain.steps import judge_step
from tests.domain import engine
from tests.domain.closing_cases import MANY, gaps, gaps_of, ready, standing_of
from tests.domain.engine import ADA, BEN, CLEO, DAY, FAY, START, WHY, Story, declared, numbered


def test_a_complete_record_closes_with_all_that_commits_together() -> None:
    story = ready()
    head = f"{len(story.events):064x}"
    assert story.sign() is True
    assert story.incident.status == "closed"
    assert {story.action(a).status for a in ("CO.7", "DL.5.4")} == {"done"}
    assert story.step("DL.5").status == "completed"
    assert story.record.documents["D11"].state == "complete"
    (signature,) = story.record.signatures.values()
    assert (signature.person_id, signature.role, signature.record_hash) == (ADA.id, "risk_owner", head)
    assert story.last[0].kind == "sign_off.signed"
    assert story.last[-1].kind == "incident.closed"
    assert all(o.met_at for o in story.record.occurrences.values())
    assert (story.incident.next_due_at, story.incident.next_alarm_at, story.incident.current_step) == (None,) * 3


def test_c1_an_open_step_refuses() -> None:
    story = ready()
    story.act(BEN, "DL.4.1", "reopen", reason=WHY)
    assert {("action", "DL.4"), ("action", "DL.4.1")} <= gaps(story)
    story.act(BEN, "DL.4.1")
    story.finish(BEN, "DL.4")
    assert story.sign()


def test_c1_a_step_skipped_by_override_suffices() -> None:
    story = engine.contain(declared())
    story.tell(story.draft(ADA), "record_sent", ADA)
    story.finish(ADA, "DL.2", "skip", reason=WHY)
    engine.assess(story)
    engine.remedy(story)
    engine.review(story)
    assert {story.action(a).status for a in ("DL.2.2", "DL.2.3")} == {"skipped"}
    assert story.sign()
    assert len(story.exceptions("skip")) == 1


def test_c1_the_last_step_is_completed_by_nothing_but_the_signature() -> None:
    story = ready()
    assert story.playbook is not None
    with pytest.raises(GateRefused) as refused:
        story.finish(ADA, "DL.5")
    assert refused.value.gate == "G-ALL-2"
    change: Any = story.do(ADA, lambda change: change)
    assert judge_step(View(change), story.playbook.last_step, "complete").permit == "gate"


@pytest.mark.parametrize(
    ("item", "value", "whole"),
    [
        ("D03", {"entries": [{"identification": "unknown", "reason": "short"}]}, {"entries": [engine.TOOL]}),
        ("D04", {"entries": [{"data_type": "contact_data"}]}, {"entries": [engine.LIST]}),
        ("D05", {"entries": [{"kind": "client", "name": "Somebody"}]}, engine.NOBODY),
        ("D08", {"category": "human_error", "statement": "Somebody was simply in too much of a hurry."}, None),
        ("D09", {"entries": [{"description": "Deleted."}]}, {"entries": [engine.done_by(BEN, ADA)]}),
    ],
)
def test_c2_an_incomplete_item_refuses(item: str, value: dict[str, Any], whole: dict[str, Any] | None) -> None:
    story = ready()
    story.write(item, value)
    if whole is None:
        assert story.sign()
        return
    assert {ref for _, ref in gaps(story)} >= {item}
    story.write(item, whole)
    assert story.sign()


def test_c2_an_unknown_count_is_accepted_by_risk_owner_alone() -> None:
    story = ready()
    vague = {"entries": [{"data_type": "contact_data", "count_precision": "unknown"}]}
    story.write("D04", vague)
    settle_all(story)
    assert ("document", "D04") in gaps(story)
    accepted = {**vague, "unknown_accepted": {"reason": WHY}}
    with pytest.raises(Forbidden):
        story.write("D04", accepted, BEN)
    story.write("D04", accepted)
    settle_all(story)
    assert ("document", "D04") not in {(m.kind, m.ref) for m in story.do(ADA, closing_gaps)}


def settle_all(story: Story) -> None:
    """Decide what another count raised, so that only the rule under test speaks."""
    engine.settle_duties(story)


def test_c2_a_risk_that_was_not_revised_refuses() -> None:
    story = engine.contain(declared())
    assert ("document", "D10") in gaps(story)


def test_c3_evidence_or_an_approved_reason() -> None:
    story = declared()
    story.act(BEN, "DL.1.2", "unavailable", reason=WHY)
    assert ("evidence", "DL.1.2") in gaps(story)
    with pytest.raises(Forbidden):
        story.act(CLEO, "DL.1.2", "approve")
    story.act(ADA, "DL.1.2", "approve")
    assert ("evidence", "DL.1.2") not in gaps(story)
    story.act(ADA, "DL.1.2", "reopen", reason=WHY)
    with pytest.raises(GateRefused) as refused:
        story.act(ADA, "DL.1.2", "skip", reason=WHY)
    assert refused.value.gate == "G-ALL-3"


def test_c3_who_says_that_it_is_unavailable_does_not_approve_it() -> None:
    story = declared()
    story.act(ADA, "DL.1.2", "unavailable", reason=WHY)
    with pytest.raises(GateRefused) as refused:
        story.act(ADA, "DL.1.2", "approve")
    assert refused.value.gate == "G-ALL-11"
    story.act(FAY, "DL.1.2", "approve")


def test_c4_an_open_obligation_refuses_until_it_is_decided() -> None:
    story = ready()
    story.write("D04", {"entries": [MANY]})
    duties = [d for d in story.record.obligations.values() if d.outcome != "not_triggered" and d.decision == "open"]
    assert duties
    assert {("obligation", str(d.id)) for d in duties} <= gaps(story)
    for duty in duties:
        with pytest.raises(Forbidden):
            story.decide(duty, "waived_by_counsel", ADA, opinion_reference="Opinion 7")
        story.decide(duty, "waived_by_counsel", CLEO, opinion_reference="Opinion 7")
    assert not {kind for kind, _ in gaps_of(story)} & {"obligation"}


def test_c4_a_duty_that_falls_due_later_may_be_carried() -> None:
    story = ready()
    story.write("D04", {"entries": [MANY]})
    duty = next(d for d in story.record.obligations.values() if d.toward == "regulator" and d.decision == "open")
    due = story.step("DL.5").due_at + 10 * DAY

    def falls_due(change: Any) -> None:
        change.record.obligations[str(duty.id)].due_at = due

    story.do(ADA, falls_due)
    story.decide(duty, "notify", carry_owner_id=BEN.id)
    engine.settle_duties(story)
    (owed,) = [f for f in story.record.follow_ups.values() if f.obligation_id == duty.id]
    assert (owed.owner_id, owed.due_at) == (BEN.id, due)
    assert story.action("DL.4.2").requirement == "not_applicable"
    left = {(kind, ref) for kind, ref in gaps_of(story) if kind in ("obligation", "action") and ref != "DL.3"}
    assert not {ref for _, ref in left} & {str(duty.id), "DL.4.2"}


def test_c4_a_duty_that_falls_due_before_the_end_is_not_carried() -> None:
    story = ready()
    story.write("D04", {"entries": [MANY]})
    duty = next(d for d in story.record.obligations.values() if d.clock_event == "assess_due_at")
    with pytest.raises(Invalid):
        story.decide(duty, "notify", carry_owner_id=BEN.id)


def test_c5_the_five_targets_are_answered() -> None:
    story = ready()
    value = copy.deepcopy(story.record.documents["D12"].value)
    del value["improvements"]["training"]
    story.write("D12", value)
    assert gaps(story) == {("document", "D12")}


def test_c8_follow_ups_outlive_the_closing() -> None:
    story = ready()
    wanted = NewFollowUp(title="Train the team", owner_id=BEN.id, due_at=START + 30 * DAY)
    made = story.do(ADA, lambda change: add_follow_up(change, wanted))
    story.sign()
    story.do(BEN, lambda change: edit_follow_up(change, str(made.id), FollowUpEdit(transition="finish")))
    assert story.record.follow_ups[str(made.id)].status == "done"
    assert story.incident.status == "closed"


def test_c9_a_closed_record_only_takes_amendments() -> None:
    story = ready()
    story.sign()
    refused: list[Any] = [
        lambda: story.edit(title="Another"),
        lambda: story.write("D08", engine.CAUSE),
        lambda: story.act(BEN, "DL.1.1", "reopen", reason=WHY),
        lambda: story.attach(),
        lambda: story.draft(ADA),
        lambda: story.sign(FAY),
    ]
    for apply in refused:
        with pytest.raises(Conflict):
            apply()
    with pytest.raises(Invalid):
        story.do(ADA, lambda change: add_note(change, "A correction.", Claim()))
    story.do(ADA, lambda change: add_note(change, "A correction.", Claim(reason=WHY)))
    assert story.last[0].kind == "incident.amended"
    assert standing_of(story) == 1


def test_c11_a_parent_waits_for_its_children() -> None:
    story = ready()
    story.do(ADA, lambda change: add_link(change, numbered(77), "child", None))
    story.children_open = 1
    assert gaps(story) == {("approval", "links")}
    story.children_open = 0
    assert story.sign() is True
