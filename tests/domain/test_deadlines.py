"""Deadlines: three kinds, coarse discoveries, calendars, both changes of the clocks, ISO 8601 durations."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil.relativedelta import relativedelta
from hypothesis import given
from hypothesis import strategies as st

from domain.deadlines import (
    Calendar,
    Sla,
    add_business_days,
    add_duration,
    clock_start,
    deadline,
    end_of_day,
    parse_duration,
    sla_state,
)

BERLIN = Calendar("Europe/Berlin")
NEW_YORK = Calendar("America/New_York")
MINUTE = timedelta(minutes=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def due(sla: Sla, start: str, calendar: Calendar = BERLIN) -> datetime:
    return deadline(sla, at(start), calendar).due_at


@pytest.mark.parametrize(
    ("value", "start", "expected"),
    [
        ("PT15M", "2026-03-02T15:00:00Z", "2026-03-02T15:15:00Z"),
        ("PT24H", "2026-02-28T22:30:00Z", "2026-03-01T22:30:00Z"),
        ("P14D", "2026-12-25T12:00:00Z", "2027-01-08T12:00:00Z"),
        ("P7D", "2024-02-25T00:00:00Z", "2024-03-03T00:00:00Z"),  # over 29 February
        # Elapsed time: the day on which Berlin's clocks change has 23 or 25 hours, a window of 24 has 24.
        ("PT24H", "2026-03-28T12:00:00+01:00", "2026-03-29T13:00:00+02:00"),
        ("PT24H", "2026-10-24T12:00:00+02:00", "2026-10-25T11:00:00+01:00"),
        ("P1D", "2026-03-28T12:00:00+01:00", "2026-03-29T13:00:00+02:00"),
        ("P1M", "2026-01-31T12:00:00+01:00", "2026-02-28T12:00:00+01:00"),
    ],
)
def test_a_duration_counts_elapsed_time(value: str, start: str, expected: str) -> None:
    result = deadline(Sla("duration", value), at(start), BERLIN)
    assert result.due_at == at(expected)
    assert result.breach_at == result.due_at
    assert result.clock_started_at == at(start)
    assert result.due_at - result.at_risk_at == (result.due_at - result.clock_started_at) / 4
    assert result.due_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("2026-03-03T08:59:00+01:00", "2026-03-03T17:00:00+01:00"),  # before opening: that day's close
        ("2026-03-03T00:00:00+01:00", "2026-03-03T17:00:00+01:00"),
        ("2026-03-03T12:00:00+01:00", "2026-03-03T17:00:00+01:00"),
        ("2026-03-03T17:00:00+01:00", "2026-03-03T17:00:00+01:00"),  # at the close is not yet after it
        ("2026-03-03T17:00:01+01:00", "2026-03-04T17:00:00+01:00"),
        ("2026-03-03T23:30:00Z", "2026-03-04T17:00:00+01:00"),  # already the 4th in Berlin
        ("2026-03-06T18:00:00+01:00", "2026-03-09T17:00:00+01:00"),  # Friday evening: Monday
        ("2026-03-07T12:00:00+01:00", "2026-03-09T17:00:00+01:00"),
        ("2026-03-27T18:00:00+01:00", "2026-03-30T17:00:00+02:00"),  # the clocks go forward on Sunday
        ("2026-10-23T18:00:00+02:00", "2026-10-26T17:00:00+01:00"),  # and back
        ("2026-12-31T18:00:00+01:00", "2027-01-01T17:00:00+01:00"),  # no country, no holiday
    ],
)
def test_the_same_business_day_ends_at_the_close(start: str, expected: str) -> None:
    assert due(Sla("same_business_day"), start) == at(expected)


def test_holidays_and_own_closed_days_move_the_close() -> None:
    german = Calendar("Europe/Berlin", country="DE", closed_days=frozenset({date(2026, 12, 24), date(2026, 12, 31)}))
    assert due(Sla("same_business_day"), "2026-12-23T18:00:00+01:00", german) == at("2026-12-28T17:00:00+01:00")
    assert due(Sla("same_business_day"), "2026-12-30T18:00:00+01:00", german) == at("2027-01-04T17:00:00+01:00")
    bavarian = Calendar("Europe/Berlin", country="DE", subdivision="BY")
    assert not bavarian.is_business_day(date(2026, 1, 6))
    assert german.is_business_day(date(2026, 1, 6))
    american = Calendar("America/New_York", country="US")
    assert due(Sla("same_business_day"), "2026-07-02T18:00:00-04:00", american) == at("2026-07-06T17:00:00-04:00")


def test_a_calendar_may_have_its_own_week_and_hours() -> None:
    riyadh = Calendar("Asia/Riyadh", time(8), time(16), working_days=frozenset({6, 0, 1, 2, 3}))
    assert due(Sla("same_business_day"), "2026-03-05T17:00:00+03:00", riyadh) == at("2026-03-08T16:00:00+03:00")


def test_immediate_is_due_at_once_and_breached_after_the_grace() -> None:
    result = deadline(Sla("immediate"), at("2026-03-02T15:00:00Z"), BERLIN, timedelta(minutes=20))
    assert result.at_risk_at == result.due_at == result.clock_started_at == at("2026-03-02T15:00:00Z")
    assert result.breach_at == at("2026-03-02T15:20:00Z")


@pytest.mark.parametrize(
    ("discovered", "precision", "calendar", "expected"),
    [
        ("2026-03-02T15:47:31.5Z", "exact", BERLIN, "2026-03-02T15:47:31.5Z"),
        ("2026-03-02T15:47:00Z", "minute", BERLIN, "2026-03-02T15:47:00Z"),
        ("2026-03-02T15:47:31Z", "estimated", BERLIN, "2026-03-02T15:47:31Z"),
        ("2026-03-02T15:47:31Z", "hour", BERLIN, "2026-03-02T15:00:00Z"),
        ("2026-03-02T15:47:31Z", "hour", Calendar("Asia/Kolkata"), "2026-03-02T15:30:00Z"),
        ("2026-03-02T15:47:31Z", "day", BERLIN, "2026-03-01T23:00:00Z"),
        ("2026-03-02T03:00:00Z", "day", NEW_YORK, "2026-03-01T05:00:00Z"),  # still the 1st in New York
        ("2026-03-29T15:00:00Z", "day", BERLIN, "2026-03-28T23:00:00Z"),  # the day that has 23 hours
        ("2026-10-25T15:00:00Z", "day", BERLIN, "2026-10-24T22:00:00Z"),  # the day that has 25
        ("2026-10-25T00:30:00Z", "hour", BERLIN, "2026-10-25T00:00:00Z"),  # the first 02:30
        ("2026-10-25T01:30:00Z", "hour", BERLIN, "2026-10-25T01:00:00Z"),  # the second 02:30
        (
            "2026-11-01T05:30:00Z",
            "day",
            Calendar("America/Havana"),
            "2026-11-01T04:00:00Z",
        ),  # midnight twice: the first
        ("2018-11-04T12:00:00Z", "day", Calendar("America/Sao_Paulo"), "2018-11-04T03:00:00Z"),  # no midnight that day
    ],
)
def test_a_coarse_discovery_starts_the_clock_at_the_beginning_of_its_unit(
    discovered: str, precision: str, calendar: Calendar, expected: str
) -> None:
    assert clock_start(at(discovered), precision, calendar) == at(expected)


START = at("2026-03-02T12:00:00Z")


@pytest.mark.parametrize(
    ("passed", "state"),
    [
        (timedelta(0), "on_track"),
        (45 * MINUTE, "on_track"),  # a quarter is still left
        (45 * MINUTE + timedelta(microseconds=1), "at_risk"),
        (60 * MINUTE, "at_risk"),
        (60 * MINUTE + timedelta(microseconds=1), "breached"),
    ],
)
def test_the_state_follows_the_clock(passed: timedelta, state: str) -> None:
    hour = deadline(Sla("duration", "PT1H"), START, BERLIN)
    assert sla_state(hour.at_risk_at, hour.breach_at, None, START + passed) == state
    met = sla_state(hour.at_risk_at, hour.breach_at, START + passed, START + timedelta(days=9))
    assert met == ("met_late" if state == "breached" else "met")


def test_an_immediate_step_is_at_risk_until_its_grace_is_over() -> None:
    now = deadline(Sla("immediate"), START, BERLIN)
    assert sla_state(now.at_risk_at, now.breach_at, None, START + MINUTE) == "at_risk"
    assert sla_state(now.at_risk_at, now.breach_at, None, START + 16 * MINUTE) == "breached"
    assert sla_state(now.at_risk_at, now.breach_at, START + 15 * MINUTE, START) == "met"


@pytest.mark.parametrize(
    ("start", "duration", "zone", "expected"),
    [
        ("2026-03-02T15:00:00Z", "P30D", "UTC", "2026-04-01T15:00:00Z"),
        ("2026-03-02T15:00:00Z", "PT72H", "UTC", "2026-03-05T15:00:00Z"),
        ("2026-01-31T12:00:00Z", "P1M", "UTC", "2026-02-28T12:00:00Z"),
        ("2024-01-31T12:00:00Z", "P1M", "UTC", "2024-02-29T12:00:00Z"),
        ("2024-02-29T12:00:00Z", "P1Y", "UTC", "2025-02-28T12:00:00Z"),
        ("2026-03-28T12:00:00+01:00", "P1D", "Europe/Berlin", "2026-03-29T12:00:00+02:00"),
        ("2026-03-28T12:00:00+01:00", "PT24H", "Europe/Berlin", "2026-03-29T13:00:00+02:00"),
        ("2026-10-24T12:00:00+02:00", "P7D", "Europe/Berlin", "2026-10-31T12:00:00+01:00"),
        ("2026-03-28T02:30:00+01:00", "P1D", "Europe/Berlin", "2026-03-29T03:30:00+02:00"),  # 02:30 is skipped
        ("2026-02-28T12:00:00+01:00", "P1MT12H", "Europe/Berlin", "2026-03-29T00:00:00+01:00"),
        ("2026-03-28T12:00:00+01:00", "P1DT6H", "Europe/Berlin", "2026-03-29T18:00:00+02:00"),
    ],
)
def test_calendar_durations_keep_the_local_time_and_hours_do_not(
    start: str, duration: str, zone: str, expected: str
) -> None:
    assert add_duration(at(start), duration, zone) == at(expected)
    assert add_duration(at(start), duration, ZoneInfo(zone)) == at(expected)


def test_durations_are_parsed() -> None:
    assert parse_duration("PT15M") == timedelta(minutes=15)
    assert parse_duration("P2W") == timedelta(days=14)
    assert parse_duration("P1DT2H3M4S") == timedelta(days=1, hours=2, minutes=3, seconds=4)
    assert parse_duration("P1Y2M") == relativedelta(years=1, months=2)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "P",
        "PT",
        "P1",
        "1D",
        "P1H",
        "PT1D",
        "P-1D",
        "-P1D",
        "P1.5D",
        "PT1.5H",
        "p1d",
        "P1DT",
        " P1D",
        "P1D\n",
        "P٣D",
        "P101Y",
        "P99999D",
        "P1S",
        "PT" + "9" * 30 + "S",
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


def test_a_deadline_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(ValueError, match="beyond the calendar"):
        add_duration(at("9999-12-31T00:00:00Z"), "P1D", "UTC")


def test_business_days_count_from_the_next_one() -> None:
    american = Calendar("America/New_York", country="US")
    assert add_business_days(date(2026, 3, 6), 4, american) == date(2026, 3, 12)  # Friday: the following Thursday
    assert add_business_days(date(2026, 7, 1), 2, american) == date(2026, 7, 6)
    assert end_of_day(date(2026, 3, 12), "America/New_York") == at("2026-03-12T23:59:59.999999-04:00")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"time_zone": "Europe/Berln"}, "IANA"),
        ({"time_zone": "../etc/passwd"}, "IANA"),
        ({"time_zone": ""}, "IANA"),
        ({"opens": time(17), "closes": time(9)}, "before it closes"),
        ({"country": "XX"}, "holiday calendar"),
        ({"country": "DE", "subdivision": "XX"}, "holiday calendar"),
        ({"subdivision": "BY"}, "country"),
        ({"working_days": frozenset()}, "working days"),
        ({"working_days": frozenset({7})}, "working days"),
    ],
)
def test_a_calendar_nobody_can_use_is_refused(arguments: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Calendar(**arguments)  # type: ignore[arg-type]


def test_a_calendar_without_a_business_day_says_so() -> None:
    closed = frozenset(date(2026, 1, 1) + timedelta(days=offset) for offset in range(800))
    with pytest.raises(ValueError, match="no business day"):
        due(Sla("same_business_day"), "2026-01-01T12:00:00Z", Calendar(closed_days=closed))


def test_a_duration_without_a_value_is_a_fault() -> None:
    with pytest.raises(ValueError, match="needs a value"):
        due(Sla("duration"), "2026-01-01T12:00:00Z")


@given(
    st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2035, 1, 1), timezones=st.just(UTC)),
    st.sampled_from(
        ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia", "UTC"]
    ),
    st.sampled_from(
        [
            Sla("immediate"),
            Sla("same_business_day"),
            Sla("duration", "PT15M"),
            Sla("duration", "P14D"),
            Sla("duration", "P1M"),
        ]
    ),
    st.sampled_from(["exact", "minute", "hour", "day", "estimated"]),
)
def test_the_instants_of_a_deadline_are_in_order(discovered: datetime, zone: str, sla: Sla, precision: str) -> None:
    calendar = Calendar(zone)
    start = clock_start(discovered, precision, calendar)
    assert timedelta(0) <= discovered - start <= timedelta(hours=25)
    result = deadline(sla, start, calendar)
    assert start == result.clock_started_at <= result.at_risk_at <= result.due_at <= result.breach_at
    if sla.kind == "same_business_day":
        local = result.due_at.astimezone(calendar.zone)
        assert (local.time(), local.weekday() < 5) == (time(17), True)
