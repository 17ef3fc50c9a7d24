"""When something was done and by whom: the claimed instant beside the recorded one, and late entries."""

from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from domain.changes import Change
from domain.refusals import InputError, Invalid
from domain.timeline import instant_text

AHEAD_AT_MOST = timedelta(seconds=60)  # a caller's clock may run that far ahead of ours
LATE_AFTER = timedelta(hours=1)
CLAIM_COUNTS_WITHIN = timedelta(days=1)  # past that only the recorded instant counts
REASON_AT_LEAST = 20  # characters of a reason that an auditor will read


class Claim(Struct, frozen=True, kw_only=True):
    """What a caller says about a doing: both parts are optional and default to now and the caller."""

    occurred_at: datetime | None = None
    performed_by: UUID | None = None
    reason: str | None = None


class Doing(Struct, frozen=True, kw_only=True):
    """A doing as it will be stored. For four eyes `recorded_by` and `performed_by` are both doers."""

    occurred_at: datetime
    recorded_at: datetime
    performed_by: UUID | None
    recorded_by: UUID | None
    late_entry: bool

    @property
    def doers(self) -> set[UUID]:
        """Recorder and performer."""
        return {p for p in (self.performed_by, self.recorded_by) if p is not None}


def settle_claim(change: Change, claim: Claim, *, breach_at: datetime | None = None, is_result: bool = False) -> Doing:
    """Check a claim against the clock and turn it into a doing.

    `breach_at` is the deadline concerned, if any. Where the doing is what meets it (`is_result`), a claim that turns
    `breached` into `met` is an exception.
    Raises Invalid when the instant lies before discovery or in the future, when a late entry gives no reason, or
    when `performed_by` is nobody of the tenant.
    """
    now, incident = change.now, change.record.incident
    at = claim.occurred_at or now
    if at > now + AHEAD_AT_MOST:
        raise _bad("/occurred_at", "lies in the future; give the instant when it happened, at most 60 s ahead")
    if at < incident.discovered_at - AHEAD_AT_MOST:
        raise _bad("/occurred_at", "lies before the discovery of the incident; correct one of the two")
    if claim.performed_by is not None and claim.performed_by not in change.around.people:
        raise _bad("/performed_by", "is not an active person of this tenant")
    at = min(at, now)
    turns_met = breach_at is not None and at <= breach_at < now
    late = turns_met or now - at > LATE_AFTER
    if late and len((claim.reason or "").strip()) < REASON_AT_LEAST:
        raise _bad("/reason", f"is required for a late entry: at least {REASON_AT_LEAST} characters")
    claimed, recorded = instant_text(at), instant_text(now)
    if turns_met and is_result and now - at <= CLAIM_COUNTS_WITHIN:
        change.deviate("late_entry", claim.reason or "", details={"occurred_at": claimed, "recorded_at": recorded})
    if now - at > CLAIM_COUNTS_WITHIN:
        details = {"claimed_at": claimed, "recorded_at": recorded}
        change.deviate("late_entry_past_a_day", claim.reason or "", details=details)
        at = now
    person = change.person_id
    return Doing(
        occurred_at=at,
        recorded_at=now,
        performed_by=claim.performed_by or person,
        recorded_by=person,
        late_entry=late,
    )


def require_reason(reason: str | None, what: str) -> str:
    """The reason, trimmed. Raises Invalid when it is shorter than an auditor can use."""
    text = (reason or "").strip()
    if len(text) < REASON_AT_LEAST:
        raise _bad("/reason", f"is required to {what}: at least {REASON_AT_LEAST} characters")
    return text


def _bad(pointer: str, reason: str) -> Invalid:
    return Invalid(f"{pointer} {reason}.", errors=[InputError(pointer, reason)])
