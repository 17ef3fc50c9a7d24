"""When to send again what a receiver did not take."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

WAITS = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""Between ten attempts: 75 h 35 min in all, so that a receiver that is down for a weekend gets everything."""
ATTEMPTS_MAX = len(WAITS) + 1
JITTER = 0.2  # of a wait, to either side: what failed together does not come back together
RETRY_AFTER_MAX = timedelta(hours=24)
DISABLED_AFTER = timedelta(hours=60)  # of nothing but failures: the least that the whole schedule can take


def next_try(attempts: int, at: datetime, *, draw: float, retry_after: str | None = None) -> datetime | None:
    """When to try again after `attempts` attempts, the last of which failed at `at`; None when that was the last.

    `draw` is between 0 and 1. What the receiver asks for with `retry_after` counts between the schedule and a day.
    """
    if attempts >= ATTEMPTS_MAX:
        return None
    wait = WAITS[attempts - 1] * (1 - JITTER + 2 * JITTER * draw)
    asked = asked_wait(retry_after, at)
    return at + (wait if asked is None else max(wait, min(asked, RETRY_AFTER_MAX)))


def asked_wait(retry_after: str | None, at: datetime) -> timedelta | None:
    """What a Retry-After header asks for, in seconds or as a date (RFC 9110, 10.2.3); None where it says nothing."""
    text = (retry_after or "").strip()
    if not text.isascii() or not text or len(text) > 40:
        return None
    if text.isdigit():
        return min(timedelta(seconds=min(int(text), 10**9)), RETRY_AFTER_MAX)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)) - at
