"""Clocks of law and contract: when a notice is due, counted from which event.

Nothing here rounds in the notifier's favour: days and months keep the local time of day of the event, a month that is
too short ends on its last day, an event that has not happened counts from discovery.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

from msgspec import Struct, structs

from domain.deadlines import Calendar, add_business_days, add_duration
from domain.obligation_rules import Clock, Limit

Instants = Mapping[str, datetime | None]


class Timing(Struct, frozen=True, kw_only=True):
    """Where a clock stands. `due_at` is None when there is no figure; `pending` marks a worst case from discovery."""

    event: str
    started_at: datetime | None = None
    pending: bool = False
    due_at: datetime | None = None


def timing(clock: Clock, instants: Instants, calendar: Calendar) -> Timing:
    """The state of `clock`: its limit or the earliest of its caps, each from discovery while its event is unset."""
    limit = clock.limit
    started_at = start_of(limit, instants, calendar)
    pending = started_at is None
    if pending and clock.worst_case is not None:
        limit = Limit(event="discovered_at", duration=clock.worst_case)
    dues = [due_of(limit, instants, calendar)]
    for cap in clock.caps:
        pending = pending or start_of(cap, instants, calendar) is None
        dues.append(due_of(cap, instants, calendar))
    return Timing(
        event=clock.limit.event,
        started_at=started_at,
        pending=pending,
        due_at=min((due for due in dues if due is not None), default=None),
    )


def start_of(limit: Limit, instants: Instants, calendar: Calendar) -> datetime | None:
    """When the event of a limit happened, None when it has not. The end of the year follows from discovery.

    The notice that a limit waits for counts from its sending, which `instants` holds under the rule's id.
    """
    instant = instants.get(limit.submission_of) if limit.submission_of else None
    instant = instant or instants.get(limit.event)
    if instant is None and limit.event == "year_end":
        return _year_end(instants.get("discovered_at"), calendar)
    return instant


def due_of(limit: Limit, instants: Instants, calendar: Calendar) -> datetime | None:
    """When `limit` runs out, counted from discovery while its event is unset; None without a figure or discovery."""
    start = start_of(limit, instants, calendar) or instants.get("discovered_at")
    return None if start is None else _ends(start, limit, calendar)


@lru_cache(maxsize=4_096)
def _ends(start: datetime, limit: Limit, calendar: Calendar) -> datetime | None:
    # Every change of an incident asks for the same few dates again, and date arithmetic is most of the cost of a rule.
    if limit.business_days is not None:
        return _business_days_after(start, limit.business_days, _recipients(limit, calendar))
    if limit.duration is not None:
        return add_duration(start, limit.duration, calendar.time_zone)
    return None


def _business_days_after(start: datetime, days: int, calendar: Calendar) -> datetime:
    """`days` business days after the local day of `start`, at the same local time of day."""
    local = start.astimezone(calendar.zone)
    day = add_business_days(local.date(), days, calendar)
    return datetime.combine(day, local.timetz()).astimezone(UTC)


def _recipients(limit: Limit, calendar: Calendar) -> Calendar:
    """Business days are the recipient's: its holidays replace those of the tenant."""
    if limit.country is None:
        return calendar
    return structs.replace(calendar, country=limit.country, subdivision=limit.subdivision, closed_days=frozenset())


def _year_end(discovered_at: datetime | None, calendar: Calendar) -> datetime | None:
    if discovered_at is None:
        return None
    year = discovered_at.astimezone(calendar.zone).year
    return datetime(year + 1, 1, 1, tzinfo=calendar.zone).astimezone(UTC)
