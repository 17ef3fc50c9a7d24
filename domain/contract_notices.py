"""What the contracts with a client say about notice, applied to one incident (rule OB-S-3).

A contract rules through its clauses: of several that ask for notice the earliest date counts, and what a clause does
not say is a missing fact, never a reason to stay silent.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from domain.deadlines import Calendar, parse_duration
from domain.legal_clocks import Instants, Timing, due_of, start_of
from domain.obligation_rules import Limit

CLAUSE_CLOCKS = ("discovered_at", "aware_at", "determined_at")
THRESHOLDS = ("any", "confirmed", "personal_data")
NEEDED = ("notice_duration", "notice_clock", "recipient", "threshold")


class ContractClause(Struct, frozen=True, kw_only=True):
    """The notice clause of one contract with a client. None is data nobody has entered yet."""

    kind: str  # msa | dpa | baa
    notice_duration: str | None = None  # ISO 8601
    notice_clock: str | None = None  # discovered_at | aware_at | determined_at
    recipient: str | None = None
    method: str | None = None
    threshold: str | None = None  # any | confirmed | personal_data
    source_document: str | None = None
    clause: str | None = None

    def name(self) -> str:
        """The clause as people cite it."""
        parts = (self.kind.upper(), self.clause and f"clause {self.clause}", self.source_document)
        return ", ".join(part for part in parts if part)


class Notice(NamedTuple):
    """What all clauses together ask for. `recipient`, `method`, `citation` and `timing` are the governing clause's."""

    outcome: str
    because: tuple[str, ...]
    missing: tuple[str, ...] = ()
    timing: Timing | None = None
    recipient: str | None = None
    method: str | None = None
    citation: str | None = None


class _Reading(NamedTuple):
    clause: ContractClause
    outcome: str
    because: str
    missing: tuple[str, ...]
    timing: Timing | None


def judge_clauses(
    clauses: Sequence[ContractClause], facts: Mapping[str, Any], instants: Instants, calendar: Calendar
) -> Notice:
    """Apply every clause; the strongest outcome counts, and among the clauses that ask for notice the earliest date."""
    if not clauses:
        return Notice("needs_facts", ("No notice clause of this client is recorded.",), ("client.contract.clauses",))
    readings = [_read(clause, facts, instants, calendar) for clause in clauses]
    because = tuple(reading.because for reading in readings)
    missing = tuple(name for reading in readings for name in reading.missing)
    asking = sorted((reading for reading in readings if reading.outcome != "not_triggered"), key=_by_date)
    for outcome in ("required", "likely", "needs_facts"):
        governing = next((reading.clause for reading in asking if reading.outcome == outcome), None)
        if governing is not None:
            # A clause that is still open may fall due first: the earliest date has to hold for it as well.
            recipient, method = governing.recipient, governing.method
            return Notice(outcome, because, missing, asking[0].timing, recipient, method, governing.name())
    return Notice("not_triggered", because)


def _read(clause: ContractClause, facts: Mapping[str, Any], instants: Instants, calendar: Calendar) -> _Reading:
    prefix = f"client.contract.{clause.kind}."
    missing = [prefix + name for name in NEEDED if not _says(clause, name)]
    timing = _timing(clause, instants, calendar)
    name = clause.name()
    if clause.threshold == "personal_data":
        personal = facts.get("personal_data")
        if personal is False:
            text = f"{name}: asks for notice of personal data only; none is affected."
            return _Reading(clause, "not_triggered", text, (), None)
        if personal is None:
            missing.append("personal_data")
    if missing:
        return _Reading(clause, "needs_facts", f"{name}: not everything is known that decides.", tuple(missing), timing)
    within = f"notice to {clause.recipient} within {clause.notice_duration} of {clause.notice_clock}"
    if clause.threshold == "confirmed" and instants.get("determined_at") is None:
        text = f"{name}: {within}, once the incident is confirmed; it is not yet."
        return _Reading(clause, "likely", text, (), timing)
    return _Reading(clause, "required", f"{name}: {within}.", (), timing)


def _timing(clause: ContractClause, instants: Instants, calendar: Calendar) -> Timing | None:
    """The clause's clock; with the event unknown or unset, the worst case from discovery."""
    if not _says(clause, "notice_duration"):
        return None
    known = _says(clause, "notice_clock")
    event = clause.notice_clock if known and clause.notice_clock else "discovered_at"
    limit = Limit(event=event, duration=clause.notice_duration)
    started_at = start_of(limit, instants, calendar) if known else None
    return Timing(
        event=event,
        started_at=started_at,
        pending=started_at is None,
        due_at=due_of(limit, instants, calendar),
    )


def _by_date(reading: _Reading) -> tuple[bool, float]:
    due_at = reading.timing.due_at if reading.timing else None
    return (due_at is None, due_at.timestamp() if due_at else 0.0)


def _says(clause: ContractClause, name: str) -> bool:
    """Whether a clause says this, readably. What cannot be read is as good as missing."""
    if not getattr(clause, name):
        return False
    try:
        check_clause(ContractClause(kind=clause.kind, **{name: getattr(clause, name)}))
    except ValueError:
        return False
    return True


def check_clause(clause: ContractClause) -> None:
    """Refuse a clause that no evaluation could read. Raises ValueError."""
    if clause.notice_duration is not None:
        parse_duration(clause.notice_duration)
    if clause.notice_clock not in (None, *CLAUSE_CLOCKS):
        raise ValueError(f"notice_clock is one of {', '.join(CLAUSE_CLOCKS)}")
    if clause.threshold not in (None, *THRESHOLDS):
        raise ValueError(f"threshold is one of {', '.join(THRESHOLDS)}")
