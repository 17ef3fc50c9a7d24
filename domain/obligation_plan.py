"""The order in which notices go out: by date, then by what the laws say about who hears first."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TypeVar

from domain.obligation_rules import Rule
from domain.obligation_rules import rules as shipped_rules
from domain.obligations import Outcome
from domain.record import Obligation

NEVER = datetime.max.replace(tzinfo=UTC)


AnyOwed = TypeVar("AnyOwed", Obligation, Outcome)


def in_order(rows: Iterable[AnyOwed], rules: Iterable[Rule] | None = None) -> list[AnyOwed]:
    """`rows` by due date (the guideline where the law gives none), undated last.

    A rule that has to be met before another one, or together with it, moves ahead of it: some authorities hear before
    the individuals do. Rows of rules that no longer exist keep their date's place.
    """
    ordered = sorted(rows, key=lambda row: (row.due_at or row.guideline_due_at or NEVER, row.rule_id))
    for rule in shipped_rules() if rules is None else rules:
        for row in [row for row in ordered if row.rule_id == rule.id and rule.row.order is not None]:
            later = [at for at, other in enumerate(ordered) if _follows(other, row, rule)]
            here = ordered.index(row)
            if later and later[0] < here:
                ordered.insert(later[0], ordered.pop(here))
    return ordered


def _follows(other: Obligation | Outcome, row: Obligation | Outcome, rule: Rule) -> bool:
    return other.rule_id in rule.row.order_of and other.client_id == row.client_id
