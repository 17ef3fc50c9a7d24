"""The rules that say who must be told: read from data/obligations.yaml, checked once, then immutable.

Whoever adds a law adds a row there. The Pydantic models below are the grammar of a row; the structs are what the
evaluation reads, with every expression compiled and its names checked.
"""

from collections.abc import Mapping
from datetime import date
from functools import cache
from typing import Annotated, Any, Literal, Self

from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.deadlines import parse_duration
from domain.expressions import Expression, compile_expression
from domain.facts import DATA_TYPES, FACTS
from domain.shipped import shipped

Toward = Literal["client", "regulator", "individuals", "counsel"]
ClockEvent = Literal[
    "discovered_at",
    "aware_at",
    "determined_at",
    "classified_at",
    "materiality_determined_at",
    "notified_by_vendor_at",
    "individuals_notified_at",
    "hhs_notified_at",
    "authority_notified_at",
    "intermediate_reported_at",
    "payment_made_at",
    "assess_due_at",
    "year_end",
]

SUBJECT_NAMES: Mapping[str, str] = {
    "hipaa_role": "client.hipaa_role",
    "gdpr_role": "client.gdpr_role",
    "data_role": "client.data_role",
    "ai_act_role": "org.ai_act_role",
    "sectors": "org.sectors",
    "client_sectors": "client.sectors",
    "jurisdiction": "residents_by_jurisdiction",
    "residents": "residents_by_jurisdiction",
    "known_events": "known_events",
    "playbook": "playbook",
    "outcomes": "outcomes",
}
"""Names a rule may use beside the facts, and how a missing one is called toward people.

`*_role` is our role for the data of the party looked at; `sectors` the regulated sectors of our organisation;
`known_events` the clock events that are set; `playbook` the slug of the one that the incident runs; `outcomes` those
of the rules named in `after`.
"""

COUNTS = frozenset({"individuals_count", "record_count", "residents"})
"""Names whose value may be a range; a threshold over a range that includes it is unknown, not met and not missed."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Cel = Annotated[str, Field(min_length=1, max_length=1000)]


class LimitRow(_Strict):
    """A time limit from an event: a duration or a number of business days, exactly one."""

    event: ClockEvent
    duration: str | None = None
    business_days: Annotated[int, Field(ge=1, le=260)] | None = None
    country: str | None = None  # whose public holidays business days skip; None = the tenant's calendar
    subdivision: str | None = None

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if self.duration is not None:
            parse_duration(self.duration)
        if self.duration is not None and self.business_days is not None:
            raise ValueError("a limit has a duration or business days, not both")
        if self.business_days is None and (self.country or self.subdivision):
            raise ValueError("a country only matters for business days")
        return self


class ClockRow(LimitRow):
    """The clock of a rule. `caps` are further limits: the earliest of all counts. No measure = the law has no figure.

    `worst_case` replaces the duration while the event is unset; it runs from discovery as everything unset does.
    """

    caps: tuple[LimitRow, ...] = ()
    worst_case: str | None = None

    @model_validator(mode="after")
    def _worst_case_is_a_duration(self) -> Self:
        if self.worst_case is not None:
            parse_duration(self.worst_case)
        return self


class ThresholdRow(_Strict):
    """How many it takes. Exactly one bound; `at_least` includes its figure, the other two do not."""

    fact: str
    at_least: int | None = None
    more_than: int | None = None
    fewer_than: int | None = None

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if sum(bound is not None for bound in (self.at_least, self.more_than, self.fewer_than)) != 1:
            raise ValueError("a threshold has exactly one bound")
        if self.fact not in COUNTS:
            raise ValueError(f"{self.fact} is not a count")
        return self


class ElementsRow(_Strict):
    """The element test of a statute: which data types are listed, and which ones only counsel can place."""

    triggering: tuple[str, ...]
    needs_legal: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _known_types(self) -> Self:
        unknown = {*self.triggering, *self.needs_legal} - set(DATA_TYPES)
        if unknown:
            raise ValueError(f"{sorted(unknown)} are not data types")
        return self


class ResidentsRow(_Strict):
    """Run the rule per jurisdiction with residents: codes or prefixes (`US` covers `US-CA`), less the tabled ones."""

    within: Annotated[tuple[str, ...], Field(min_length=1)]
    outside: tuple[str, ...] = ()


class RemarkRow(_Strict):
    """A sentence that is added to the reasons when the condition holds."""

    when: Cel
    text: str


class LegalTestRow(_Strict):
    """A test that only a person can answer. Until `met` is true the outcome stays `likely`."""

    question: str
    met: Cel | None = None


class RuleRow(_Strict):
    """One row of the table; see the head of data/obligations.yaml for how each field is read."""

    id: Annotated[str, Field(pattern=r"^OB-[A-Z0-9]+(-[A-Z0-9]+)*$")]
    version: str
    group: str
    title: str
    toward: Toward
    recipient: str
    channel: str | None = None
    content_requirements: tuple[str, ...] = ()
    per: Literal["incident", "client", "jurisdiction"] = "incident"
    residents: ResidentsRow | None = None
    applies: Cel | None = None
    applies_text: str | None = None
    trigger: Cel
    elements: ElementsRow | None = None
    threshold: ThresholdRow | None = None
    exempt: tuple[RemarkRow, ...] = ()
    needs_legal: tuple[RemarkRow, ...] = ()
    legal_test: LegalTestRow | None = None
    remarks: tuple[RemarkRow, ...] = ()
    mentions: tuple[str, ...] = ()
    contract: bool = False
    after: tuple[str, ...] = ()
    order: Literal["before", "with"] | None = None
    order_of: tuple[str, ...] = ()
    clock: ClockRow
    citation: str
    as_of: Annotated[str, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")]
    confidence: Literal["H", "M", "L"]
    status: Literal["active", "advisory", "pending"] = "active"
    effective_from: date | None = None
    before_effective: Literal["not_in_force", "needs_legal"] = "not_in_force"
    note: str | None = None
    basis: Literal["S", "A", "X", "law"] = "law"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.per == "jurisdiction") != (self.residents is not None):
            raise ValueError("`residents` and `per: jurisdiction` go together")
        if self.threshold is not None and self.threshold.fact == "residents" and self.residents is None:
            raise ValueError("a threshold on residents needs `per: jurisdiction`")
        if self.contract and (self.per != "client" or self.toward != "client"):
            raise ValueError("a contract rule runs per client, toward the client")
        if (self.order is None) != (not self.order_of):
            raise ValueError("`order` and `order_of` go together")
        return self


class CatalogueRow(_Strict):
    """The whole file."""

    version: str
    stale_after: str
    guideline: str
    rules: tuple[RuleRow, ...]

    @model_validator(mode="after")
    def _references(self) -> Self:
        parse_duration(self.stale_after)
        parse_duration(self.guideline)
        seen: set[str] = set()
        known = {rule.id for rule in self.rules}
        for rule in self.rules:
            if rule.id in seen:
                raise ValueError(f"{rule.id} appears twice")
            if not seen.issuperset(rule.after):
                raise ValueError(f"{rule.id} depends on a rule that does not stand before it")
            if not known.issuperset(rule.order_of):
                raise ValueError(f"{rule.id} is ordered relative to a rule that does not exist")
            seen.add(rule.id)
        return self


class Limit(Struct, frozen=True, kw_only=True):
    """A time limit; neither `duration` nor `business_days` means that the law gives no figure."""

    event: str
    duration: str | None = None
    business_days: int | None = None
    country: str | None = None
    subdivision: str | None = None


class Clock(Struct, frozen=True, kw_only=True):
    """The main limit, its caps, and what stands in for it while its event is unset."""

    limit: Limit
    caps: tuple[Limit, ...] = ()
    worst_case: str | None = None


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


class Remark(Struct, frozen=True):
    """A condition and the sentence it adds."""

    when: Expression
    text: str


class Rule(Struct, frozen=True, kw_only=True):
    """A rule ready to run. Field by field the row, expressions compiled."""

    row: RuleRow
    applies: Expression | None
    trigger: Expression
    threshold: Threshold | None
    exempt: tuple[Remark, ...]
    needs_legal: tuple[Remark, ...]
    legal_test_met: Expression | None
    remarks: tuple[Remark, ...]
    clock: Clock

    @property
    def id(self) -> str:
        """The rule's id, such as `OB-S-1`."""
        return self.row.id


class Catalogue(Struct, frozen=True, kw_only=True):
    """All rules in the order they run, and the two durations that concern all of them."""

    version: str
    stale_after: str  # a rule whose `as_of` is older gets a warning
    guideline: str  # from discovery, where the law gives no figure and the tenant sets none
    rules: tuple[Rule, ...]

    def get(self, rule_id: str) -> Rule | None:
        """The rule with this id, None when there is none."""
        return next((rule for rule in self.rules if rule.id == rule_id), None)


@cache
def catalogue() -> Catalogue:
    """The shipped rules. Raises ValueError when the packaged file is wrong, which a test would have shown."""
    return load(shipped("obligations.yaml"))


def rules() -> tuple[Rule, ...]:
    """The shipped rules in the order they run."""
    return catalogue().rules


def load(content: Any) -> Catalogue:
    """The rules of a rule file, given its content as YAML reads it. Raises ValueError naming what is wrong."""
    row = CatalogueRow.model_validate(content)
    return Catalogue(
        version=row.version,
        stale_after=row.stale_after,
        guideline=row.guideline,
        rules=tuple(_compile(rule) for rule in row.rules),
    )


def _compile(row: RuleRow) -> Rule:
    names = frozenset(FACTS) | SUBJECT_NAMES.keys()
    if not names.issuperset(row.mentions):
        raise ValueError(f"{row.id} mentions an unknown fact")

    def expression(text: str) -> Expression:
        return compile_expression(text, names, shipped=True)

    def remarks(rows: tuple[RemarkRow, ...]) -> tuple[Remark, ...]:
        return tuple(Remark(expression(remark.when), remark.text) for remark in rows)

    met = row.legal_test.met if row.legal_test else None
    return Rule(
        row=row,
        applies=expression(row.applies) if row.applies else None,
        trigger=expression(row.trigger),
        threshold=Threshold(**row.threshold.model_dump()) if row.threshold else None,
        exempt=remarks(row.exempt),
        needs_legal=remarks(row.needs_legal),
        legal_test_met=expression(met) if met else None,
        remarks=remarks(row.remarks),
        clock=Clock(
            limit=Limit(**row.clock.model_dump(include=set(LimitRow.model_fields))),
            caps=tuple(Limit(**cap.model_dump()) for cap in row.clock.caps),
            worst_case=row.clock.worst_case,
        ),
    )
