"""Clocks of law: durations, business days, year ends, caps, and events that have not happened."""

from datetime import datetime
from typing import Any

import pytest

from domain.deadlines import Calendar
from domain.obligations import Outcome
from tests.domain.obligation_cases import at, one, run


def clocked(clock: dict[str, Any], instants: dict[str, datetime | None] | None = None, **more: Any) -> Outcome:
    return one({"personal_data": True}, {"clock": clock}, instants=instants, **more)


@pytest.mark.parametrize(
    ("duration", "start", "due"),
    [
        ("P30D", "2026-03-02T15:00", "2026-04-01T15:00"),
        ("P45D", "2026-05-01T08:00", "2026-06-15T08:00"),
        ("P60D", "2026-03-04T00:00", "2026-05-03T00:00"),
        ("PT36H", "2026-03-02T15:00", "2026-03-04T03:00"),
        ("PT72H", "2026-06-10T08:00", "2026-06-13T08:00"),
        ("P1M", "2026-06-13T08:00", "2026-07-13T08:00"),
        ("P1M", "2026-01-31T08:00", "2026-02-28T08:00"),
        ("P1M", "2028-01-31T08:00", "2028-02-29T08:00"),
        ("P2D", "2026-02-27T23:59", "2026-03-01T23:59"),
    ],
)
def test_a_duration_runs_from_its_event(duration: str, start: str, due: str) -> None:
    outcome = clocked({"event": "determined_at", "duration": duration}, {"determined_at": at(start)})
    assert (outcome.due_at, outcome.clock_started_at, outcome.pending_clock) == (at(due), at(start), False)


def test_days_keep_the_local_time_and_hours_do_not() -> None:
    new_york = Calendar(time_zone="America/New_York")  # clocks go forward on 2026-03-08
    assert clocked({"event": "discovered_at", "duration": "P30D"}, calendar=new_york).due_at == at("2026-04-01T14:00")
    assert clocked({"event": "discovered_at", "duration": "PT720H"}, calendar=new_york).due_at == at("2026-04-01T15:00")


def test_an_unset_event_counts_from_discovery() -> None:
    outcome = clocked({"event": "determined_at", "duration": "P30D"})
    assert (outcome.clock_started_at, outcome.pending_clock, outcome.due_at) == (None, True, at("2026-04-01T15:00"))
    assert outcome.because[-1] == "determined_at is not set: the date is the worst case, counted from discovery."


def test_a_notice_to_the_authority_follows_the_one_to_individuals() -> None:
    clock = {"event": "individuals_notified_at", "duration": "P15D"}
    assert clocked(clock).due_at == at("2026-03-17T15:00")
    told = clocked(clock, {"individuals_notified_at": at("2026-03-30T10:00")})
    assert (told.due_at, told.pending_clock) == (at("2026-04-14T10:00"), False)


@pytest.mark.parametrize(
    ("start", "due"),
    [
        ("2026-06-05T20:00", "2026-06-11T20:00"),  # vector 10: Friday, four business days, the following Thursday
        ("2026-06-06T09:00", "2026-06-11T09:00"),  # Saturday
        ("2026-06-30T09:00", "2026-07-07T09:00"),  # Independence Day, observed on Friday the 3rd
    ],
)
def test_business_days_skip_weekends_and_the_recipients_holidays(start: str, due: str) -> None:
    clock = {"event": "materiality_determined_at", "business_days": 4, "country": "US"}
    outcome = clocked(clock, {"materiality_determined_at": at(start)}, calendar=Calendar(country="DE"))
    assert outcome.due_at == at(due)


def test_the_year_ends_where_the_tenant_is() -> None:
    clock = {"event": "year_end", "duration": "P60D"}
    assert clocked(clock).due_at == at("2027-03-02T00:00")  # the end of 1 March, 60 days after the year
    new_year = {"discovered_at": at("2027-01-01T02:00")}
    outcome = clocked(clock, new_year, calendar=Calendar(time_zone="America/New_York"))
    assert (outcome.clock_started_at, outcome.pending_clock) == (at("2027-01-01T05:00"), False)


@pytest.mark.parametrize(
    ("instants", "due", "pending"),
    [
        ({"aware_at": "2026-03-02T10:00", "classified_at": "2026-03-02T20:00"}, "2026-03-03T00:00", False),  # vector 8
        ({"aware_at": "2026-03-02T10:00", "classified_at": "2026-03-03T09:00"}, "2026-03-03T10:00", False),
        ({"aware_at": "2026-03-02T10:00"}, "2026-03-02T19:00", True),
        ({"classified_at": "2026-03-04T12:00"}, "2026-03-03T15:00", True),
    ],
)
def test_a_cap_counts_when_it_is_earlier(instants: dict[str, str], due: str, pending: bool) -> None:
    caps = [{"event": "aware_at", "duration": "PT24H"}]
    clock = {"event": "classified_at", "duration": "PT4H", "caps": caps}
    outcome = clocked(clock, {name: at(text) for name, text in instants.items()})
    assert (outcome.due_at, outcome.pending_clock) == (at(due), pending)


def test_vector_7_early_warning_notification_and_final_report() -> None:
    trigger = {"trigger": '"essential_entity" in sectors'}
    made = [
        {"id": "OB-T-24", **trigger, "clock": {"event": "aware_at", "duration": "PT24H"}},
        {"id": "OB-T-72", **trigger, "clock": {"event": "aware_at", "duration": "PT72H"}},
        {"id": "OB-T-1M", **trigger, "clock": {"event": "authority_notified_at", "duration": "P1M"}},
    ]
    instants = {"aware_at": at("2026-06-10T08:00"), "authority_notified_at": at("2026-06-12T08:00")}
    outcomes = run({}, made=made, instants=instants, organisation={"sectors": ["essential_entity"]})
    dues = ["2026-06-11T08:00", "2026-06-13T08:00", "2026-07-12T08:00"]
    assert [outcome.due_at for outcome in outcomes.values()] == [at(text) for text in dues]


def test_a_law_without_a_figure_gets_the_guideline() -> None:
    outcome = clocked({"event": "aware_at"})
    assert (outcome.due_at, outcome.guideline_due_at) == (None, at("2026-04-01T15:00"))
