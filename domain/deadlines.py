"""Deadlines: when a step's clock starts, when it is at risk, due and breached; calendars and ISO 8601 durations."""

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dateutil.relativedelta import relativedelta
from msgspec import Struct

SlaKind = Literal["duration", "same_business_day", "immediate"]
SlaState = Literal["on_track", "at_risk", "breached", "met", "met_late"]
Precision = Literal["exact", "minute", "hour", "day", "estimated"]

AT_RISK_SHARE = 4  # at risk with less than a quarter of the window left
GRACE = timedelta(minutes=15)  # of `immediate` steps, unless the tenant sets another
SEARCH_DAYS_MAX = 366  # for the next business day: a calendar without one is a fault of the calendar
DURATION_TEXT_MAX = 32
DURATION = re.compile(
    r"P(?=\d|T\d)(?:(\d{1,3})Y)?(?:(\d{1,4})M)?(?:(\d{1,4})W)?(?:(\d{1,5})D)?"
    r"(?:T(?=\d)(?:(\d{1,6})H)?(?:(\d{1,7})M)?(?:(\d{1,8})S)?)?",
    re.ASCII,
)


class Sla(Struct, frozen=True):
    """A step's time limit. `value` is an ISO 8601 duration for the kind `duration`, else None."""

    kind: SlaKind
    value: str | None = None
    clock_start: str = "discovered_at"


class Calendar(Struct, frozen=True):
    """When a tenant works. `country` and `subdivision` (ISO 3166) name its public holidays, `closed_days` adds own.

    `working_days` counts from Monday = 0. Opening and closing are local times of one day, opening first.
    """

    time_zone: str = "UTC"
    opens: time = time(9)
    closes: time = time(17)
    country: str | None = None
    subdivision: str | None = None
    closed_days: frozenset[date] = frozenset()
    working_days: frozenset[int] = frozenset({0, 1, 2, 3, 4})

    def __post_init__(self) -> None:
        """Raises ValueError when the calendar cannot be used."""
        zone(self.time_zone)
        if self.opens >= self.closes:
            raise ValueError("business opens before it closes, on the same day")
        if not self.working_days or not self.working_days <= frozenset(range(7)):
            raise ValueError("working days are numbers from 0 (Monday) to 6, at least one")
        if self.subdivision is not None and self.country is None:
            raise ValueError("a subdivision needs its country")
        if self.country is not None:
            public_holidays(self.country, self.subdivision, 2026)

    @property
    def zone(self) -> ZoneInfo:
        """The time zone itself."""
        return zone(self.time_zone)

    def is_business_day(self, day: date) -> bool:
        """Whether the tenant works on the local `day`."""
        if day.weekday() not in self.working_days or day in self.closed_days:
            return False
        return self.country is None or day not in public_holidays(self.country, self.subdivision, day.year)

    def next_business_day(self, day: date) -> date:
        """The first business day after `day`. Raises ValueError when there is none within a year."""
        for distance in range(1, SEARCH_DAYS_MAX + 1):
            candidate = day + timedelta(days=distance)
            if self.is_business_day(candidate):
                return candidate
        raise ValueError(f"no business day within a year after {day}")

    def close_of(self, day: date) -> datetime:
        """Close of business of `day`, in UTC."""
        return datetime.combine(day, self.closes, tzinfo=self.zone).astimezone(UTC)


class Deadline(Struct, frozen=True):
    """Four instants in UTC. `breach_at` is `due_at` plus the grace that only `immediate` steps have."""

    clock_started_at: datetime
    at_risk_at: datetime
    due_at: datetime
    breach_at: datetime


def clock_start(discovered_at: datetime, precision: str, calendar: Calendar) -> datetime:
    """When clocks start that count from discovery: the beginning of the local hour or day where it is no preciser."""
    local = discovered_at.astimezone(calendar.zone)
    if precision == "hour":
        local = local.replace(minute=0, second=0, microsecond=0)
    elif precision == "day":
        # fold=0: the first of two midnights, and the first instant of a day whose midnight does not exist.
        local = datetime.combine(local.date(), time(), tzinfo=calendar.zone)
    return local.astimezone(UTC)


def deadline(sla: Sla, clock_started_at: datetime, calendar: Calendar, grace: timedelta = GRACE) -> Deadline:
    """The deadline of a step whose clock started then.

    Durations count elapsed time, so a change of the clocks neither adds nor takes an hour.
    Raises ValueError when the kind `duration` has no usable value.
    """
    started = clock_started_at.astimezone(UTC)
    if sla.kind == "immediate":
        return Deadline(started, started, started, started + grace)
    due = _close_of_business(started, calendar) if sla.kind == "same_business_day" else _elapsed(started, sla, calendar)
    return Deadline(started, due - (due - started) / AT_RISK_SHARE, due, due)


def sla_state(at_risk_at: datetime, breach_at: datetime, met_at: datetime | None, now: datetime) -> SlaState:
    """The state of a deadline at `now`. Exactly at `at_risk_at` a quarter is still left; exactly at `breach_at` is met.

    `now` is not looked at once `met_at` is set.
    """
    if met_at is not None:
        return "met" if met_at <= breach_at else "met_late"
    if now > breach_at:
        return "breached"
    return "at_risk" if now > at_risk_at else "on_track"


@lru_cache(maxsize=1_024)
def parse_duration(text: str) -> timedelta | relativedelta:
    """An ISO 8601 duration of whole units; with years or months a relativedelta, whose length depends on the date.

    Raises ValueError for anything else: signs, fractions, an empty duration, more than 100 years.
    """
    match = DURATION.fullmatch(text) if len(text) <= DURATION_TEXT_MAX else None
    if match is None:
        raise ValueError(f"{text[:DURATION_TEXT_MAX]!r} is not an ISO 8601 duration such as PT15M, P7D or P1M")
    years, months, weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    fixed = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    if years * 12 + months > 1_200 or fixed > timedelta(days=36_600):
        raise ValueError("a duration is at most 100 years")
    if not years and not months:
        return fixed
    return relativedelta(
        years=years, months=months, days=weeks * 7 + days, hours=hours, minutes=minutes, seconds=seconds
    )


def add_duration(instant: datetime, duration: str, time_zone: str | tzinfo = "UTC") -> datetime:
    """`instant` plus an ISO 8601 duration as calendars count: in UTC.

    Years, months, weeks and days move the local date of `time_zone` and keep the local time; a day that the month
    lacks becomes its last one (31 January + P1M = 28 or 29 February). Hours and below are elapsed time.
    Raises ValueError when the result is beyond the calendar.
    """
    local_zone = zone(time_zone) if isinstance(time_zone, str) else time_zone
    parsed = parse_duration(duration)
    dates: timedelta | relativedelta
    try:
        if isinstance(parsed, timedelta):
            dates, clock = timedelta(days=parsed.days), timedelta(seconds=parsed.seconds)
            if "D" not in duration and "W" not in duration:
                dates, clock = timedelta(), parsed  # PT72H is 72 hours, never three dates
        else:
            dates = relativedelta(years=parsed.years, months=parsed.months, days=parsed.days)
            clock = timedelta(hours=parsed.hours, minutes=parsed.minutes, seconds=parsed.seconds)
        local = instant.astimezone(local_zone)
        moved = (local.replace(tzinfo=None) + dates).replace(tzinfo=local_zone, fold=local.fold)
        return moved.astimezone(UTC) + clock
    except OverflowError:
        raise ValueError("the deadline is beyond the calendar") from None


def add_business_days(day: date, count: int, calendar: Calendar) -> date:
    """The `count`-th business day after `day`; `day` itself does not count (Form 8-K, general instruction B.1)."""
    for _ in range(count):
        day = calendar.next_business_day(day)
    return day


def end_of_day(day: date, time_zone: str | tzinfo) -> datetime:
    """The last instant of the local `day`, in UTC."""
    local_zone = zone(time_zone) if isinstance(time_zone, str) else time_zone
    following = datetime.combine(day + timedelta(days=1), time(), tzinfo=local_zone)
    return following.astimezone(UTC) - timedelta(microseconds=1)


@lru_cache(maxsize=1_024)
def zone(name: str) -> ZoneInfo:
    """The IANA time zone of that name. Raises ValueError when there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name[:64]!r} is not an IANA time zone such as Europe/Berlin") from None


@lru_cache(maxsize=1_024)
def public_holidays(country: str, subdivision: str | None, year: int) -> frozenset[date]:
    """The public holidays of a year. Raises ValueError for a country or subdivision nobody knows."""
    import holidays  # 0.2 s to import: only tenants that name a country pay for it

    try:
        found = holidays.country_holidays(country, subdiv=subdivision, years=year)
    except (NotImplementedError, KeyError, AttributeError) as error:
        place = f"{country}-{subdivision}" if subdivision else country
        raise ValueError(f"there is no holiday calendar for {place[:16]!r}") from error
    return frozenset(day for day in found if day.year == year)


def _close_of_business(started: datetime, calendar: Calendar) -> datetime:
    local = started.astimezone(calendar.zone)
    day = local.date()
    close = calendar.close_of(day)
    return (
        close
        if calendar.is_business_day(day) and started <= close
        else calendar.close_of(calendar.next_business_day(day))
    )


def _elapsed(started: datetime, sla: Sla, calendar: Calendar) -> datetime:
    if sla.value is None:
        raise ValueError("an SLA of the kind `duration` needs a value")
    parsed = parse_duration(sla.value)
    return started + parsed if isinstance(parsed, timedelta) else add_duration(started, sla.value, calendar.zone)
