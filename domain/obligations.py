"""Obligations: which duties to notify an incident may bring, toward whom and until when.

`evaluate` runs the rules over the known facts; domain/obligation_merging brings the result together with the stored
rows and the decisions people made on them. No rule decides that nothing is owed: that takes a person
(domain/obligation_decisions).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from msgspec import Struct, field, msgpack, structs

from domain.contract_notices import Notice, judge_clauses
from domain.deadlines import Calendar, add_duration
from domain.facts import FACTS, variable
from domain.legal_clocks import Instants, Timing, due_of, timing
from domain.obligation_findings import Asking, Finding, counted_places, find, remarks
from domain.obligation_parties import ClientProfile, Party, parties
from domain.obligation_rules import SUBJECT_NAMES, Limit, Rule
from domain.obligation_rules import catalogue as shipped_catalogue

__all__ = ["ClientProfile", "Outcome", "evaluate", "is_stale"]


class Outcome(Struct, frozen=True, kw_only=True):
    """The result of one rule, for one client where the rule runs per client. `because` are sentences for people.

    `owed_by` is `client` where the duty is the client's and not ours. `is_near`: not triggered and still worth keeping.
    `is_asked`: false where the rule keeps silent until other questions are answered.
    """

    rule_id: str
    rule_version: str
    client_id: UUID | None = None
    toward: str
    outcome: str
    because: list[str] = field(default_factory=list)
    missing_facts: list[str] = field(default_factory=list)
    recipient: str
    channel: str | None = None
    content_requirements: list[str] = field(default_factory=list)
    citation: str
    as_of: str
    confidence: str
    clock_event: str | None = None
    clock_started_at: datetime | None = None
    pending_clock: bool = False
    due_at: datetime | None = None
    guideline_due_at: datetime | None = None
    owed_by: str = "us"
    is_near: bool = False
    is_asked: bool = True
    deciding_facts: tuple[str, ...] = ()  # the known facts that the rule looked at, where everything is asked for


class Terms(Struct, frozen=True, kw_only=True):
    """What all rules of one evaluation share. `discovered_on` is the day that decides whether a rule is in force."""

    facts: Mapping[str, Any]
    instants: Instants
    now: datetime
    calendar: Calendar
    stale_after: str
    guideline: str
    discovered_on: date


def _day_of_discovery(instants: Instants, calendar: Calendar) -> date:
    """The day of discovery in the tenant's zone or in UTC, the later one: a new rule rather early than late."""
    discovered_at = instants["discovered_at"]
    if discovered_at is None:
        raise ValueError("obligations need the instant of discovery")
    return max(discovered_at.astimezone(UTC).date(), discovered_at.astimezone(calendar.zone).date())


def evaluate(
    *,
    facts: Mapping[str, Any],
    unknown: frozenset[str],
    clients: Sequence[ClientProfile],
    organisation: Mapping[str, Any],
    instants: Instants,
    now: datetime,
    calendar: Calendar,
    rules: Iterable[Rule] | None = None,
    guideline: str | None = None,
    playbook: str | None = None,
    stored: Collection[str] = (),
    everything: bool = False,
) -> list[Outcome]:
    """Run the rules over what is known; one outcome per rule, per affected client where the rule says so.

    `facts` holds known values only and `unknown` the names without one. Counts may be ranges {min, max}, which is
    what `facts.known_values` gives: a bound inside a range is an open question. `instants` are the clock events, None
    or absent while unset; `discovered_at` has to be there, moved to the start of its hour or day where it is no
    preciser. `guideline` is the tenant's duration for duties without a figure, `playbook` the slug of the one that the
    incident runs. Rules with status `pending` do not run; an advisory one never yields `required`.

    A rule that keeps silent, or that counts residents where there are none, has no outcome unless its id is in
    `stored` or `everything` is asked for. Raises ValueError without the instant of discovery.
    """
    shipped = shipped_catalogue()
    terms = Terms(
        facts={name: _plain(name, value) for name, value in facts.items() if name not in unknown}
        | ({"playbook": playbook} if playbook else {}),
        instants=instants,
        now=now,
        calendar=calendar,
        stale_after=shipped.stale_after,
        guideline=guideline or shipped.guideline,
        discovered_on=_day_of_discovery(instants, calendar),
    )
    wanted = None if everything else frozenset(stored)
    if rules is not None:
        return list(_run(terms, tuple(clients), organisation, tuple(rules), wanted))
    return list(_answer(_Question(terms, tuple(clients), organisation, wanted)))


class _Question:
    """An evaluation of the shipped rules, equal to another one that must have the same answer.

    Nearly every change of an incident leaves its facts alone, so nearly every evaluation has been done before.
    """

    __slots__ = ("clients", "key", "organisation", "terms", "wanted")

    def __init__(
        self,
        terms: Terms,
        clients: tuple[ClientProfile, ...],
        organisation: Mapping[str, Any],
        wanted: frozenset[str] | None,
    ) -> None:
        self.terms, self.clients, self.organisation, self.wanted = terms, clients, organisation, wanted
        # Of `now` only the day matters: a rule grows old at midnight (UTC).
        day = terms.now.astimezone(UTC).date()
        parts = (terms.facts, terms.instants, clients, organisation, terms.guideline, day)
        self.key = (msgpack.encode(parts, order="sorted"), terms.calendar, wanted)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Question) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@lru_cache(maxsize=512)
def _answer(question: _Question) -> tuple[Outcome, ...]:
    rules = shipped_catalogue().rules
    return _run(question.terms, question.clients, question.organisation, rules, question.wanted)


def _run(
    terms: Terms,
    clients: tuple[ClientProfile, ...],
    organisation: Mapping[str, Any],
    rules: tuple[Rule, ...],
    wanted: frozenset[str] | None,
) -> tuple[Outcome, ...]:
    known_events = sorted(name for name, instant in terms.instants.items() if instant is not None)
    whole, each = parties({**terms.facts, "known_events": known_events}, clients, organisation)
    outcomes: list[Outcome] = []
    for rule in rules if wanted is None else _speaking(rules, wanted, whole, each):
        if rule.row.status == "pending":
            continue
        earlier = [_as_variable(o) for o in outcomes if o.rule_id in rule.row.after] if rule.row.after else []
        clock: Timing | None = None  # the same for all parties
        for party in each if rule.row.per == "client" and each else (whole,):
            if wanted is not None and rule.id not in wanted and _keeps_silent(rule, party.ask):
                continue
            ask = party.ask.also(outcomes=earlier) if rule.row.after else party.ask
            clock = clock or timing(rule.clock, terms.instants, terms.calendar)
            outcome = _outcome(rule, Party(party.client, ask), clock, terms)
            outcomes.append(outcome if wanted is not None else _with_deciding(outcome, rule, ask))
    return tuple(outcomes)


def _speaking(rules: tuple[Rule, ...], wanted: frozenset[str], whole: Party, each: list[Party]) -> list[Rule]:
    """The rules that are worth a closer look: of an early incident, where nearly all keep silent, a handful."""
    parties = (whole, *each)
    loud = {asks: any(party.ask.holds(asks) for party in parties) for asks in {rule.asks for rule in rules} if asks}
    return [rule for rule in rules if rule.asks is None or loud[rule.asks] or rule.id in wanted]


def _with_deciding(outcome: Outcome, rule: Rule, ask: Asking) -> Outcome:
    names = (SUBJECT_NAMES.get(name, name) for name in rule.names if name in ask.known and name != "known_events")
    return structs.replace(outcome, deciding_facts=tuple(sorted(set(names))))


def _keeps_silent(rule: Rule, ask: Asking) -> bool:
    """Whether a rule has nothing to say yet, or nothing at all: it waits for other answers, or counts nobody."""
    if rule.asks is not None and ask.holds(rule.asks) is not True:
        return True
    counts = rule.asks is not None and rule.residents is not None and ask.places is not None
    return counts and not counted_places(rule, ask)


def _outcome(rule: Rule, party: Party, clock: Timing, terms: Terms) -> Outcome:
    finding = find(rule, party.ask, terms.discovered_on)
    notice: Notice | None = None
    if rule.row.contract and finding.outcome == "required":
        clauses = party.client.clauses if party.client else ()
        notice = judge_clauses(clauses, terms.facts, terms.instants, terms.calendar)
        finding = Finding(notice.outcome, (*finding.because, *notice.because), notice.missing)
        clock = notice.timing or clock
    if rule.row.status == "advisory" and finding.outcome == "required":
        finding = Finding("likely", (*finding.because, "Advisory: a person decides whether it applies."))
    because = list(finding.because)
    if finding.outcome == "not_triggered":
        clock = Timing(event=clock.event)
    else:
        because += _cautions(rule, party.ask, clock, terms)
    row = rule.row
    return Outcome(
        rule_id=row.id,
        rule_version=row.version,
        client_id=party.client.id if party.client else None,
        toward=row.toward,
        outcome=finding.outcome,
        because=because,
        missing_facts=list(dict.fromkeys(finding.missing)),
        recipient=(notice.recipient if notice else None) or row.recipient,
        channel=(notice.method if notice else None) or row.channel,
        content_requirements=list(row.content_requirements),
        citation=(notice.citation if notice else None) or row.citation,
        as_of=row.as_of,
        confidence=row.confidence,
        clock_event=clock.event,
        clock_started_at=clock.started_at,
        pending_clock=clock.pending,
        due_at=clock.due_at,
        guideline_due_at=_guideline(rule, clock, finding.outcome, terms),
        owed_by="client" if finding.is_clients else "us",
        is_near=finding.is_near,
        is_asked=rule.asks is None or party.ask.holds(rule.asks) is True,
    )


def _cautions(rule: Rule, ask: Asking, clock: Timing, terms: Terms) -> list[str]:
    texts = remarks(rule, ask)
    if is_stale(rule, terms.now, terms.stale_after):
        texts.append(f"This rule was last checked {rule.row.as_of}: confirm it with counsel.")
    if clock.pending and clock.due_at is not None:
        texts.append(f"{clock.event} is not set: the date is the worst case, counted from discovery.")
    return texts


def is_stale(rule: Rule, now: datetime, stale_after: str) -> bool:
    """Whether a rule was last checked longer ago than `stale_after` (ISO 8601), counted from the month's first day."""
    return now >= _stale_from(rule.row.as_of, stale_after)


@lru_cache(maxsize=256)
def _stale_from(as_of: str, stale_after: str) -> datetime:
    year, month = as_of.split("-")
    return add_duration(datetime(int(year), int(month), 1, tzinfo=UTC), stale_after)


def _guideline(rule: Rule, clock: Timing, outcome: str, terms: Terms) -> datetime | None:
    """Where the law gives no figure: the rule's or the tenant's guideline from discovery, or the event itself."""
    discovered_at = terms.instants.get("discovered_at")
    if outcome == "not_triggered" or clock.due_at is not None or discovered_at is None:
        return None
    if rule.clock.at_once:
        return clock.started_at or discovered_at
    limit = Limit(event="discovered_at", duration=rule.row.guideline or terms.guideline)
    return due_of(limit, terms.instants, terms.calendar)


def _plain(name: str, value: Any) -> Any:
    """Money as its amount, as conditions see it; everything else as it is, ranges included."""
    return variable(name, value) if isinstance(value, Mapping) and name in FACTS and "amount" in value else value


def _as_variable(outcome: Outcome) -> dict[str, Any]:
    return {"rule_id": outcome.rule_id, "outcome": outcome.outcome, "toward": outcome.toward}
