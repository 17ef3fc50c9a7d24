"""The rules that say who must be told: read from data/obligations.yaml, checked once, then immutable.

Whoever adds a law adds a row there, or to a file of data/obligations/. The grammar of a row is domain/obligation_rows;
the structs here are what the evaluation reads, with every expression compiled and its names checked.
"""

from collections.abc import Mapping, Set
from datetime import date
from functools import cache
from typing import Any

from msgspec import Struct

from domain.expressions import Expression, compile_expression
from domain.facts import FACTS
from domain.obligation_rows import SUBJECT_NAMES, CatalogueRow, ElementsRow, LimitRow, RemarkRow, ResidentsRow, RuleRow
from domain.shipped import shipped, shipped_names
from domain.statutes import rows_of

__all__ = [
    "SUBJECT_NAMES",
    "Catalogue",
    "Clock",
    "Limit",
    "Rule",
    "Threshold",
    "catalogue",
    "contract_rules",
    "load",
    "rules",
]


class Limit(Struct, frozen=True, kw_only=True):
    """A time limit; neither `duration` nor `business_days` means that the law gives no figure."""

    event: str
    submission_of: str | None = None
    duration: str | None = None
    business_days: int | None = None
    country: str | None = None
    subdivision: str | None = None


class Clock(Struct, frozen=True, kw_only=True):
    """The main limit, its caps, and what stands in for it while its event is unset."""

    limit: Limit
    caps: tuple[Limit, ...] = ()
    worst_case: str | None = None
    at_once: bool = False


class Threshold(Struct, frozen=True, kw_only=True):
    """A bound on a count, and the words for it."""

    fact: str
    at_least: int | None = None
    more_than: int | None = None
    fewer_than: int | None = None

    def met(self, count: int) -> bool:
        """Whether exactly `count` reaches the bound."""
        if self.at_least is not None:
            return count >= self.at_least
        if self.more_than is not None:
            return count > self.more_than
        return count < (self.fewer_than or 0)

    def words(self) -> str:
        """The bound as a phrase, such as "500 or more"."""
        if self.at_least is not None:
            return f"{self.at_least} or more"
        if self.more_than is not None:
            return f"more than {self.more_than}"
        return f"fewer than {self.fewer_than}"


class Residents(Struct, frozen=True):
    """Whose residents a rule counts: ISO 3166 codes, less some."""

    within: frozenset[str]
    outside: frozenset[str]
    single: str | None  # the one subdivision that is counted, where it is one

    def counts(self, place: str) -> bool:
        """Whether a place is one of the codes or lies in one: `US` counts `US-CA`."""
        return covers(self.within, place) and not covers(self.outside, place)


def covers(codes: Set[str], place: str) -> bool:
    """Whether a place (ISO 3166-1 or -2) is one of these codes or lies in a country that is."""
    return place in codes or place.partition("-")[0] in codes


class Elements(Struct, frozen=True):
    """The element test of a statute. `listed` are the types that trigger and those that only counsel can place."""

    triggering: frozenset[str]
    listed: frozenset[str]


class Remark(Struct, frozen=True):
    """A condition and the sentence it adds."""

    when: Expression
    text: str


class Rule(Struct, frozen=True, kw_only=True):
    """A rule ready to run. Field by field the row, expressions compiled."""

    row: RuleRow
    id: str  # such as `OB-S-1`
    residents: Residents | None
    elements: Elements | None
    asks: Expression | None
    applies: Expression | None
    trigger: Expression
    threshold: Threshold | None
    clients_duty: Remark | None
    effective: tuple[tuple[Expression, date], ...]
    exempt: tuple[Remark, ...]
    needs_legal: tuple[Remark, ...]
    legal_test_met: Expression | None
    remarks: tuple[Remark, ...]
    clock: Clock
    expressed: frozenset[str]  # names that the expressions look at
    names: frozenset[str]  # these and what thresholds, elements and places look at: all that may decide


class Catalogue(Struct, frozen=True, kw_only=True):
    """All rules in the order they run, and the two durations that concern all of them."""

    version: str
    stale_after: str  # a rule whose `as_of` is older gets a warning
    guideline: str  # from discovery, where the law gives no figure and the tenant sets none
    rules: tuple[Rule, ...]
    sectors: Mapping[str, str]
    territories: Mapping[str, frozenset[str]]

    def get(self, rule_id: str) -> Rule | None:
        """The rule with this id, None when there is none."""
        return next((rule for rule in self.rules if rule.id == rule_id), None)


@cache
def catalogue() -> Catalogue:
    """The shipped rules. Raises ValueError when the packaged file is wrong, which a test would have shown."""
    content = shipped("obligations.yaml")
    for name in shipped_names("obligations"):
        part = shipped(name)
        content["rules"] += part.get("rules", []) + rows_of(part.get("statutes"))
    return load(content)


def rules() -> tuple[Rule, ...]:
    """The shipped rules in the order they run."""
    return catalogue().rules


@cache
def contract_rules() -> frozenset[str]:
    """The rules whose duty is one by contract, which counts otherwise in the severity than one by law (floor F10)."""
    return frozenset(rule.id for rule in rules() if rule.row.contract)


def load(content: Any) -> Catalogue:
    """The rules of a rule file, given its content as YAML reads it. Raises ValueError naming what is wrong."""
    row = CatalogueRow.model_validate(content)
    return Catalogue(
        version=row.version,
        stale_after=row.stale_after,
        guideline=row.guideline,
        rules=tuple(_compile(rule) for rule in row.rules),
        sectors=row.sectors,
        territories={name: frozenset(codes) for name, codes in row.territories.items()},
    )


def _compile(row: RuleRow) -> Rule:
    if not NAMES.issuperset(row.mentions):
        raise ValueError(f"{row.id} mentions an unknown fact")
    met = row.legal_test.met if row.legal_test else None
    asks, applies, trigger = _optional(row.asks), _optional(row.applies), _expression(row.trigger)
    exempt, needs_legal = _remarks(row.exempt), _remarks(row.needs_legal)
    deciding = [asks, applies, trigger, _optional(met), *(remark.when for remark in (*exempt, *needs_legal))]
    expressed = frozenset(name for expression in deciding if expression for name in expression.names)
    return Rule(
        row=row,
        id=row.id,
        residents=_residents(row.residents),
        elements=_elements(row.elements),
        asks=asks,
        applies=applies,
        trigger=trigger,
        threshold=Threshold(**row.threshold.model_dump()) if row.threshold else None,
        clients_duty=_remarks((row.clients_duty,))[0] if row.clients_duty else None,
        effective=tuple((_expression(one.when), one.since) for one in row.effective),
        exempt=exempt,
        needs_legal=needs_legal,
        legal_test_met=_optional(met),
        remarks=_remarks(row.remarks),
        clock=Clock(
            limit=Limit(**row.clock.model_dump(include=set(LimitRow.model_fields))),
            caps=tuple(Limit(**cap.model_dump()) for cap in row.clock.caps),
            worst_case=row.clock.worst_case,
            at_once=row.clock.at_once,
        ),
        expressed=expressed,
        names=expressed
        | ({row.threshold.fact} if row.threshold else frozenset())
        | ({"data_types"} if row.elements else frozenset())
        | ({"residents_by_jurisdiction"} if row.residents else frozenset()),
    )


def _residents(row: ResidentsRow | None) -> Residents | None:
    if row is None:
        return None
    single = row.within[0] if len(row.within) == 1 and "-" in row.within[0] and not row.outside else None
    return Residents(frozenset(row.within), frozenset(row.outside), single)


def _elements(row: ElementsRow | None) -> Elements | None:
    return Elements(frozenset(row.triggering), frozenset(row.triggering + row.needs_legal)) if row else None


NAMES = frozenset(FACTS) | SUBJECT_NAMES.keys()


def _expression(text: str) -> Expression:
    return compile_expression(text, NAMES, shipped=True)


def _optional(text: str | None) -> Expression | None:
    return _expression(text) if text else None


def _remarks(rows: tuple[RemarkRow, ...]) -> tuple[Remark, ...]:
    return tuple(Remark(_expression(row.when), row.text) for row in rows)
