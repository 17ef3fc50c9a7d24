"""Periods: half-open, days begin where the zone's own day does."""

from datetime import UTC, datetime

import pytest

from domain.periods import period
from domain.refusals import Invalid


@pytest.mark.parametrize(
    ("day", "zone", "instant"),
    [
        ("2026-03-29", "Europe/Berlin", datetime(2026, 3, 28, 23, tzinfo=UTC)),
        ("2026-03-30", "Europe/Berlin", datetime(2026, 3, 29, 22, tzinfo=UTC)),
        ("2026-10-25", "Europe/Berlin", datetime(2026, 10, 24, 22, tzinfo=UTC)),
        ("2026-01-01", "UTC", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T00:00:00+01:00", "UTC", datetime(2025, 12, 31, 23, tzinfo=UTC)),
        ("2026-01-01t00:00:00z", "Asia/Tokyo", datetime(2026, 1, 1, tzinfo=UTC)),
    ],
)
def test_where_a_period_begins(day: str, zone: str, instant: datetime) -> None:
    assert period(day, None, zone).start == instant


def test_without_limits() -> None:
    found = period(None, None, "UTC")
    assert (found.start, found.end) == (None, None)


@pytest.mark.parametrize(
    "text", ["2026-02-30", "2026-01-01T00:00:00", "x", "9999-12-31", "1899-12-31", "２０２６-01-01"]
)
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        period(text, None, "UTC", names=("from", "to"))
    assert refused.value.errors[0].pointer == "/query/from"


def test_the_end_lies_after_the_start() -> None:
    with pytest.raises(Invalid):
        period("2026-01-02", "2026-01-02", "UTC")
    assert period("2026-01-02", "2026-01-03", "UTC").end == datetime(2026, 1, 3, tzinfo=UTC)
