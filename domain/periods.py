"""Periods of time as callers ask for them: half-open, from instants or from days of a time zone."""

from datetime import UTC, date, datetime, time

from msgspec import Struct

from domain.deadlines import zone
from domain.refusals import InputError, Invalid

EARLIEST, LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


class Period(Struct, frozen=True, kw_only=True):
    """From `start` on and before `end`, in UTC; None is without limit. `time_zone` is what days were read in."""

    start: datetime | None
    end: datetime | None
    time_zone: str


def period(
    start: str | None, end: str | None, time_zone: str, *, names: tuple[str, str] = ("period_start", "period_end")
) -> Period:
    """A period from what a caller wrote: instants, or days, which begin at midnight of `time_zone`.

    Both days of a change of the clocks are whole: they begin where the zone's own day does. Raises Invalid.
    """
    try:
        zone(time_zone)
    except ValueError:
        raise _bad("time_zone", "is an IANA time zone such as Europe/Berlin") from None
    found = Period(
        start=_instant(names[0], start, time_zone), end=_instant(names[1], end, time_zone), time_zone=time_zone
    )
    if found.start is not None and found.end is not None and found.end <= found.start:
        raise _bad(names[1], f"lies after {names[0]}: a period is half-open")
    return found


def _instant(name: str, text: str | None, time_zone: str) -> datetime | None:
    if text is None:
        return None
    try:
        if len(text) == len("2026-01-31"):
            at = datetime.combine(date.fromisoformat(text), time(), tzinfo=zone(time_zone))
        else:
            at = datetime.fromisoformat(text.upper())
        if at.tzinfo is None:
            raise _bad(name, "needs a time zone, as in 2026-01-31T00:00:00Z")
        at = at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _bad(name, "is a day such as 2026-01-31 or an instant such as 2026-01-31T00:00:00Z") from None
    if not EARLIEST <= at <= LATEST:
        raise _bad(name, "lies between the years 1900 and 9000")
    return at


def _bad(name: str, text: str) -> Invalid:
    return Invalid(f"`{name}` {text}.", errors=[InputError(f"/query/{name}", text)])
