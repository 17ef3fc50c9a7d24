"""Factories for what obligations are computed from."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from domain.contract_notices import ContractClause
from domain.deadlines import Calendar
from domain.fact_types import FACTS
from domain.obligation_rules import load
from domain.obligations import ClientProfile, Outcome, evaluate

DISCOVERED = datetime(2026, 3, 2, 15, tzinfo=UTC)
NOW = datetime(2026, 3, 2, 16, tzinfo=UTC)
CLIENT = UUID(int=1)
OTHER = UUID(int=2)
PERSON = UUID(int=9)
RATIONALE = "Counsel and risk owner agree: nobody outside saw it."


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def run(
    facts: dict[str, Any],
    *clients: ClientProfile,
    instants: dict[str, datetime | None] | None = None,
    organisation: dict[str, Any] | None = None,
    made: list[dict[str, Any]] | None = None,
    now: datetime = NOW,
    calendar: Calendar | None = None,
    playbook: str | None = None,
) -> dict[Any, Outcome]:
    """Outcomes by rule id, or by (rule id, client id) where a client is concerned."""
    outcomes = evaluate(
        facts=facts,
        unknown=frozenset(FACTS) - facts.keys(),
        clients=clients,
        organisation=organisation or {},
        instants={"discovered_at": DISCOVERED, **(instants or {})},
        now=now,
        calendar=calendar or Calendar(),
        rules=None if made is None else load(a_file(*made)).rules,
        playbook=playbook,
    )
    return {(o.rule_id, o.client_id) if o.client_id else o.rule_id: o for o in outcomes}


def a_file(*made: dict[str, Any]) -> dict[str, Any]:
    return {"version": "1", "stale_after": "P6M", "guideline": "P30D", "rules": [a_rule(**row) for row in made]}


def a_rule(**row: Any) -> dict[str, Any]:
    """A rule file's row; what a test does not care about is filled in."""
    return {
        "id": "OB-T-1",
        "version": "1",
        "group": "test",
        "title": "A rule",
        "toward": "regulator",
        "recipient": "the authority",
        "trigger": "personal_data",
        "clock": {"event": "discovered_at", "duration": "P30D"},
        "citation": "A law",
        "as_of": "2026-02",
        "confidence": "H",
    } | row


def one(facts: dict[str, Any], rule: dict[str, Any], *clients: ClientProfile, **more: Any) -> Outcome:
    (outcome,) = run(facts, *clients, made=[rule], **more).values()
    return outcome


def a_clause(**more: Any) -> ContractClause:
    said = {"notice_duration": "PT48H", "notice_clock": "discovered_at", "recipient": "dpo@client", "threshold": "any"}
    return ContractClause(**{"kind": "dpa", **said, **more})
