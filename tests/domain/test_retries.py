"""When to send again: ten attempts over three days, what a receiver asks for between the schedule and a day."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from domain.retries import ATTEMPTS_MAX, RETRY_AFTER_MAX, WAITS, next_try

AT = datetime(2026, 11, 26, 5, 40, tzinfo=UTC)


def test_there_are_ten_attempts_over_75_hours_and_35_minutes() -> None:
    assert ATTEMPTS_MAX == 10
    assert sum(WAITS, timedelta()) == timedelta(hours=75, minutes=35, seconds=5)


@pytest.mark.parametrize("attempts", range(1, ATTEMPTS_MAX))
def test_a_wait_is_at_most_a_fifth_shorter_or_longer(attempts: int) -> None:
    wait = WAITS[attempts - 1]
    draws = [next_try(attempts, AT, draw=draw) for draw in (0.0, 0.5, 1.0)]
    assert draws == [AT + wait * factor for factor in (0.8, 1, 1.2)]


def test_after_the_last_attempt_there_is_none_whatever_was_asked() -> None:
    assert next_try(ATTEMPTS_MAX, AT, draw=0.5, retry_after="10") is None


@pytest.mark.parametrize(
    ("asked", "wait"),
    [
        ("3600", timedelta(hours=1)),
        (" 3600 ", timedelta(hours=1)),
        (format_datetime(AT + timedelta(hours=2), usegmt=True), timedelta(hours=2)),
        (format_datetime(AT - timedelta(days=2), usegmt=True), WAITS[0]),
        (format_datetime(AT + timedelta(days=900), usegmt=True), RETRY_AFTER_MAX),
        ("1", WAITS[0]),
        ("-3600", WAITS[0]),
        ("999999999999", RETRY_AFTER_MAX),
        ("9" * 5_000, WAITS[0]),
        ("12.5", WAITS[0]),
        ("٣٦٠٠", WAITS[0]),
        ("tomorrow", WAITS[0]),
        ("Thu, 99 Foo 2026 99:99:99 GMT", WAITS[0]),
        ("", WAITS[0]),
        (None, WAITS[0]),
    ],
)
def test_what_a_receiver_asks_for_counts_between_the_schedule_and_a_day(asked: str | None, wait: timedelta) -> None:
    assert next_try(1, AT, draw=0.5, retry_after=asked) == AT + wait
