"""The order in which notices go out: by date, then by what the laws say about who hears first."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TypeVar

from domain.obligation_rules import Rule
from domain.obligation_rules import rules as shipped_rules
from domain.obligations import Outcome
from domain.record import Obligation

NEVER = datetime.max.replace(tzinfo=UTC)
JUST_BEFORE = timedelta(microseconds=1)


AnyOwed = TypeVar("AnyOwed", Obligation, Outcome)


def in_order(rows: Iterable[AnyOwed], rules: Iterable[Rule] | None = None) -> list[AnyOwed]:
    """`rows` by due date (the guideline where the law gives none), undated last.

    A rule that has to be met before another one, or together with it, moves ahead of it: some authorities hear before
    the individuals do. Rows of rules that no longer exist keep their date's place.
    """
    by_rule = sorted(rows, key=lambda row: row.rule_id)
    places = _places(by_rule, _ordering() if rules is None else [rule for rule in rules if rule.row.order is not None])
    return [by_rule[at] for at in sorted(range(len(by_rule)), key=lambda at: places[at])]


def settle_order(rows: Iterable[Obligation]) -> None:
    """Note on each row that moves ahead of another one the instant by which it is listed."""
    owed = [row for row in rows if row.outcome != "not_triggered"]
    for row, place in zip(owed, _places(owed, _ordering()), strict=True):
        row.listed_at = None if place == _date(row) else place


def _places(rows: Sequence[Obligation | Outcome], ordering: Iterable[Rule]) -> list[datetime]:
    """For each row the instant by which it is listed: its date, or just before the first of those it goes ahead of."""
    places = [_date(row) for row in rows]
    for rule in ordering:
        for at, row in enumerate(rows):
            if row.rule_id == rule.id:
                others = zip(rows, places, strict=True)
                later = min((place for other, place in others if _follows(other, row, rule)), default=None)
                if later is not None and later <= places[at]:
                    places[at] = later - JUST_BEFORE
    return places


@cache
def _ordering() -> tuple[Rule, ...]:
    """The shipped rules that say who hears first."""
    return tuple(rule for rule in shipped_rules() if rule.row.order is not None)


def _date(row: Obligation | Outcome) -> datetime:
    return row.due_at or row.guideline_due_at or NEVER


def _follows(other: Obligation | Outcome, row: Obligation | Outcome, rule: Rule) -> bool:
    return other.rule_id in rule.row.order_of and other.client_id == row.client_id
