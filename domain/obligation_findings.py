"""What the conditions of one rule amount to on the known facts: three-valued, ranges asked at both ends."""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, NamedTuple

from domain.expressions import Expression, Scope
from domain.facts import FACTS
from domain.obligation_rules import SUBJECT_NAMES, Elements, Rule, Threshold

OUTCOMES = ("not_triggered", "needs_facts", "needs_legal", "likely", "required")
"""From the weakest to the strongest; of several results for one rule the strongest counts."""

RANK: Mapping[str, int] = {outcome: rank for rank, outcome in enumerate(OUTCOMES)}

NAMES = frozenset(FACTS) | SUBJECT_NAMES.keys()
SHOWN_MAX = 12  # elements of a list or map that a reason spells out


class Finding(NamedTuple):
    """An outcome, the sentences that led to it, and the names of facts it waits for.

    `is_near`: not triggered, but only by a threshold, an exemption, a date, or because the duty is the client's
    (`is_clients`): worth keeping, so that people see why nobody is told.
    """

    outcome: str
    because: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    is_near: bool = False
    is_clients: bool = False


class Condition(NamedTuple):
    """One condition of a rule: met, missed or None for open; its words; the names an open one waits for."""

    met: bool | None
    words: str
    missing: tuple[str, ...] = ()


class Asking:
    """Answers expressions over the known names. A range is asked at both ends: where they differ nothing is known.

    One is shared by all rules that look at the same party: what an expression sees is handed over only once.
    """

    __slots__ = ("_answers", "_conditions", "_scopes", "known", "places", "types")

    def __init__(self, known: Mapping[str, Any]) -> None:
        self.known = known
        self._answers: dict[Expression, bool | None] = {}
        self._conditions: dict[tuple[Expression, str | None], Condition] = {}
        self.types = frozenset(known.get("data_types") or ())
        residents = known.get("residents_by_jurisdiction")
        self.places = None if residents is None else [place for place in sorted(residents) if upper(residents[place])]
        if any(is_range(value) for value in known.values()):
            self._scopes = [Scope(_flat(known, end), NAMES) for end in (upper, lower)]
        else:
            self._scopes = [Scope(known, NAMES)]

    def also(self, **names: Any) -> "Asking":
        """The same with more names known."""
        return Asking({**self.known, **names})

    def holds(self, expression: Expression) -> bool | None:
        """True, False, or None where unknown facts or a range leave it open. Rules share most of their conditions."""
        if expression not in self._answers:
            answer, *others = (expression.holds(scope) for scope in self._scopes)
            self._answers[expression] = answer if all(other is answer for other in others) else None
        return self._answers[expression]

    def missing(self, expression: Expression) -> tuple[str, ...]:
        """The names that an open answer waits for, as people know them."""
        return tuple(
            SUBJECT_NAMES.get(name, name)
            for name in sorted(expression.names)
            if name not in self.known or is_range(self.known[name])
        )

    def condition(self, expression: Expression, text: str | None = None) -> Condition:
        """The answer with its words: `text`, and the facts that the expression looks at."""
        if (expression, text) not in self._conditions:
            self._conditions[expression, text] = self._condition(expression, text)
        return self._conditions[expression, text]

    def _condition(self, expression: Expression, text: str | None) -> Condition:
        words = "; ".join(_fact_words(name, self.known) for name in sorted(expression.names) if name != "outcomes")
        if "outcomes" in expression.names:
            words = "; ".join(f"{o['rule_id']}: {o['outcome']}" for o in self.known.get("outcomes", ()))
        met = self.holds(expression)
        return Condition(met, f"{text} ({words})" if text else words, self.missing(expression))


def find(rule: Rule, ask: Asking, discovered_on: date) -> Finding:
    """The finding of a rule over what is known; of one that runs per jurisdiction the strongest of all places.

    `discovered_on` is the day that decides whether a rule is in force.
    """
    if rule.residents is None:
        return _find(rule, ask, discovered_on)
    if ask.places is None:
        found = _find(rule, ask, discovered_on)
        if found.outcome == "not_triggered":
            return found
        where = "residents_by_jurisdiction"
        return Finding("needs_facts", (*found.because, f"{where}: unknown"), (*found.missing, where))
    counted = counted_places(rule, ask)
    if not counted:
        return Finding("not_triggered", (f"No residents of {', '.join(sorted(rule.residents.within))} are affected.",))
    findings = [_find(rule, _at(rule, ask, place), discovered_on, place) for place in counted]
    strongest = max(RANK[finding.outcome] for finding in findings)
    return Finding(
        OUTCOMES[strongest],
        tuple(dict.fromkeys(text for finding in findings for text in finding.because)),
        tuple(name for finding in findings for name in finding.missing),
        is_near=any(finding.is_near for finding in findings),
        is_clients=any(finding.is_clients for finding in findings),
    )


def counted_places(rule: Rule, ask: Asking) -> list[str]:
    """The places with residents that a rule per jurisdiction speaks of, of those that are known."""
    residents = rule.residents
    if residents is None or not ask.places:
        return []
    if residents.single is not None:  # most rules speak of one state
        return [residents.single] if residents.single in ask.places else []
    return [place for place in ask.places if residents.counts(place)]


def _at(rule: Rule, ask: Asking, place: str) -> Asking:
    """What the conditions of a rule see at one place; most count by threshold alone and need no scope of their own."""
    if rule.expressed.isdisjoint(("jurisdiction", "residents")):
        return ask
    return ask.also(jurisdiction=place, residents=ask.known["residents_by_jurisdiction"][place])


def remarks(rule: Rule, ask: Asking) -> list[str]:
    """The sentences a rule adds where it applies: remarks whose condition holds, facts it mentions, its note."""
    texts = [remark.text for remark in rule.remarks if ask.holds(remark.when)]
    texts += [_fact_words(name, ask.known) for name in rule.row.mentions if name in ask.known]
    if rule.row.note:
        texts.append(rule.row.note)
    if rule.row.confidence == "L":
        texts.append("This rule is unverified: counsel must confirm it before use.")
    return texts


def _find(rule: Rule, ask: Asking, discovered_on: date, place: str | None = None) -> Finding:
    """Apply the conditions in the order that the head of data/obligations.yaml gives."""
    row = rule.row
    conditions: list[Condition] = []
    if rule.applies is not None:
        conditions.append(ask.condition(rule.applies, row.applies_text))
    conditions.append(ask.condition(rule.trigger))
    if rule.elements is not None:
        conditions.append(_elements(rule.elements, ask))
    if rule.threshold is not None:
        conditions.append(_threshold(rule.threshold, ask.known, place))

    refuted = [condition for condition in conditions if condition.met is False]
    if refuted:
        return _not_triggered(rule, ask, conditions, refuted)
    words = tuple(condition.words for condition in conditions if condition.words)
    if any(condition.met is None for condition in conditions):
        return Finding("needs_facts", words, tuple(name for c in conditions if c.met is None for name in c.missing))
    return _weigh(rule, ask, words, discovered_on)


def _not_triggered(rule: Rule, ask: Asking, conditions: list[Condition], refuted: list[Condition]) -> Finding:
    """Nothing is owed by us: because of `applies` alone it may be the client's to tell."""
    words = tuple(condition.words for condition in refuted)
    if any(condition.met is None for condition in conditions):
        return Finding("not_triggered", words)
    if rule.applies is not None and refuted == conditions[:1]:
        duty = rule.clients_duty
        if duty is None or not ask.holds(duty.when):
            return Finding("not_triggered", words)
        return Finding("not_triggered", (*words, duty.text), is_near=True, is_clients=True)
    return Finding("not_triggered", words, is_near=rule.threshold is not None and refuted == conditions[-1:])


def _in_force_from(rule: Rule, ask: Asking) -> date | None:
    """Since when the rule is in force, as far as the conditions on its dates are known; the earlier date in doubt."""
    dates = [since for when, since in rule.effective if ask.holds(when) is not False]
    return min(dates, default=rule.row.effective_from)


def _weigh(rule: Rule, ask: Asking, words: tuple[str, ...], discovered_on: date) -> Finding:
    """All conditions are met: what exemptions, the date, counsel and the legal test leave of it."""
    row = rule.row
    doubts: list[str] = []
    missing: list[str] = []
    for exemption in rule.exempt:
        met = ask.holds(exemption.when)
        if met:
            return Finding("not_triggered", (*words, exemption.text), is_near=True)
        if met is None:
            doubts.append(f"Not ruled out: {exemption.text}")
            missing += ask.missing(exemption.when)
    in_force = _in_force_from(rule, ask)
    if in_force is not None and discovered_on < in_force:
        text = f"The rule concerns discoveries from {in_force.isoformat()} on."
        outcome = "needs_legal" if row.before_effective == "needs_legal" else "not_triggered"
        return Finding(outcome, (*words, text), tuple(missing), is_near=True)
    # An open question for counsel goes to counsel: what is not known to be settled is not settled.
    counsel = [remark.text for remark in rule.needs_legal if ask.holds(remark.when) is not False]
    if rule.elements is not None and rule.elements.triggering.isdisjoint(ask.types):
        counsel.append("Only counsel can say whether the law lists these data types.")
    if counsel:
        return Finding("needs_legal", (*words, *doubts, *counsel), tuple(missing))
    if row.legal_test is not None and not (rule.legal_test_met is not None and ask.holds(rule.legal_test_met)):
        doubts.append(row.legal_test.question)
    return Finding("likely" if doubts else "required", (*words, *doubts), tuple(missing))


def upper(count: Any) -> int:
    """The upper end of a count: an integer, or {min, max}. An open end counts as far as it may reach."""
    if isinstance(count, Mapping):
        top = count.get("max")
        return int(top) if top is not None else 2**53 - 1
    return int(count)


def lower(count: Any) -> int:
    """The lower end of a count: an integer, or {min, max}."""
    return int(count.get("min") or 0) if isinstance(count, Mapping) else int(count)


def is_range(value: Any) -> bool:
    """Whether a fact is a count given as {min, max}."""
    return type(value) is dict and bool(value) and value.keys() <= {"min", "max"}


def _flat(known: Mapping[str, Any], end: Callable[[Any], int]) -> dict[str, Any]:
    return {name: end(value) if is_range(value) else value for name, value in known.items()}


def _threshold(threshold: Threshold, known: Mapping[str, Any], place: str | None) -> Condition:
    by_place = threshold.fact == "residents" and place is not None
    count = known["residents_by_jurisdiction"][place] if by_place else known.get(threshold.fact)
    name = SUBJECT_NAMES.get(threshold.fact, threshold.fact)
    label = f"residents of {place}" if by_place else name
    words = f"{label}: {say(count)}; the rule concerns {threshold.words()}"
    if count is None:
        return Condition(None, words, (name,))
    ends = {threshold.met(upper(count)), threshold.met(lower(count))}
    return Condition(ends.pop(), words) if len(ends) == 1 else Condition(None, words, (name,))


def _elements(elements: Elements, ask: Asking) -> Condition:
    if ask.known.get("data_types") is None:
        return Condition(None, "data_types: unknown", ("data_types",))
    return Condition(not elements.listed.isdisjoint(ask.types), _fact_words("data_types", ask.known))


def _fact_words(name: str, known: Mapping[str, Any]) -> str:
    return f"{SUBJECT_NAMES.get(name, name)}: {say(known.get(name))}"


def say(value: Any) -> str:
    """A fact's value in words; None is unknown. Long lists are cut."""
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if is_range(value):
        return f"{value.get('min', 0)} to {value.get('max', 'any number')}"
    if isinstance(value, Mapping):
        return _cut([f"{key} {say(value[key])}" for key in sorted(value)])
    if isinstance(value, list | tuple | set | frozenset):
        return _cut(sorted(str(item) for item in value))
    return str(value)


def _cut(texts: list[str]) -> str:
    more = f" and {len(texts) - SHOWN_MAX} more" if len(texts) > SHOWN_MAX else ""
    return (", ".join(texts[:SHOWN_MAX]) + more) or "none"
