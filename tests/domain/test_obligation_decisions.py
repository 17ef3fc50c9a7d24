"""Decisions on obligations: what they need, what survives a new evaluation, in which order notices go out."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any
from uuid import UUID

import pytest

from domain.obligation_decisions import decide, is_pending, notified, state_of
from domain.obligation_merging import merge
from domain.obligation_plan import in_order
from domain.obligation_rules import load
from domain.obligations import ClientProfile
from domain.record import Obligation
from domain.refusals import Conflict, Invalid
from tests.domain.obligation_cases import (
    CLIENT,
    NOW,
    PERSON,
    RATIONALE,
    a_clause,
    a_file,
    at,
    run,
)


@pytest.fixture
def new_id() -> Callable[[], UUID]:
    ids: Iterator[int] = count(1000)
    return lambda: UUID(int=next(ids))


def rows(new_id: Callable[[], UUID], facts: dict[str, Any], *clients: ClientProfile) -> dict[str, Obligation]:
    merged = merge({}, list(run(facts, *clients).values()), NOW, new_id=new_id)
    return {row.rule_id: row for row in merged.new}


PHI = {"personal_data": True, "phi": True, "individuals_count": 3, "clients_affected": []}
PLAYBOOK = {"OB-S-1", "OB-S-2", "OB-S-3", "OB-S-4"}


def test_what_is_not_triggered_makes_a_row_only_where_it_is_near(new_id: Callable[[], UUID]) -> None:
    stored = rows(new_id, PHI)
    assert set(stored) & PLAYBOOK == {"OB-S-1", "OB-S-2", "OB-S-4"}
    assert stored["OB-S-1"].outcome == "not_triggered"
    assert stored["OB-S-1"].because == ["individuals_count: 3; the rule concerns 500 or more"]
    assert not {rule for rule in stored if rule.startswith(("OB-GDPR", "OB-NIS2"))}


def test_the_same_evaluation_twice_changes_nothing(new_id: Callable[[], UUID]) -> None:
    stored = rows(new_id, PHI)
    assert merge(stored, list(run(PHI).values()), NOW, new_id=new_id) == ([], [], [])


def test_an_undecided_row_follows_the_facts(new_id: Callable[[], UUID]) -> None:
    stored = rows(new_id, {})
    merged = merge(stored, list(run(PHI).values()), NOW, new_id=new_id)
    assert not {row.rule_id for row in merged.new} & PLAYBOOK and merged.reopened == []
    assert {row.rule_id: row.outcome for row in stored.values()} == {
        "OB-S-1": "not_triggered",
        "OB-S-2": "likely",
        "OB-S-3": "not_triggered",
        "OB-S-4": "required",
    }
    assert {row.rule_id for row in merged.changed} == {"OB-S-1", "OB-S-2", "OB-S-3", "OB-S-4"}
    assert stored["OB-S-1"].due_at is None and not is_pending(stored["OB-S-1"])


def test_a_client_no_longer_affected_keeps_its_row(new_id: Callable[[], UUID]) -> None:
    facts = {**PHI, "clients_affected": [str(CLIENT)]}
    stored = rows(new_id, facts, ClientProfile(id=CLIENT, clauses=(a_clause(),)))
    merge(stored, list(run(PHI).values()), NOW, new_id=new_id)
    assert stored["OB-S-3"].outcome == "not_triggered"
    assert stored["OB-S-3"].client_id == CLIENT


def decided(row: Obligation, decision: str = "not_required", **more: Any) -> Obligation:
    said = {"rationale": RATIONALE, "opinion_reference": "OP-7"}
    return decide(row, decision, person_id=PERSON, now=NOW, **{**said, **more})


@pytest.mark.parametrize("decision", ["not_required", "waived_by_counsel"])
def test_a_decision_stands_until_the_outcome_rises(new_id: Callable[[], UUID], decision: str) -> None:
    row = decided(rows(new_id, {})["OB-S-2"], decision)
    stored = {"OB-S-2": row}
    unchanged = [o for o in run({}).values() if o.rule_id == "OB-S-2"]
    assert merge(stored, unchanged, NOW, new_id=new_id) == ([], [], [])

    risen = [o for o in run(PHI).values() if o.rule_id == "OB-S-2"]
    merged = merge(stored, risen, NOW, new_id=new_id)
    assert merged.reopened == [row] and merged.changed == []
    assert (row.decision, row.decided_by, row.rationale) == ("open", None, None)
    assert row.because[-1] == {
        "earlier_decision": decision,
        "rationale": RATIONALE,
        "opinion_reference": "OP-7",
        "decided_by": str(PERSON),
        "decided_at": "2026-03-02T16:00:00.000000Z",
        "outcome": "needs_facts",
        "replaced_at": "2026-03-02T16:00:00.000000Z",
        "reason": "The outcome rose from needs_facts to likely after the decision.",
    }
    assert merge(stored, risen, NOW, new_id=new_id) == ([], [], [])


def test_a_decision_stands_when_the_outcome_falls(new_id: Callable[[], UUID]) -> None:
    row = decided(rows(new_id, PHI)["OB-S-2"])
    before = row.outcome
    fallen = [o for o in run({}).values() if o.rule_id == "OB-S-2"]
    assert merge({"x": row}, fallen, NOW, new_id=new_id) == ([], [], [])
    assert (row.outcome, row.decision) == (before, "not_required")


def test_a_notice_decided_on_follows_the_clock_until_it_is_sent(new_id: Callable[[], UUID]) -> None:
    row = decided(rows(new_id, PHI)["OB-S-2"], "notify")
    row.overdue_announced_at = NOW
    earlier = run(PHI, instants={"discovered_at": at("2026-03-01T15:00")})["OB-S-2"]
    assert merge({"x": row}, [earlier], NOW, new_id=new_id).changed == [row]
    assert (row.due_at, row.decision, row.decided_by) == (at("2026-04-30T15:00"), "notify", PERSON)
    assert row.overdue_announced_at is None  # the new date will be announced in its turn

    sent = notified(row, at("2026-03-05T10:00"), person_id=PERSON, now=NOW)
    later = run(PHI)["OB-S-2"]
    assert merge({"x": sent}, [later], NOW, new_id=new_id) == ([], [], [])


def test_reconsidering_keeps_the_earlier_decision(new_id: Callable[[], UUID]) -> None:
    row = decided(decided(rows(new_id, PHI)["OB-S-2"]), "notify", rationale=None, opinion_reference=None)
    assert (row.decision, row.rationale, row.opinion_reference) == ("notify", None, None)
    assert row.because[-1]["earlier_decision"] == "not_required"


@pytest.mark.parametrize(
    ("decision", "more", "pointer"),
    [
        ("not_required", {"rationale": None}, "/rationale"),
        ("not_required", {"rationale": "   no   "}, "/rationale"),
        ("waived_by_counsel", {"opinion_reference": None}, "/opinion_reference"),
        ("waived_by_counsel", {"opinion_reference": " "}, "/opinion_reference"),
        ("open", {}, "/decision"),
        ("ignored", {}, "/decision"),
    ],
)
def test_a_decision_without_its_reasons_is_refused(
    new_id: Callable[[], UUID], decision: str, more: dict[str, Any], pointer: str
) -> None:
    with pytest.raises(Invalid) as refusal:
        decided(rows(new_id, PHI)["OB-S-2"], decision, **more)
    assert refusal.value.errors[0].pointer == pointer


def test_a_sent_notice_settles_the_decision(new_id: Callable[[], UUID]) -> None:
    sent = notified(decided(rows(new_id, PHI)["OB-S-2"], "notify"), NOW, person_id=PERSON, now=NOW)
    with pytest.raises(Conflict) as refusal:
        decided(sent)
    assert refusal.value.code == "obligation-notified"


def test_the_same_decision_twice_is_a_conflict(new_id: Callable[[], UUID]) -> None:
    with pytest.raises(Conflict):
        decided(decided(rows(new_id, PHI)["OB-S-2"]))


def test_nothing_stands_in_the_way_of_notifying(new_id: Callable[[], UUID]) -> None:
    against = decided(rows(new_id, PHI)["OB-S-2"])
    sent = notified(against, at("2026-03-04T10:00"), person_id=PERSON, now=NOW)
    assert (sent.decision, sent.notified_at) == ("notify", at("2026-03-04T10:00"))
    assert sent.because[-1]["earlier_decision"] == "not_required"
    again = notified(sent, at("2026-03-09T10:00"), person_id=PERSON, now=NOW)
    assert again.notified_at == at("2026-03-04T10:00")


def test_the_state_says_what_is_late(new_id: Callable[[], UUID]) -> None:
    row = rows(new_id, PHI)["OB-S-2"]
    due = at("2026-05-01T15:00")
    late = at("2026-05-01T15:01")
    assert (state_of(row, due), state_of(row, late)) == ("open", "overdue")
    assert state_of(decided(row, "notify"), late) == "overdue"
    assert state_of(decided(row), late) == "not_required"
    assert state_of(notified(decided(row, "notify"), late, person_id=PERSON, now=late), late) == "notified"


def test_notices_go_out_by_date_and_the_authority_first_where_the_law_says_so(new_id: Callable[[], UUID]) -> None:
    made = [
        {"id": "OB-T-IND", "toward": "individuals", "clock": {"event": "discovered_at", "duration": "P10D"}},
        {"id": "OB-T-AG", "order": "before", "order_of": ["OB-T-IND"]},
        {"id": "OB-T-SOON", "clock": {"event": "discovered_at", "duration": "P1D"}},
        {"id": "OB-T-SOME", "clock": {"event": "discovered_at"}},
    ]
    outcomes = list(run({"personal_data": True}, made=made).values())
    stored = merge({}, outcomes, NOW, new_id=new_id).new
    ordered = in_order(stored, load(a_file(*made)).rules)
    assert [row.rule_id for row in ordered] == ["OB-T-SOON", "OB-T-AG", "OB-T-IND", "OB-T-SOME"]
    assert [row.rule_id for row in in_order(stored)] == ["OB-T-SOON", "OB-T-IND", "OB-T-AG", "OB-T-SOME"]
