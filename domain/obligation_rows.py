"""The grammar of the rules that say who must be told: what a row of data/obligations may say, checked when loaded.

The head of data/obligations.yaml tells how each word is read.
"""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.deadlines import parse_duration
from domain.facts import DATA_TYPES

Toward = Literal["client", "regulator", "individuals", "counsel", "third_party", "internal"]
"""`third_party` are media and consumer reporting agencies, `internal` is a record or an assessment of our own."""

RuleId = Annotated[str, Field(pattern=r"^OB-[A-Z0-9]+(-[A-Z0-9]+)*$")]
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
    "in_eu": "residents_by_jurisdiction",
    "in_uk": "residents_by_jurisdiction",
    "in_canada": "residents_by_jurisdiction",
    "in_quebec": "residents_by_jurisdiction",
    "in_australia": "residents_by_jurisdiction",
}
"""Names a rule may use beside the facts, and how a missing one is called toward people.

`*_role` is our role for the data of the party looked at; `sectors` the regulated sectors of our organisation;
`known_events` the clock events that are set; `playbook` the slug of the one that the incident runs; `outcomes` those
of the rules named in `after`; `in_*` whether affected people, the client or our organisation are in that territory.
"""

COUNTS = frozenset({"individuals_count", "record_count", "residents"})
"""Names whose value may be a range; a threshold over a range that includes it is unknown, not met and not missed."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Cel = Annotated[str, Field(min_length=1, max_length=1000)]


class LimitRow(_Strict):
    """A time limit from an event: a duration or a number of business days, exactly one.

    `submission_of` names the rule whose sent notice is the event; until it went out, an instant set by hand counts.
    """

    event: ClockEvent
    submission_of: RuleId | None = None
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
    `at_once`: the law has no figure and says immediately, so that the guideline is the event itself.
    """

    caps: tuple[LimitRow, ...] = ()
    worst_case: str | None = None
    at_once: bool = False

    @model_validator(mode="after")
    def _worst_case_is_a_duration(self) -> Self:
        if self.worst_case is not None:
            parse_duration(self.worst_case)
        if self.at_once and (self.duration or self.business_days):
            raise ValueError("a clock with a figure is not `at_once`")
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


class EffectiveRow(_Strict):
    """A date from which a rule is in force, where the condition is not ruled out."""

    when: Cel
    since: date


class RuleRow(_Strict):
    """One row of the table; see the head of data/obligations.yaml for how each field is read."""

    id: RuleId
    version: str
    group: str
    title: str
    toward: Toward
    recipient: str
    channel: str | None = None
    content_requirements: tuple[str, ...] = ()
    per: Literal["incident", "client", "jurisdiction"] = "incident"
    residents: ResidentsRow | None = None
    asks: Cel | None = None
    applies: Cel | None = None
    applies_text: str | None = None
    trigger: Cel
    elements: ElementsRow | None = None
    threshold: ThresholdRow | None = None
    clients_duty: RemarkRow | None = None
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
    guideline: str | None = None
    citation: str
    as_of: Annotated[str, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")]
    confidence: Literal["H", "M", "L"]
    status: Literal["active", "advisory", "pending"] = "active"
    effective_from: date | None = None
    effective: tuple[EffectiveRow, ...] = ()
    before_effective: Literal["not_in_force", "needs_legal"] = "not_in_force"
    note: str | None = None
    basis: Literal["S", "A", "X", "law"] = "law"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.residents is None and self.per == "jurisdiction":
            raise ValueError("`per: jurisdiction` needs `residents`")
        if self.residents is not None and self.per == "incident":
            raise ValueError("`residents` are counted `per: jurisdiction`, or per client")
        if self.guideline is not None:
            parse_duration(self.guideline)
        if self.effective_from is not None and self.effective:
            raise ValueError("a rule has one date from which it is in force, or dates by condition")
        if self.threshold is not None and self.threshold.fact == "residents" and self.residents is None:
            raise ValueError("a threshold on residents needs `residents`")
        if self.contract and (self.per != "client" or self.toward != "client"):
            raise ValueError("a contract rule runs per client, toward the client")
        if (self.order is None) != (not self.order_of):
            raise ValueError("`order` and `order_of` go together")
        return self


class CatalogueRow(_Strict):
    """The whole catalogue. `sectors` are the words of a profile that rules know, `territories` codes by `in_*` name."""

    version: str
    stale_after: str
    guideline: str
    sectors: Mapping[str, str] = {}
    territories: Mapping[str, tuple[str, ...]] = {}
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
            if not known.issuperset(
                limit.submission_of for limit in (rule.clock, *rule.clock.caps) if limit.submission_of
            ):
                raise ValueError(f"{rule.id} waits for the notice of a rule that does not exist")
            seen.add(rule.id)
        return self
