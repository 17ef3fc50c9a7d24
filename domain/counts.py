"""Counts that may be a range: an integer, or {min, max} where an absent or null `max` leaves the end open."""

from collections.abc import Iterable, Mapping
from typing import Any

Json = Any
Count = int | dict[str, int | None]


def check_count(value: Json, limit: int) -> Count:
    """`value` in its stored form; a range of equal ends is one number. Raises ValueError."""
    if type(value) is int:
        return _whole(value, limit)
    if not isinstance(value, dict) or "min" not in value or not value.keys() <= {"min", "max"}:
        raise ValueError("give a whole number, {min, max} or unknown")
    low = _whole(value["min"], limit)
    if value.get("max") is None:
        return {"min": low, "max": None}
    high = _whole(value["max"], limit)
    if high < low:
        raise ValueError("the range ends before it begins")
    return low if low == high else {"min": low, "max": high}


def known_minimum(count: Json) -> int:
    """What a count is at least; 0 when it is absent."""
    if isinstance(count, Mapping):
        return _lenient(count.get("min")) or 0
    return _lenient(count) or 0


def upper_end(count: Json) -> int | None:
    """What a count is at most; None when that is not known."""
    if isinstance(count, Mapping):
        return _lenient(count.get("max"))
    return _lenient(count)


def span(low: int, high: int | None) -> Count:
    """The count from `low` to `high`, None for an open end; equal ends are one number."""
    return low if low == high else {"min": low, "max": high}


def total(counts: Iterable[Json]) -> Count | None:
    """The sum; its end is open when one of them is. None when there is none that says anything."""
    low, high, said = 0, 0, False
    open_end = False
    for count in counts:
        minimum, maximum = known_minimum(count), upper_end(count)
        said = said or maximum is not None or minimum > 0
        low += minimum
        if maximum is None:
            open_end = True
        else:
            high += maximum
    return span(low, None if open_end else high) if said else None


def _lenient(value: Json) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _whole(value: Json, limit: int) -> int:
    if type(value) is not int or not 0 <= value <= limit:
        raise ValueError(f"a count is a whole number from 0 to {limit}")
    return value
