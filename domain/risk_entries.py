"""An entry of the register that a tenant adds: its reference, its first judgement, and who may make it."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from msgspec import structs

from domain.refusals import InputError, Invalid
from domain.risks import REASON_AT_LEAST, Risk, check_decider, check_revision, next_review

REF_LETTERS = "AR-"
REF_DIGITS = 3  # at least: AR-999 is followed by AR-1000


def next_ref(taken: Iterable[str]) -> str:
    """The reference after the highest one taken: entries are closed, never removed, so no number is given twice."""
    numbers = (ref.removeprefix(REF_LETTERS) for ref in taken if ref.startswith(REF_LETTERS))
    highest = max((int(number) for number in numbers if number.isascii() and number.isdigit()), default=0)
    return f"{REF_LETTERS}{highest + 1:0{REF_DIGITS}}"


def new_entry(
    ref: str, given: Mapping[str, Any], reason: str, roles: Collection[str], kind: str, now: datetime
) -> Risk:
    """A new entry, judged now: that is its first review.

    Raises Invalid where it breaks the rules of the register (a high residual needs a treatment plan with dates),
    Forbidden for somebody who may not accept a risk of its band.
    """
    if len(reason.strip()) < REASON_AT_LEAST:
        text = f"says why in {REASON_AT_LEAST} or more characters"
        raise Invalid(f"/reason {text}.", errors=[InputError("/reason", text)])
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    entry = Risk(ref=ref, **values)
    nothing = structs.replace(entry, status="open", residual_likelihood=1, residual_impact=1)
    check_revision(nothing, entry, now)
    check_decider(entry, entry, roles, kind)
    return structs.replace(entry, last_reviewed_at=now, next_review_at=next_review(entry, now))
