"""Notices that law enforcement asks to hold back: a recorded request suspends the date and keeps the original one."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct, structs

from domain.record import Obligation
from domain.refusals import Conflict, InputError, Invalid
from domain.timeline import instant_text


class DelayRequest(Struct, frozen=True, kw_only=True):
    """What an authority asked for: who, under which reference, until when; without an end until it is lifted."""

    requested_by: str
    reference: str | None = None
    until: datetime | None = None


def under_delay(due_at: datetime | None, delay: Mapping[str, Any] | None) -> dict[str, datetime | None]:
    """The two date columns of a row whose law gives `due_at`.

    Suspended without an end there is no date. With an end, or once lifted, the notice is due then, unless its own
    date is later still.
    """
    if delay is None:
        return {"due_at": due_at, "original_due_at": None}
    ends = delay.get("lifted_at") or delay.get("until")
    suspended = None if due_at is None or ends is None else max(due_at, datetime.fromisoformat(ends))
    return {"due_at": suspended, "original_due_at": due_at}


def delayed(row: Obligation, request: DelayRequest, *, person_id: UUID, now: datetime) -> Obligation:
    """The row with a recorded request; a later request replaces an earlier one.

    Raises Conflict when the notice went out, Invalid for a request that ended before it was recorded.
    """
    if row.notified_at is not None:
        raise Conflict("The notice has been sent: there is nothing to hold back.", code="obligation-notified")
    if request.until is not None and request.until <= now:
        text = "lies in the future; a request that has ended delays nothing"
        raise Invalid(f"/until {text}.", errors=[InputError("/until", text)])
    delay = {
        "requested_by": request.requested_by,
        "reference": request.reference,
        "until": instant_text(request.until) if request.until else None,
        "recorded_by": str(person_id),
        "recorded_at": instant_text(now),
    }
    return _with_delay(row, delay, now)


def resumed(row: Obligation, *, person_id: UUID, now: datetime) -> Obligation:
    """The row after the request was withdrawn or met its purpose. Raises Conflict where none is running."""
    if not is_delayed(row):
        raise Conflict("No request of law enforcement holds this notice back.", code="obligation-not-delayed")
    assert row.delay is not None
    return _with_delay(row, {**row.delay, "lifted_by": str(person_id), "lifted_at": instant_text(now)}, now)


def is_delayed(row: Obligation) -> bool:
    """Whether a request is on record that nobody has lifted, even if its date has passed."""
    return row.delay is not None and "lifted_at" not in row.delay


def _with_delay(row: Obligation, delay: dict[str, Any], now: datetime) -> Obligation:
    due_at = row.original_due_at if row.delay is not None else row.due_at
    after = structs.replace(row, delay=delay, **under_delay(due_at, delay))
    if after.due_at is None or after.due_at > now:
        after.overdue_announced_at = after.unassessed_announced_at = None
    return after
