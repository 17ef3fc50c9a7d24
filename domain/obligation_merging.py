"""Bringing a fresh evaluation together with the stored obligations and the decisions people made on them."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from msgspec import structs, to_builtins

from domain.obligation_decisions import DECIDED_AGAINST, reopened
from domain.obligation_delays import under_delay
from domain.obligation_findings import RANK
from domain.obligations import Outcome
from domain.record import Obligation
from domain.timeline import instant_text

COLUMNS = tuple(name for name in Outcome.__struct_fields__ if name in Obligation.__struct_fields__)
"""What an evaluation writes of a row."""
EVALUATED = tuple(name for name in COLUMNS if name != "because")
"""Columns of a row that follow the evaluation as they are."""


class Merged(NamedTuple):
    """Rows to add, rows that changed, and rows that were decided and are open again. No row is in two of them."""

    new: list[Obligation]
    changed: list[Obligation]
    reopened: list[Obligation]


def merge(
    existing: Mapping[str, Obligation],
    outcomes: Sequence[Outcome],
    now: datetime,
    *,
    new_id: Callable[[], UUID],
) -> Merged:
    """Bring a fresh evaluation together with the stored rows; these are changed in place, nothing is deleted.

    Undecided rows, and those decided `notify` but not yet notified, follow the evaluation. Rows decided
    `not_required` or `waived_by_counsel` stay as they were decided, unless the outcome is now stronger than the one
    decided on: then they are open again and the earlier decision moves into `because`. Notified rows stay as they
    are. A row whose rule or client no longer appears becomes `not_triggered`. `not_triggered` makes a row only where
    it is near (a threshold not reached, a duty that is the client's); what waits for other answers makes none.

    A rule that has changed since (its version differs) never rewrites what it said earlier: that evaluation moves,
    whole, into `because`, as an earlier decision does. Merging the same evaluation twice changes nothing.
    """
    merged = Merged([], [], [])
    fresh = {(outcome.rule_id, outcome.client_id): outcome for outcome in outcomes}
    for row in existing.values():
        outcome = fresh.pop((row.rule_id, row.client_id), None) or _gone(row)
        after = _follow(row, outcome, now)
        if after is row or after == row:
            continue
        (merged.reopened if after.decision != row.decision else merged.changed).append(row)
        for name in row.__struct_fields__:
            setattr(row, name, getattr(after, name))
    merged.new.extend(Obligation(id=new_id(), **_columns(outcome)) for outcome in fresh.values() if _is_kept(outcome))
    return merged


def _is_kept(outcome: Outcome) -> bool:
    return outcome.is_near if outcome.outcome == "not_triggered" else outcome.is_asked


def _follow(row: Obligation, outcome: Outcome, now: datetime) -> Obligation:
    """`row` as the evaluation leaves it: see `merge` for which rows follow."""
    if row.notified_at is not None:
        return row
    if row.decision in DECIDED_AGAINST and RANK[outcome.outcome] <= RANK[row.outcome]:
        return row
    columns = _columns(outcome) | under_delay(outcome.due_at, row.delay)
    if all(getattr(row, name) == columns[name] for name in EVALUATED) and _reasons(row) == outcome.because:
        return row
    kept = [entry for entry in row.because if not isinstance(entry, str)]
    if row.rule_version != outcome.rule_version:
        kept.append(_earlier(row, outcome, now))
    after = structs.replace(row, **{**columns, "because": [*outcome.because, *kept]})
    if after.due_at != row.due_at and after.due_at is not None and after.due_at > now:
        after.overdue_announced_at = after.unassessed_announced_at = None
    if row.decision in DECIDED_AGAINST:
        reason = f"The outcome rose from {row.outcome} to {outcome.outcome} after the decision."
        return reopened(after, reason, now, outcome_then=row.outcome)
    return after


def _earlier(row: Obligation, outcome: Outcome, now: datetime) -> dict[str, Any]:
    """What the rule said before it was changed, as an entry of `because`."""
    said = {name: value for name in EVALUATED if (value := getattr(row, name)) not in (None, [])}
    return {
        "earlier_evaluation": to_builtins({**said, "because": _reasons(row)}),
        "replaced_at": instant_text(now),
        "reason": f"Version {outcome.rule_version} of the rule replaced version {row.rule_version}.",
    }


def _columns(outcome: Outcome) -> dict[str, Any]:
    """The outcome as columns of a row of its own: lists are copied, since an outcome may serve many incidents."""
    told = {name: getattr(outcome, name) for name in COLUMNS}
    return {name: list(value) if isinstance(value, list) else value for name, value in told.items()}


def _reasons(row: Obligation) -> list[str]:
    """What the evaluation said, without the earlier decisions kept beside it."""
    return [entry for entry in row.because if isinstance(entry, str)]


def _gone(row: Obligation) -> Outcome:
    """What stands for a row whose rule, or whose client among the affected ones, no longer appears."""
    told = {name: getattr(row, name) for name in COLUMNS}
    clock = {"clock_started_at": None, "pending_clock": False, "due_at": None, "guideline_due_at": None}
    because = ["The rule no longer concerns this incident or this client."]
    return Outcome(**{**told, **clock, "outcome": "not_triggered", "because": because, "missing_facts": []})
