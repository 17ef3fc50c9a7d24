"""Signatures: who may give one, when it falls, and the exception for a provider of one (C6, C7, C9, C13)."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from domain.duties import settle_duties
from domain.refusals import Conflict, Forbidden, GateRefused, Invalid
from domain.severities import adjust_severity
from tests.domain import engine
from tests.domain.closing_cases import MANY, PAT, gaps, grave, lone, ready, standing_of
from tests.domain.engine import ADA, BEN, CLEO, DAN, DAY, FAY, HOUR, START, WHY, alone, declared


def test_c6_sev2_takes_another_person_to_sign_second() -> None:
    story = grave()
    assert story.sign(ADA) is False
    assert story.incident.status == "post_incident"
    with pytest.raises((Forbidden, GateRefused)):
        story.sign(ADA)
    with pytest.raises(Forbidden):
        story.sign(FAY)
    assert story.sign(CLEO) is True
    first, second = story.record.signatures.values()
    assert first.record_hash == second.record_hash
    assert (first.role, second.role) == ("risk_owner", "executive_leadership")


def test_c6_a_manual_lowering_does_not_spare_the_second_signature() -> None:
    story = grave()
    story.do(ADA, lambda change: adjust_severity(change, "SEV3", WHY))
    assert story.incident.severity == "SEV3"
    assert story.sign(ADA) is False
    assert story.sign(CLEO) is True


def test_c6_the_highest_level_since_declaration_counts() -> None:
    story = grave()
    story.write("D04", {"entries": [engine.LIST]})
    assert story.incident.severity == "SEV3"
    assert story.sign(ADA) is False


def test_c6_who_holds_both_roles_cannot_sign_twice() -> None:
    story = grave()
    both = engine.person(1, "Ada Moreno", "risk_owner", "executive_leadership")
    assert story.sign(both) is False
    with pytest.raises(GateRefused) as refused:
        story.sign(both)
    assert refused.value.gate == "G-ALL-11"


def test_c7_the_person_concerned_does_not_sign() -> None:
    story = ready()
    story.concern("person", ADA.id, by=FAY, reason=WHY)
    with pytest.raises(GateRefused) as refused:
        story.sign(ADA)
    assert (refused.value.gate, refused.value.missing[0].kind) == ("G-ALL-11", "person")
    assert story.sign(FAY) is True


def test_c7_neither_is_the_second_signer_the_person_concerned() -> None:
    story = grave()
    story.concern("person", CLEO.id, reason=WHY)
    story.sign(ADA)
    with pytest.raises(GateRefused):
        story.sign(CLEO)


def test_c7_the_only_doer_of_the_remediation_does_not_sign_first() -> None:
    story = ready()
    for action in ("DL.4.1", "DL.4.4", "DL.4.5"):
        inputs = {"vendor_answer": "Deleted.", "deletion_confirmed": "yes"} if action == "DL.4.5" else {}
        story.act(BEN, action, "reopen", reason=WHY)
        story.act(ADA, action, inputs=inputs)
    story.finish(ADA, "DL.4")
    story.write("D09", {"entries": [engine.done_by(ADA, BEN)]}, FAY)
    with pytest.raises(GateRefused) as refused:
        story.sign(ADA)
    assert refused.value.gate == "G-ALL-11"
    assert story.sign(FAY) is True


def test_c7_recorder_and_performer_are_both_doers() -> None:
    story = lone()
    story.people |= {p.id: p for p in engine.TEAM}
    with pytest.raises(GateRefused) as refused:
        story.sign(PAT)
    assert refused.value.gate == "G-ALL-11"
    story.act(PAT, "DL.4.1", "reopen", reason=WHY)
    story.act(PAT, "DL.4.1", performed_by=BEN.id)
    story.finish(PAT, "DL.4")
    assert story.sign(PAT) is True


def test_nobody_signs_before_it_is_said_whom_it_concerns() -> None:
    story = engine.contain(declared())
    assert ("fact", "person_concerned") in gaps(story)
    with pytest.raises(Invalid):
        story.concern("unknown")
    story.concern("unknown", note=WHY)
    assert ("fact", "person_concerned") not in gaps(story)


def test_only_a_risk_owner_who_is_not_concerned_changes_whom_it_concerns() -> None:
    story = declared()
    story.concern("person", ADA.id, by=BEN)
    for who in (BEN, ADA):
        with pytest.raises(Forbidden):
            story.concern("none", by=who, reason=WHY)
    with pytest.raises(Invalid):
        story.concern("none", by=FAY)
    story.concern("none", by=FAY, reason=WHY)
    assert story.incident.person_concerned_id is None


def test_c9_reopening_keeps_the_earlier_signature_and_takes_a_new_one() -> None:
    story = ready()
    story.sign()
    with pytest.raises(Forbidden):
        story.move(BEN, "reopen", reason=WHY, action_ids=["DL.4.1"])
    story.move(ADA, "reopen", reason=WHY, action_ids=["DL.4.1"])
    assert (story.incident.status, standing_of(story)) == ("reopened", 0)
    assert ("action", "DL.4.1") in gaps(story)
    story.act(BEN, "DL.4.1")
    story.finish(BEN, "DL.4")
    assert story.sign() is True
    first, second = story.record.signatures.values()
    assert (first.round, second.round) == (1, 2)
    assert first.voided_at is not None


VOIDING: list[Any] = [
    pytest.param(lambda s: s.edit(title="Another title"), id="header"),
    pytest.param(lambda s: s.fact("client_incurred_cost", True), id="fact"),
    pytest.param(lambda s: s.write("D08", engine.CAUSE | {"category": "policy_gap"}), id="document"),
    pytest.param(lambda s: s.attach(None), id="evidence"),
    pytest.param(lambda s: s.draft(ADA), id="notification"),
    pytest.param(lambda s: s.act(BEN, "DL.4.1", "reopen", reason=WHY), id="action"),
]


@pytest.mark.parametrize("apply", VOIDING)
def test_a_content_event_between_two_signatures_voids_the_first(apply: Any) -> None:
    story = grave()
    story.sign(ADA)
    apply(story)
    assert standing_of(story) == 0
    assert "sign_off.voided" in story.kinds()
    assert len(story.record.signatures) == 1


@pytest.mark.parametrize(
    "kind",
    ["gate.refused", "sla.breached", "sla.at_risk", "evidence.read", "sign_off.signed", "delivery.sent", "note.added"],
)
def test_what_is_no_content_voids_nothing(kind: str) -> None:
    story = grave()
    story.sign(ADA)
    story.do(BEN, lambda change: change.emit(kind))
    story.do(BEN, settle_duties)
    assert standing_of(story) == 1
    assert story.sign(CLEO) is True


def test_a_refused_signature_leaves_no_trace_in_the_record() -> None:
    story = ready()
    story.write("D08", {"category": "human_error", "statement": "Somebody was simply in too much of a hurry."})
    before = copy.deepcopy(story.record)
    for who in (BEN, CLEO, DAN):
        with pytest.raises(Forbidden):
            story.sign(who)
    assert story.record == before


def test_without_the_role_nobody_learns_what_is_missing() -> None:
    with pytest.raises(Forbidden):
        declared().sign(DAN)


def test_c13_a_provider_of_one_closes_by_a_recorded_exception_only() -> None:
    story = lone()
    with pytest.raises(GateRefused) as refused:
        story.sign(PAT)
    assert refused.value.gate == "G-ALL-11"
    assert story.sign(PAT, alone()) is True
    (exception,) = story.exceptions("override")
    assert (exception.gate, exception.person_id) == ("G-ALL-11", PAT.id)
    (signature,) = story.record.signatures.values()
    assert signature.override == {"exception_ids": [str(exception.id)]}
    (owed,) = story.record.follow_ups.values()
    assert (owed.outside_reviewer, owed.due_at) == ("Grace of a peer provider", START + 60 * DAY)
    assert "gate.overridden" in story.kinds()


def test_c13_the_person_concerned_included() -> None:
    story = lone()
    story.incident.person_concerned, story.incident.person_concerned_id = "person", PAT.id
    assert story.sign(PAT, alone()) is True


def test_c13_at_sev2_one_person_signs_twice_each_time_by_exception() -> None:
    story = lone(grave=True)
    assert story.sign(PAT, alone()) is False
    with pytest.raises((Forbidden, GateRefused)):
        story.sign(PAT)
    assert story.sign(PAT, alone()) is True
    assert len(story.exceptions("override")) == 3  # the verifier, and two signatures


@pytest.mark.parametrize(
    "given",
    [
        {"reason": "too short"},
        {"outside_reviewer": None},
        {"outside_reviewer": " "},
        {"review_due_at": None},
        {"review_due_at": START},
        {"review_due_at": START + 91 * DAY},
    ],
    ids=["reason", "reviewer", "blank", "date", "past", "late"],
)
def test_c13_needs_a_reason_an_outside_reviewer_and_a_date_within_90_days(given: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        lone().sign(PAT, alone(**given))


def test_c13_is_refused_while_another_eligible_person_is_active() -> None:
    story = lone()
    story.people[FAY.id] = FAY
    with pytest.raises(GateRefused) as refused:
        story.sign(PAT, alone())
    assert refused.value.gate == "G-ALL-11"
    del story.people[FAY.id]
    story.people[BEN.id] = BEN  # active, but not eligible to sign
    assert story.sign(PAT, alone()) is True


def test_c13_is_for_risk_owner_and_never_for_a_waiver() -> None:
    story = declared()
    story.write("D04", {"entries": [MANY]})
    duty = next(d for d in story.record.obligations.values() if d.outcome != "not_triggered")
    del story.people[CLEO.id]
    with pytest.raises(GateRefused):
        story.decide(duty, "waived_by_counsel", ADA, opinion_reference="Opinion 7", overrides=[alone()])


def test_nothing_is_signed_on_hold() -> None:
    story = ready()
    story.move(ADA, "hold", reason=WHY, waiting_for="the vendor")
    with pytest.raises(Conflict):
        story.sign()
    story.now += HOUR
    story.move(ADA, "resume")
    assert story.sign() is True
