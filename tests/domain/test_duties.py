"""Obligations of a living incident: clocks set by people and by notices, delays, and rules that change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from msgspec import structs

from domain.changes import Change, TenantSettings
from domain.duties import delay_duty, resume_duty
from domain.obligation_decisions import decide, is_pending
from domain.obligation_delays import DelayRequest, delayed, under_delay
from domain.obligation_merging import merge
from domain.obligations import ClientProfile
from domain.record import Obligation
from domain.refusals import Conflict, Invalid, NotFound
from tests.domain.engine import ADA, BEN, CLEO, DAY, HOUR, LIST, NORTH, START, Story, contain, declared, playbook
from tests.domain.obligation_cases import NOW, PERSON, RATIONALE, at, run


def of_entity(*sectors: str, **facts: Any) -> Story:
    """A declared incident of an organisation with these sectors."""
    story = Story()
    story.settings = TenantSettings(organisation={"sectors": list(sectors)})
    story.report(BEN, playbook())
    story.edit(ADA, facts=facts)
    return story


def duty(story: Story, rule: str) -> Obligation:
    return next(row for row in story.record.obligations.values() if row.rule_id == rule)


def outcomes(story: Story) -> dict[str, str]:
    return {row.rule_id: row.outcome for row in story.record.obligations.values()}


def test_opening_asks_the_first_questions_alone() -> None:
    assert set(outcomes(of_entity())) == {"OB-S-1", "OB-S-2", "OB-S-3", "OB-S-4"}


def test_an_answer_settles_all_that_waited_for_it() -> None:
    story = of_entity("nis2_entity")
    waiting = {rule for rule, outcome in outcomes(story).items() if rule.startswith("OB-NIS2")}
    assert waiting == {"OB-NIS2-24", "OB-NIS2-72", "OB-NIS2-1M", "OB-NIS2-RECIP"}
    story.fact("significant_incident", False)
    assert {outcomes(story)[rule] for rule in waiting} == {"not_triggered"}


def test_a_clock_that_a_person_sets_moves_the_dates() -> None:
    story = of_entity("nis2_entity", significant_incident=True)
    assert (duty(story, "OB-NIS2-24").due_at, duty(story, "OB-NIS2-24").pending_clock) == (START + 24 * HOUR, True)
    story.now += 3 * HOUR
    story.fact("aware_at", (START + 2 * HOUR).isoformat())
    assert (duty(story, "OB-NIS2-24").due_at, duty(story, "OB-NIS2-24").pending_clock) == (START + 26 * HOUR, False)
    assert story.incident.facts["aware_at"]["set_by"] == str(ADA.id)
    story.fact("aware_at", "unknown")
    assert duty(story, "OB-NIS2-24").pending_clock


def test_a_clock_does_not_start_in_the_future() -> None:
    with pytest.raises(Invalid, match="future"):
        of_entity("nis2_entity", aware_at=(START + HOUR).isoformat())


def sent(story: Story, rule: str, when: datetime | None) -> None:
    """The notice of a rule went out at an instant; with None it turned out that it never arrived."""

    def apply(change: Change) -> None:
        row = duty(story, rule)
        at = {"notified_at": when, "decision": "notify"}
        change.record.obligations[str(row.id)] = structs.replace(row, **at)

    story.do(ADA, apply)


def test_a_notice_that_was_sent_starts_the_clock_of_the_next_report() -> None:
    story = of_entity("dora_financial_entity", major_ict_incident=True)
    assert duty(story, "OB-DORA-INT").pending_clock
    story.now += HOUR
    sent(story, "OB-DORA-INIT", story.now)
    following = duty(story, "OB-DORA-INT")
    assert (following.due_at, following.pending_clock) == (story.now + 72 * HOUR, False)
    assert following.clock_started_at == story.now
    assert duty(story, "OB-DORA-FIN").pending_clock
    sent(story, "OB-DORA-INIT", None)
    assert duty(story, "OB-DORA-INT").pending_clock


def test_a_contract_counts_otherwise_in_the_severity_than_a_law_toward_the_client() -> None:
    story = declared()
    profile = ClientProfile(id=NORTH.id, gdpr_role="processor", jurisdictions=("DE",))
    story.clients[NORTH.id] = profile
    story.edit(ADA, client_ids=[NORTH.id])
    contain(story, data={**LIST, "encrypted": False})
    assert outcomes(story)["OB-GDPR-PROC"] == "required"
    assert "F10" not in story.incident.severity_basis["floors"]


def test_law_enforcement_suspends_a_date_and_a_lifted_delay_brings_it_back() -> None:
    story = of_entity("nis2_entity", significant_incident=True)
    row = duty(story, "OB-NIS2-72")
    original = row.due_at
    asked = DelayRequest(requested_by="Federal police", reference="FP-7")
    story.do(CLEO, lambda change: delay_duty(change, str(row.id), asked))
    held = duty(story, "OB-NIS2-72")
    assert (held.due_at, held.original_due_at) == (None, original)
    assert held.delay["recorded_by"] == str(CLEO.id)
    story.now = START + 5 * DAY
    story.do(CLEO, lambda change: resume_duty(change, str(row.id)))
    assert duty(story, "OB-NIS2-72").due_at == story.now  # its own date has passed meanwhile
    with pytest.raises(Conflict):
        story.do(CLEO, lambda change: resume_duty(change, str(row.id)))
    with pytest.raises(NotFound):
        story.do(CLEO, lambda change: delay_duty(change, str(UUID(int=1)), asked))


@pytest.mark.parametrize(
    ("delay", "due"),
    [
        (None, "2026-03-04T10:00"),
        ({}, None),
        ({"until": "2026-03-10T10:00:00+00:00"}, "2026-03-10T10:00"),
        ({"until": "2026-03-03T10:00:00+00:00"}, "2026-03-04T10:00"),
        ({"until": "2026-03-10T10:00:00+00:00", "lifted_at": "2026-03-05T10:00:00+00:00"}, "2026-03-05T10:00"),
    ],
)
def test_a_delay_never_shortens_a_date(delay: dict[str, Any] | None, due: str | None) -> None:
    law = datetime(2026, 3, 4, 10, tzinfo=UTC)
    dates = under_delay(law, delay)
    assert dates["due_at"] == (at(due) if due else None)
    assert dates["original_due_at"] == (None if delay is None else law)


def test_nothing_holds_back_what_was_sent() -> None:
    story = of_entity("dora_financial_entity", major_ict_incident=True)
    sent(story, "OB-DORA-INIT", story.now)
    with pytest.raises(Conflict):
        delayed(duty(story, "OB-DORA-INIT"), DelayRequest(requested_by="Police"), person_id=PERSON, now=story.now)


FIRST = {"id": "OB-T-LAW", "version": "1", "clock": {"event": "discovered_at", "duration": "P30D"}}
SECOND = {**FIRST, "version": "2", "clock": {"event": "discovered_at", "duration": "P10D"}, "citation": "A newer law"}
PERSONAL = {"personal_data": True}


def stored(made: dict[str, Any]) -> Obligation:
    ids = count(1)
    (row,) = merge({}, list(run(PERSONAL, made=[made]).values()), NOW, new_id=lambda: UUID(int=next(ids))).new
    return row


def evaluated_again(row: Obligation, made: dict[str, Any], later: timedelta = DAY) -> None:
    outcomes = list(run(PERSONAL, made=[made], now=NOW + later).values())
    assert merge({"x": row}, outcomes, NOW + later, new_id=lambda: UUID(int=9)).new == []


def test_a_changed_rule_never_rewrites_what_it_said_earlier() -> None:
    row = stored(FIRST)
    before = (row.rule_version, row.due_at, row.citation)
    evaluated_again(row, SECOND)
    assert (row.rule_version, row.due_at, row.citation) == ("2", at("2026-03-12T15:00"), "A newer law")
    (kept,) = [entry for entry in row.because if isinstance(entry, dict)]
    said = kept["earlier_evaluation"]
    assert (said["rule_version"], at(said["due_at"][:19]), said["citation"]) == before
    assert kept["reason"] == "Version 2 of the rule replaced version 1."
    unchanged = list(row.because)
    evaluated_again(row, SECOND, 2 * DAY)
    assert row.because == unchanged


def test_what_was_decided_or_sent_stays_under_the_version_it_was_decided_on() -> None:
    against = decide(stored(FIRST), "not_required", person_id=PERSON, now=NOW, rationale=RATIONALE)
    evaluated_again(against, SECOND)
    assert (against.rule_version, against.decision) == ("1", "not_required")
    told = stored(FIRST)
    told.notified_at = NOW
    evaluated_again(told, SECOND)
    assert told.rule_version == "1"
    gone = stored(FIRST)
    merge({"x": gone}, [], NOW, new_id=lambda: UUID(int=9))
    assert (gone.outcome, is_pending(gone)) == ("not_triggered", False)
