"""Obligations: which duties to notify an incident may bring, toward whom and until when.

`evaluate` runs the rules over the known facts, `merge` brings the result together with the stored rows and the
decisions people made on them. No rule decides that nothing is owed: that takes a person (domain/obligation_decisions).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from msgspec import Struct, field, msgpack, structs

from domain.contract_notices import ContractClause, Notice, judge_clauses
from domain.deadlines import Calendar, add_duration
from domain.facts import FACTS, variable
from domain.legal_clocks import Instants, Timing, due_of, timing
from domain.obligation_decisions import DECIDED_AGAINST, reopened
from domain.obligation_findings import RANK, Asking, Finding, find, remarks
from domain.obligation_rules import Limit, Rule
from domain.obligation_rules import catalogue as shipped_catalogue
from domain.record import Obligation

MAINTAINER_ROLES = frozenset({"processor", "business_associate"})
OWNER_ROLES = frozenset({"controller", "covered_entity"})


class ClientProfile(Struct, frozen=True, kw_only=True):
    """An affected client as the rules need to know it. Roles are OUR roles for its data; None is unknown."""

    id: UUID
    name: str = ""
    hipaa_role: str | None = None  # covered_entity | business_associate | none
    gdpr_role: str | None = None  # controller | processor | none
    data_role: str | None = None  # owner | maintainer | none; follows from the other two when unset
    sectors: tuple[str, ...] | None = None
    jurisdictions: tuple[str, ...] = ()
    clauses: tuple[ContractClause, ...] = ()


class Outcome(Struct, frozen=True, kw_only=True):
    """The result of one rule, for one client where the rule runs per client. `because` are sentences for people."""

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


EVALUATED = tuple(name for name in Outcome.__struct_fields__ if name != "because")
"""Columns of a row that follow the evaluation as they are."""


class Merged(NamedTuple):
    """Rows to add, rows that changed, and rows that were decided and are open again. No row is in two of them."""

    new: list[Obligation]
    changed: list[Obligation]
    reopened: list[Obligation]


class Party(NamedTuple):
    """Whom a rule is evaluated for: a client, or None for the incident as a whole, and what is known about it."""

    client: ClientProfile | None
    ask: Asking


class Terms(Struct, frozen=True, kw_only=True):
    """What all rules of one evaluation share."""

    facts: Mapping[str, Any]
    instants: Instants
    now: datetime
    calendar: Calendar
    stale_after: str
    guideline: str

    @property
    def discovered_on(self) -> date:
        """The day of discovery in the tenant's zone or in UTC, the later one: a new rule rather early than late."""
        discovered_at = self.instants["discovered_at"]
        if discovered_at is None:
            raise ValueError("obligations need the instant of discovery")
        local = discovered_at.astimezone(self.calendar.zone)
        return max(discovered_at.astimezone(UTC).date(), local.date())


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
) -> list[Outcome]:
    """Run the rules over what is known; one outcome per rule, per affected client where the rule says so.

    `facts` holds known values only and `unknown` the names without one. Counts may be ranges {min, max}, which is
    what `facts.known_values` gives: a bound inside a range is an open question. `instants` are the clock events, None
    or absent while unset; `discovered_at` has to be there, moved to the start of its hour or day where it is no
    preciser. `guideline` is the tenant's duration for duties without a figure, `playbook` the slug of the one that the
    incident runs. Rules with status `pending` do not run; an advisory one never yields `required`. The caller stores
    what `merge` makes of the outcomes. Raises ValueError without the instant of discovery.
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
    )
    if rules is not None:
        return list(_run(terms, tuple(clients), organisation, tuple(rules)))
    return list(_answer(_Question(terms, tuple(clients), organisation)))


class _Question:
    """An evaluation of the shipped rules, equal to another one that must have the same answer.

    Nearly every change of an incident leaves its facts alone, so nearly every evaluation has been done before.
    """

    __slots__ = ("clients", "key", "organisation", "terms")

    def __init__(self, terms: Terms, clients: tuple[ClientProfile, ...], organisation: Mapping[str, Any]) -> None:
        self.terms, self.clients, self.organisation = terms, clients, organisation
        # Of `now` only the day matters: a rule grows old at midnight (UTC).
        day = terms.now.astimezone(UTC).date()
        parts = (terms.facts, terms.instants, clients, organisation, terms.guideline, day)
        self.key = (msgpack.encode(parts, order="sorted"), terms.calendar)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Question) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@lru_cache(maxsize=512)
def _answer(question: _Question) -> tuple[Outcome, ...]:
    return _run(question.terms, question.clients, question.organisation, shipped_catalogue().rules)


def _run(
    terms: Terms, clients: tuple[ClientProfile, ...], organisation: Mapping[str, Any], rules: tuple[Rule, ...]
) -> tuple[Outcome, ...]:
    whole, each = _parties(terms, clients, organisation)
    outcomes: list[Outcome] = []
    for rule in rules:
        if rule.row.status == "pending":
            continue
        earlier = [_as_variable(o) for o in outcomes if o.rule_id in rule.row.after]
        for party in each if rule.row.per == "client" and each else (whole,):
            ask = party.ask.also(outcomes=earlier) if rule.row.after else party.ask
            outcomes.append(_outcome(rule, Party(party.client, ask), terms))
    return tuple(outcomes)


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
    are. A row whose rule or client no longer appears becomes `not_triggered`. `not_triggered` never makes a row.
    Merging the same evaluation twice changes nothing.
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
    merged.new.extend(
        Obligation(id=new_id(), **_columns(outcome)) for outcome in fresh.values() if outcome.outcome != "not_triggered"
    )
    return merged


def _outcome(rule: Rule, party: Party, terms: Terms) -> Outcome:
    finding = find(rule, party.ask, terms.discovered_on)
    clock = timing(rule.clock, terms.instants, terms.calendar)
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
        guideline_due_at=_guideline(clock, finding.outcome, terms),
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


def _guideline(clock: Timing, outcome: str, terms: Terms) -> datetime | None:
    """Where the law gives no figure: the tenant's guideline, always from discovery."""
    discovered_at = terms.instants.get("discovered_at")
    if outcome == "not_triggered" or clock.due_at is not None or discovered_at is None:
        return None
    limit = Limit(event="discovered_at", duration=terms.guideline)
    return due_of(limit, terms.instants, terms.calendar)


def _parties(
    terms: Terms, clients: Sequence[ClientProfile], organisation: Mapping[str, Any]
) -> tuple[Party, list[Party]]:
    """The incident as a whole, and each affected client."""
    shared = dict(terms.facts)
    shared["known_events"] = sorted(name for name, instant in terms.instants.items() if instant is not None)
    if organisation.get("sectors") is not None:
        shared["sectors"] = list(organisation["sectors"])
    if organisation.get("ai_act_role") is not None:
        shared["ai_act_role"] = organisation["ai_act_role"]
    whole = Party(None, Asking({**shared, **_own_names(clients, organisation)}))
    return whole, [Party(client, Asking({**shared, **_client_names(client)})) for client in clients]


def _client_names(client: ClientProfile) -> dict[str, Any]:
    names: dict[str, Any] = _roles(client.hipaa_role, client.gdpr_role, client.data_role)
    if client.sectors is not None:
        names["client_sectors"] = list(client.sectors)
    return names


def _own_names(clients: Sequence[ClientProfile], organisation: Mapping[str, Any]) -> dict[str, Any]:
    """Roles for the incident as a whole: those all affected clients agree on; without clients our own."""
    if not clients:
        own = (organisation.get("hipaa_role"), organisation.get("gdpr_role"), organisation.get("data_role"))
        return _roles(*own)
    first, *others = (_client_names(client) for client in clients)
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}


def _roles(hipaa_role: str | None, gdpr_role: str | None, data_role: str | None) -> dict[str, Any]:
    """The known roles. Who is processor or business associate maintains the data, who is controller owns it."""
    held = {hipaa_role, gdpr_role}
    if data_role is None and held & OWNER_ROLES:
        data_role = "owner"
    elif data_role is None and held & MAINTAINER_ROLES:
        data_role = "maintainer"
    roles = {"hipaa_role": hipaa_role, "gdpr_role": gdpr_role, "data_role": data_role}
    return {name: role for name, role in roles.items() if role is not None}


def _plain(name: str, value: Any) -> Any:
    """Money as its amount, as conditions see it; everything else as it is, ranges included."""
    return variable(name, value) if isinstance(value, Mapping) and name in FACTS and "amount" in value else value


def _as_variable(outcome: Outcome) -> dict[str, Any]:
    return {"rule_id": outcome.rule_id, "outcome": outcome.outcome, "toward": outcome.toward}


def _follow(row: Obligation, outcome: Outcome, now: datetime) -> Obligation:
    """`row` as the evaluation leaves it: see `merge` for which rows follow."""
    if row.notified_at is not None:
        return row
    if row.decision in DECIDED_AGAINST and RANK[outcome.outcome] <= RANK[row.outcome]:
        return row
    if all(getattr(row, name) == getattr(outcome, name) for name in EVALUATED) and _reasons(row) == outcome.because:
        return row
    kept = [entry for entry in row.because if not isinstance(entry, str)]
    after = structs.replace(row, **{**_columns(outcome), "because": [*outcome.because, *kept]})
    if after.due_at != row.due_at and after.due_at is not None and after.due_at > now:
        after.overdue_announced_at = None
    if row.decision in DECIDED_AGAINST:
        reason = f"The outcome rose from {row.outcome} to {outcome.outcome} after the decision."
        return reopened(after, reason, now, outcome_then=row.outcome)
    return after


def _columns(outcome: Outcome) -> dict[str, Any]:
    """The outcome as columns of a row of its own: lists are copied, since an outcome may serve many incidents."""
    return {name: list(value) if isinstance(value, list) else value for name, value in structs.asdict(outcome).items()}


def _reasons(row: Obligation) -> list[str]:
    """What the evaluation said, without the earlier decisions kept beside it."""
    return [entry for entry in row.because if isinstance(entry, str)]


def _gone(row: Obligation) -> Outcome:
    """What stands for a row whose rule, or whose client among the affected ones, no longer appears."""
    told = {name: getattr(row, name) for name in Outcome.__struct_fields__}
    clock = {"clock_started_at": None, "pending_clock": False, "due_at": None, "guideline_due_at": None}
    because = ["The rule no longer concerns this incident or this client."]
    return Outcome(**{**told, **clock, "outcome": "not_triggered", "because": because, "missing_facts": []})
