"""Decisions on obligations: notify, not required, waived by counsel. A person makes them and may reconsider.

An earlier decision is never overwritten: it moves, whole, into `because` as an entry of its own.
"""

from datetime import datetime
from uuid import UUID

from msgspec import structs

from domain.record import Obligation
from domain.refusals import Conflict, InputError, Invalid

DECISIONS = ("notify", "not_required", "waived_by_counsel")
DECIDED_AGAINST = ("not_required", "waived_by_counsel")
RATIONALE_AT_LEAST = 10  # characters; long enough that a single word does not pass as a reason


def decide(
    row: Obligation,
    decision: str,
    *,
    person_id: UUID,
    now: datetime,
    rationale: str | None = None,
    opinion_reference: str | None = None,
) -> Obligation:
    """The row with a person's decision on it; who may decide what is domain/permissions' to say.

    `not_required` needs a rationale, and the person deciding is its approver; `waived_by_counsel` needs the reference
    of the opinion. Deciding again is allowed until the notice went out. A duty that no rule triggers may be decided
    too: nothing here ever stands in the way of notifying. Raises Invalid for input that is missing, Conflict when the
    notice has been sent or the same decision stands.
    """
    rationale = _stripped(rationale)
    opinion_reference = _stripped(opinion_reference)
    if decision not in DECISIONS:
        raise _invalid("/decision", f"is one of {', '.join(DECISIONS)}")
    if decision == "not_required" and len(rationale or "") < RATIONALE_AT_LEAST:
        raise _invalid("/rationale", f"says in {RATIONALE_AT_LEAST} or more characters why nobody has to be told")
    if decision == "waived_by_counsel" and opinion_reference is None:
        raise _invalid("/opinion_reference", "names the opinion of counsel that waives the duty")
    if row.notified_at is not None:
        raise Conflict("The notice has been sent: this decision can no longer change.", code="obligation-notified")
    if row.decision == decision and row.rationale == rationale and row.opinion_reference == opinion_reference:
        raise Conflict(f"This obligation is already decided: {decision}.", code="obligation-decided")
    return structs.replace(
        _with_history(row, "A person decided again.", now),
        decision=decision,
        rationale=rationale,
        opinion_reference=opinion_reference,
        decided_by=person_id,
        decided_at=now,
    )


def notified(row: Obligation, at: datetime, *, person_id: UUID | None, now: datetime) -> Obligation:
    """The row after its notice went out at `at`. A notice sent without a decision, or against one, decides `notify`.

    A second notice does not move the first instant: that one met the deadline or missed it.
    """
    if row.notified_at is not None:
        return row
    if row.decision == "notify":
        return structs.replace(row, notified_at=at)
    return structs.replace(
        _with_history(row, "The notice was sent.", now),
        decision="notify",
        rationale=None,
        opinion_reference=None,
        decided_by=person_id,
        decided_at=now,
        notified_at=at,
    )


def reopened(row: Obligation, reason: str, now: datetime, *, outcome_then: str) -> Obligation:
    """The row undecided again, its decision kept as history together with the outcome it was made on."""
    return structs.replace(
        _with_history(row, reason, now, outcome_then),
        decision="open",
        rationale=None,
        opinion_reference=None,
        decided_by=None,
        decided_at=None,
    )


def state_of(row: Obligation, now: datetime) -> str:
    """The decision, or what follows from it: `notified` once told, `overdue` when telling is late.

    A duty nobody has decided is overdue as well: an open question stops no clock.
    """
    if row.notified_at is not None:
        return "notified"
    if is_pending(row) and row.due_at is not None and row.due_at < now:
        return "overdue"
    return row.decision


def is_pending(row: Obligation) -> bool:
    """Whether somebody may still have to be told: triggered or not ruled out, and neither told nor decided against."""
    return row.outcome != "not_triggered" and row.decision not in DECIDED_AGAINST and row.notified_at is None


def _with_history(row: Obligation, reason: str, now: datetime, outcome_then: str | None = None) -> Obligation:
    if row.decision == "open":
        return row
    entry = {
        "earlier_decision": row.decision,
        "rationale": row.rationale,
        "opinion_reference": row.opinion_reference,
        "decided_by": str(row.decided_by) if row.decided_by else None,
        "decided_at": _text(row.decided_at),
        "outcome": outcome_then or row.outcome,
        "replaced_at": _text(now),
        "reason": reason,
    }
    return structs.replace(row, because=[*row.because, entry])


def _text(instant: datetime | None) -> str | None:
    return f"{instant:%Y-%m-%dT%H:%M:%S.%fZ}" if instant else None


def _stripped(text: str | None) -> str | None:
    return (text or "").strip() or None


def _invalid(pointer: str, reason: str) -> Invalid:
    return Invalid(f"{pointer[1:]} {reason}.", errors=[InputError(pointer, reason)])
