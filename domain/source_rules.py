"""Rules of a source: what is meant by a report, said by the people of the tenant and asked in their order.

A rule sees what was read and nothing else. It proposes a playbook, knows the client, sets facts; it declares nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field

from domain.expressions import EvaluationFailed, Expression, InvalidExpression, Scope, compile_expression
from domain.facts import check_fact, is_derived
from domain.refusals import InputError, Invalid
from domain.words import words

VARIABLES = frozenset({"report", "text", "words"})
"""What a condition sees: the fields of the report by their names (an empty text or list where nothing was said), its
title, summary and labels as one text in lower case, and the words of that text."""
RULES_MAX = 30
FACTS_MAX = 30
TEXTS = (
    "action external_id key url title summary severity_hint status client_ref client_name reporter assignee comment"
    " correlation sender playbook_hint"
)
LISTS = ("labels", "observables")


class RuleText(BaseModel):
    """When `when` holds for the report, it calls for this playbook, concerns this client, and these facts are known.

    `because` is shown beside the suggestion.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    when: Annotated[str, Field(min_length=1, max_length=1_000)]
    playbook: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    client_id: UUID | None = None
    facts: Annotated[dict[Annotated[str, Field(max_length=100)], Any], Field(max_length=FACTS_MAX)] = {}
    because: Annotated[str, Field(min_length=1, max_length=300)] | None = None


class Rule(Struct, frozen=True):
    """A compiled rule. `place` is a JSON pointer into the source."""

    place: str
    expression: Expression
    text: RuleText


class MetRule(Struct, frozen=True, kw_only=True):
    """The rule that a report met, and what follows from it."""

    place: str
    when: str
    because: str
    playbook: str | None = None
    client_id: UUID | None = None
    facts: dict[str, Any] = {}


def compiled_rules(texts: Sequence[RuleText]) -> tuple[Rule, ...]:
    """The rules, ready to be asked. Raises InvalidExpression."""
    return tuple(
        Rule(f"/mapping/rules/{index}", compile_expression(text.when, VARIABLES, shipped=False), text)
        for index, text in enumerate(texts)
    )


def rule_faults(texts: Sequence[RuleText]) -> list[InputError]:
    """What is wrong with the rules of a mapping, with pointers below `/mapping`. Whether there is such a playbook or
    client is not asked here."""
    faults = []
    for index, text in enumerate(texts):
        place = f"/mapping/rules/{index}"
        try:
            compile_expression(text.when, VARIABLES, shipped=False)
        except InvalidExpression as error:
            where = "" if error.position is None else f" [position {error.position}]"
            faults.append(InputError(f"{place}/when", f"{error.reason}{where}"))
        faults += fact_faults(f"{place}/facts", text.facts)
        if text.playbook is None and text.client_id is None and not text.facts:
            faults.append(InputError(place, "says nothing; name a playbook, a client_id or facts"))
    return faults


def fact_faults(place: str, facts: Mapping[str, Any]) -> list[InputError]:
    """Which of the facts cannot be set, and why."""
    faults = []
    for name, value in facts.items():
        try:
            if is_derived(name):
                raise Invalid("is derived from other facts")
            check_fact(name, value)
        except Invalid as error:
            faults.append(InputError(f"{place}/{name[:64]}", error.detail[:300]))
    return faults


def met_rule(
    rules: Sequence[Rule], event: Struct, faults: list[str], *, ends_at: float | None = None
) -> MetRule | None:
    """The first rule that holds. One that fails does not hold, and `faults` tells of it.

    Raises TooCostly after `ends_at`.
    """
    if not rules:
        return None
    scope = _scope(event, ends_at)
    for rule in rules:
        try:
            if rule.expression.evaluate(scope) is not True:
                continue
        except EvaluationFailed as error:
            faults.append(f"{rule.place}/when: {str(error)[:200]}")
            continue
        text = rule.text
        return MetRule(
            place=rule.place,
            when=text.when,
            because=text.because or f"It met a rule of the source: {text.when}",
            playbook=text.playbook,
            client_id=text.client_id,
            facts=text.facts,
        )
    return None


def _scope(event: Struct, ends_at: float | None) -> Scope:
    report: dict[str, Any] = {name: getattr(event, name) or "" for name in TEXTS.split()}
    report |= {name: getattr(event, name) for name in LISTS}
    report["ai_systems"] = [one["name"] for one in getattr(event, "ai_systems", ())]
    report["facts"] = getattr(event, "facts", {})
    text = " ".join(part for part in (report["title"], report["summary"], *report["labels"]) if part)[:4_000].casefold()
    return Scope({"report": report, "text": text, "words": words(text)}, ends_at=ends_at)
