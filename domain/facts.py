"""Facts: the typed, three-valued inputs of conditions, severity and obligations.

A fact of an incident is stored as {value, state: known | unknown | not_asked, set_by, set_at}. What is typed once in
the documentation items D04 (affected data) and D05 (impacted parties) is read from there and not set by hand.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from domain.counts import Count, check_count, upper_end
from domain.derived_facts import derive
from domain.fact_types import (
    AMOUNT,
    CLIENTS_MAX,
    CURRENCY,
    DATA_TYPES,
    FACTS,
    JURISDICTION,
    JURISDICTIONS_MAX,
    PEOPLE_MAX,
    UNKNOWN,
    FactType,
)
from domain.refusals import InputError, Invalid
from domain.timeline import instant_text

__all__ = [
    "DATA_TYPES",
    "FACTS",
    "UNKNOWN",
    "FactType",
    "check_fact",
    "check_settable",
    "derive",
    "is_derived",
    "known_values",
    "scope_variables",
    "state_of",
    "variable",
]

Json = Any
FactState = Literal["known", "unknown", "not_asked"]


def is_derived(name: str) -> bool:
    """Whether a fact is read from a documentation item and therefore not set by hand. False for an unknown name."""
    fact = FACTS.get(name)
    return fact is not None and fact.derived is not None


def check_fact(name: str, value: Json) -> Json:
    """`value` in its stored form; UNKNOWN stays UNKNOWN.

    Raises Invalid (`unknown-fact`, `invalid-fact`) with a pointer below `/facts`. Whether a fact may be set by hand
    is asked with `is_derived`.
    """
    fact = FACTS.get(name)
    if fact is None:
        raise _invalid(
            name[:64], f"there is no fact of this name; there are {', '.join(sorted(FACTS))}", "unknown-fact"
        )
    if value == UNKNOWN and isinstance(value, str):
        return UNKNOWN
    try:
        return CHECKS[fact.type](fact, value)
    except ValueError as error:
        raise _invalid(name, str(error), "invalid-fact") from None


def check_settable(name: str) -> None:
    """Raises Invalid (`derived-fact`), naming the documentation item, when a fact is not set by hand."""
    fact = FACTS.get(name)
    if fact is not None and fact.derived is not None:
        raise _invalid(
            name, f"this fact is derived: complete documentation item {fact.derived} instead", "derived-fact"
        )


def state_of(value: Json) -> FactState:
    """The state that goes with a checked value."""
    return "unknown" if isinstance(value, str) and value == UNKNOWN else "known"


def scope_variables(facts: Mapping[str, Mapping[str, Json]]) -> tuple[dict[str, Any], frozenset[str]]:
    """The variables that conditions see of an incident's stored facts, and the names that stay unknown.

    A range counts at its upper end; with an open end the count is unknown. Money is its amount.
    """
    known: dict[str, Any] = {}
    for name, entry in facts.items():
        if entry.get("state", "known") != "known" or name not in FACTS:
            continue
        value = variable(name, entry.get("value"))
        if value is not None:
            known[name] = value
    return known, frozenset(FACTS.keys() - known.keys())


def variable(name: str, value: Json) -> Any:
    """What a condition sees of one known value; None when nothing can be said."""
    kind = FACTS[name].type
    if value is None or value == UNKNOWN:
        return None
    if kind == "count":
        return upper_end(value)
    if kind == "money":
        return float(value["amount"])
    return value


def known_values(facts: Mapping[str, Mapping[str, Json]]) -> dict[str, Json]:
    """The stored values (ranges and money as they are) of the facts that are known."""
    return {
        name: entry["value"]
        for name, entry in facts.items()
        if entry.get("state", "known") == "known" and entry.get("value") not in (None, UNKNOWN)
    }


def _invalid(name: str, reason: str, code: str) -> Invalid:
    pointer = "/facts/" + name.replace("~", "~0").replace("/", "~1")
    return Invalid(f"The fact {name!r}: {reason}.", code=code, errors=[InputError(pointer, reason)])


def _boolean(fact: FactType, value: Json) -> bool:
    if value is not True and value is not False:
        raise ValueError("give true, false or unknown")
    return bool(value)


def _choice(fact: FactType, value: Json) -> str:
    if not isinstance(value, str) or value not in fact.values:
        raise ValueError(f"give one of {_listed(fact.values)} or unknown")
    return value


def _choices(fact: FactType, value: Json) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item in fact.values for item in value):
        raise ValueError(f"give a list of {_listed(fact.values)}")
    return [str(item) for item in fact.values if item in value]


def _level(fact: FactType, value: Json) -> int:
    if type(value) is not int or value not in fact.values:
        raise ValueError(f"give one of {_listed(fact.values)} or unknown")
    return value


def _count(fact: FactType, value: Json) -> Count:
    if fact.exact and isinstance(value, dict):
        raise ValueError("give a whole number, not a range")
    return check_count(value, PEOPLE_MAX)


def _money(fact: FactType, value: Json) -> dict[str, str]:
    if not isinstance(value, dict) or value.keys() != {"amount", "currency"}:
        raise ValueError("give {amount, currency}")
    amount, currency = value["amount"], value["currency"]
    if type(amount) is int:
        amount = str(amount)
    if not isinstance(amount, str) or not AMOUNT.fullmatch(amount):
        raise ValueError('the amount is decimal text such as "4000.00"')
    if not isinstance(currency, str) or not CURRENCY.fullmatch(currency):
        raise ValueError("the currency is an ISO 4217 code such as USD")
    return {"amount": amount, "currency": currency}


def _residents(fact: FactType, value: Json) -> dict[str, int]:
    if not isinstance(value, dict) or len(value) > JURISDICTIONS_MAX:
        raise ValueError(f"give a map of at most {JURISDICTIONS_MAX} jurisdictions to numbers of people")
    for code, people in value.items():
        if not isinstance(code, str) or not JURISDICTION.fullmatch(code):
            raise ValueError("a jurisdiction is an ISO 3166 code such as US-CA or GB")
        if type(people) is not int or not 0 <= people <= PEOPLE_MAX:
            raise ValueError(f"the number of people in {code} is a whole number")
    return dict(sorted(value.items()))


def _clients(fact: FactType, value: Json) -> list[str]:
    if not isinstance(value, list) or len(value) > CLIENTS_MAX:
        raise ValueError(f"give a list of at most {CLIENTS_MAX} client ids")
    try:
        return list(dict.fromkeys(str(UUID(item)) for item in value))
    except (ValueError, AttributeError, TypeError):
        raise ValueError("a client id is a UUID") from None


def _instant(fact: FactType, value: Json) -> str:
    if not isinstance(value, str):
        raise ValueError("give an instant such as 2026-03-02T15:00:00Z, or unknown")
    try:
        instant = datetime.fromisoformat(value)
        if not 1900 <= instant.year <= 9000:
            raise ValueError
        return instant_text(instant)
    except (ValueError, OverflowError):
        raise ValueError("give an instant with its time zone, such as 2026-03-02T15:00:00Z") from None


CHECKS: Final = {
    "boolean": _boolean,
    "choice": _choice,
    "choices": _choices,
    "count": _count,
    "level": _level,
    "money": _money,
    "residents": _residents,
    "clients": _clients,
    "instant": _instant,
}


def _listed(values: Collection[str | int]) -> str:
    return ", ".join(str(value) for value in values)
