"""What obligations hypothetical facts would bring. Nothing is stored; decision support, not legal advice."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from domain.deadlines import Calendar
from domain.duties import clock_events
from domain.facts import FACTS, UNKNOWN, check_fact
from domain.obligation_plan import in_order
from domain.obligations import ClientProfile, Outcome, evaluate
from domain.refusals import InputError, Invalid
from domain.severity_rules import rules as severity_rules


class Hypothesis(Struct, frozen=True, kw_only=True):
    """The facts to suppose. `clients` None: nobody has said which clients are affected."""

    facts: Mapping[str, Any]
    clients: Sequence[ClientProfile] | None
    organisation: Mapping[str, Any]
    discovered_at: datetime
    playbook: str | None = None


class Unasked(Struct, frozen=True):
    """A fact that keeps rules silent until it is known."""

    fact: str
    rules: list[str]


class Preview(Struct, frozen=True):
    """Outcomes in the order in which notices would go out, and what nobody has asked yet."""

    outcomes: list[Outcome]
    unasked: list[Unasked]


def preview(supposed: Hypothesis, *, now: datetime, calendar: Calendar, guideline: str, everything: bool) -> Preview:
    """Run all rules over what is supposed. With `everything` what is not triggered, or not asked yet, is shown too.

    Derived facts may be given by hand here, and follow from the others where they are not. Raises Invalid for facts
    that there are not, or values that do not fit.
    """
    facts = _completed(supposed)
    found = evaluate(
        facts=facts,
        unknown=frozenset(FACTS.keys() - facts.keys()),
        clients=supposed.clients or (),
        organisation=supposed.organisation,
        instants={**clock_events(facts), "discovered_at": supposed.discovered_at},
        now=now,
        calendar=calendar,
        guideline=guideline,
        playbook=supposed.playbook,
        everything=True,
    )
    waiting: dict[str, set[str]] = {}
    for outcome in found:
        for name in outcome.missing_facts if not outcome.is_asked and outcome.outcome != "not_triggered" else ():
            waiting.setdefault(name, set()).add(outcome.rule_id)
    shown = [one for one in found if everything or (one.is_asked and one.outcome != "not_triggered")]
    return Preview(in_order(shown), [Unasked(name, sorted(rules)) for name, rules in sorted(waiting.items())])


def _completed(supposed: Hypothesis) -> dict[str, Any]:
    """The known facts, checked, with what follows from them and was not said."""
    if "clients_affected" in supposed.facts:
        text = "follows from client_ids and clients; name the clients there"
        raise Invalid(f"/facts/clients_affected {text}.", errors=[InputError("/facts/clients_affected", text)])
    facts = {name: check_fact(name, value) for name, value in supposed.facts.items()}
    facts = {name: value for name, value in facts.items() if value != UNKNOWN}
    if supposed.clients is not None:
        facts["clients_affected"] = [str(client.id) for client in supposed.clients]
    types = facts.get("data_types")
    if types is not None:
        facts.setdefault("personal_data", not severity_rules().personal_data.isdisjoint(types))
        facts.setdefault("phi", "phi" in types)
        if any(name.startswith("credentials_") for name in types):
            facts["credentials_exposed"] = True
    if facts.get("residents_by_jurisdiction"):
        facts.setdefault("individuals_count", sum(facts["residents_by_jurisdiction"].values()))
    return facts
