"""Severity: computed from facts, never typed in. Pure; the tables are data (data/severity.yaml).

L is the larger of the data score D' (sensitivity, volume, corrected by exposure) and the harm H. Floors raise the
level; the highest severity wins. SEV1 is the highest.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import orjson
from msgspec import Struct

from domain.counts import known_minimum, upper_end
from domain.derived_facts import derive
from domain.expressions import Scope
from domain.facts import FACTS, UNKNOWN, variable
from domain.severity_rules import NAMES, Rule, Rules, rules, sensitivity_of

Json = Any

LEVELS: Final = ("SEV1", "SEV2", "SEV3", "SEV4")  # highest first
COMPUTED_MAX = 4_096  # severities kept
HARM_COST_THRESHOLD: Final = Decimal(10_000)  # in the tenant's currency, unless it sets another


class Severity(Struct, frozen=True, kw_only=True):
    """A computed severity with how it came about. `base` is the level before floors; `floors` lists all that hold.

    `provisional`: something that could raise or lower it is not known yet. `inputs` are the known facts it used.
    """

    level: str
    base: str
    S: int
    V: int
    E: int
    D: int
    D_prime: int
    H: int
    L: int
    floors: tuple[str, ...]
    provisional: bool
    explanation: tuple[str, ...]
    inputs: dict[str, Json]
    rules_version: str


def highest(a: str, b: str) -> str:
    """The more serious of two levels."""
    return min(a, b, key=LEVELS.index)


def severity(
    facts: Mapping[str, Json],
    *,
    playbook: str | None = None,
    affected_data: Sequence[Mapping[str, Json]] | None = None,
    regulator_duty: bool = False,
    contract_duty: bool = False,
    harm_cost_threshold: Decimal = HARM_COST_THRESHOLD,
    currency: str | None = None,
    disposition: str | None = None,
) -> Severity:
    """The severity of an incident with these known facts.

    `affected_data` (the entries of D04, empty for an explicit none) stands in for the facts derived from it where
    `facts` has none of them. `regulator_duty` and `contract_duty`: such an obligation is required and not decided
    away. `currency` is the tenant's; a cost in another one is compared by its figure and makes the result provisional.
    """
    given = {name: value for name, value in facts.items() if name in FACTS}
    known = {name: value for name, value in given.items() if value is not None and value != UNKNOWN}
    if affected_data is not None:
        known = derive({"D04": {"entries": affected_data} if affected_data else {"none": True}}) | known
    inputs = orjson.dumps(known, option=orjson.OPT_SORT_KEYS, default=sorted)  # sets become lists
    return _computed(inputs, playbook, regulator_duty, contract_duty, harm_cost_threshold, currency, disposition)


@lru_cache(maxsize=COMPUTED_MAX)
def _computed(
    inputs: bytes,
    playbook: str | None,
    regulator_duty: bool,
    contract_duty: bool,
    harm_cost_threshold: Decimal,
    currency: str | None,
    disposition: str | None,
) -> Severity:
    """Every write asks, few change the answer: one computation costs about 100 us, looking it up 5."""
    table = rules()
    known: dict[str, Json] = orjson.loads(inputs)
    because: list[str] = []
    exposure = _exposure(known, playbook, table, because)
    scope = _scope(known, playbook, exposure, regulator_duty, contract_duty, harm_cost_threshold)
    sensitivity, types_known = _sensitivity(known, because)
    volume, volume_known = _volume(known, table, because)
    score = table.score[sensitivity][volume]
    corrected = min(max(score + table.correction[exposure], 0), 4) if score else 0
    because.append(f"Data score {score} becomes {corrected} at exposure {exposure}.")
    harm = _harm(known, scope, table, because)
    other_currency = _is_foreign(known, currency, because)

    larger = max(corrected, harm)
    level = base = table.levels[larger]
    because.append(f"The larger of data score {corrected} and harm {harm} gives {base}.")
    hit = _floors(scope, playbook, disposition, table)
    for rule in hit:
        level = highest(level, str(rule.level))
        because.append(f"{rule.id}: at least {rule.level}. {rule.text}")
    return Severity(
        level=level,
        base=base,
        S=sensitivity,
        V=volume,
        E=exposure,
        D=score,
        D_prime=corrected,
        H=harm,
        L=larger,
        floors=tuple(rule.id for rule in hit),
        provisional=not (types_known and volume_known) or other_currency,
        explanation=tuple(because),
        inputs=known,
        rules_version=table.version,
    )


def _scope(
    known: Mapping[str, Json],
    playbook: str | None,
    exposure: int,
    regulator_duty: bool,
    contract_duty: bool,
    harm_cost_threshold: Decimal,
) -> Scope:
    variables = {name: seen for name, value in known.items() if (seen := variable(name, value)) is not None}
    variables |= {
        "E": exposure,
        "playbook": playbook or "",
        "regulator_duty": regulator_duty,
        "contract_duty": contract_duty,
        "harm_cost_threshold": float(harm_cost_threshold),
    }
    individuals = known.get("individuals_count")
    if individuals is not None:
        variables["individuals"] = max(upper_end(individuals) or 0, known_minimum(individuals))
    return Scope(variables, NAMES)


def _exposure(known: Mapping[str, Json], playbook: str | None, table: Rules, because: list[str]) -> int:
    name = known.get("exposure")
    if name in table.exposure:
        because.append(f"Exposure is {name}.")
        return table.exposure[name]
    name = table.exposure_unknown_by_playbook.get(playbook or "", table.exposure_unknown)
    because.append(f"Exposure is not known and counts as {name}.")
    return table.exposure[name]


def _sensitivity(known: Mapping[str, Json], because: list[str]) -> tuple[int, bool]:
    """S and whether the data types are known."""
    types = known.get("data_types")
    if not isinstance(types, list | tuple | set | frozenset):
        because.append("The data types are not known yet and count as none.")
        return 0, False
    grades = sensitivity_of()
    present = [name for name in types if name in grades]
    grade = max((grades[name] for name in present), default=0)
    highest_types = sorted(name for name in present if grades[name] == grade)
    because.append(f"Sensitivity {grade}: {', '.join(highest_types) or 'no data'}.")
    return grade, True


def _volume(known: Mapping[str, Json], table: Rules, because: list[str]) -> tuple[int, bool]:
    """V and whether it rests on a known count. Nothing sensitive needs no count."""
    types = known.get("data_types") or ()
    counts = [known[name] for name in ("individuals_count", "record_count") if name in known]
    ends = [end for count in counts if (end := upper_end(count)) is not None]
    band = max((_band(end, table) for end in ends), default=0)
    uncountable = sorted(table.uncountable.intersection(types))
    if uncountable:
        band = max(band, table.volume_uncountable)
        because.append(f"Volume is at least {band}: {', '.join(uncountable)} cannot be counted by records.")
    grades = sensitivity_of()
    needs_count = any(grades.get(name) and name not in table.uncountable for name in types)
    if len(ends) == len(counts) and (counts or not needs_count):
        because.append(f"Volume {band}: at most {max(ends, default=0)} individuals or records.")
        return band, True
    minimum = max((known_minimum(count) for count in counts), default=0)
    one_more = min(_band(minimum, table) + 1, len(table.volume))
    band = max(band, one_more, table.volume_unknown_at_least)
    because.append(f"Volume {band}: the count is not known, one band above the known minimum of {minimum}.")
    return band, not needs_count


def _band(count: int, table: Rules) -> int:
    return sum(count >= threshold for threshold in table.volume)


def _harm(known: Mapping[str, Json], scope: Scope, table: Rules, because: list[str]) -> int:
    set_by_person = known.get("harm")
    if type(set_by_person) is int:
        because.append(f"Harm {set_by_person} as assessed.")
        return min(max(set_by_person, 0), 4)
    for rule in table.harm:
        if rule.holds(scope):
            because.append(f"Harm {rule.level}: {rule.text}")
            return int(rule.level)
    because.append(f"Harm {table.harm_unknown}: possible, not ruled out.")
    return table.harm_unknown


def _is_foreign(known: Mapping[str, Json], currency: str | None, because: list[str]) -> bool:
    cost = known.get("harm_cost")
    if currency is None or not isinstance(cost, Mapping) or cost.get("currency") in (None, currency):
        return False
    because.append(
        f"The cost is in {cost['currency']}, the threshold in {currency}: the figures are compared as they are."
    )
    return True


def _floors(scope: Scope, playbook: str | None, disposition: str | None, table: Rules) -> list[Rule]:
    hit = [rule for rule in table.floors if rule.holds(scope)]
    level = table.playbook_floors.get(playbook or "")
    if level is not None and disposition not in table.playbook_floor_exempt:
        text = f"The floor of the playbook {playbook}."
        hit.append(Rule(level=level, when="true", text=text, id=table.playbook_floor_id))
    return hit
