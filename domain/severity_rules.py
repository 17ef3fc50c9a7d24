"""The severity tables as data: loaded once, checked against each other."""

from functools import lru_cache
from importlib.resources import files

import yaml
from msgspec import Struct, convert

from domain.expressions import Scope, compile_expression
from domain.fact_types import DATA_TYPES, FACTS

# What conditions see: every fact and what the computation adds.
NAMES = frozenset(FACTS) | {"E", "individuals", "playbook", "harm_cost_threshold", "regulator_duty", "contract_duty"}


class Rule(Struct, frozen=True, forbid_unknown_fields=True):
    """A condition with what it leads to. With `unless` known to be true the rule does not hold."""

    level: int | str
    when: str
    text: str
    unless: str | None = None
    id: str = ""

    def holds(self, scope: Scope) -> bool:
        """Whether the rule holds on what is known. Unknown is not true, for the condition and for its exception."""
        if compile_expression(self.when, NAMES, shipped=True).holds(scope) is not True:
            return False
        return self.unless is None or compile_expression(self.unless, NAMES, shipped=True).holds(scope) is not True


class Rules(Struct, frozen=True, forbid_unknown_fields=True):
    """The tables of data/severity.yaml under their names there."""

    version: str
    levels: dict[int, str]
    sensitivity: dict[int, tuple[str, ...]]
    personal_data: frozenset[str]
    uncountable: frozenset[str]
    volume: tuple[int, ...]
    volume_uncountable: int
    volume_unknown_at_least: int
    exposure: dict[str, int]
    exposure_unknown: str
    exposure_unknown_by_playbook: dict[str, str]
    score: tuple[tuple[int, ...], ...]
    correction: tuple[int, ...]
    harm: tuple[Rule, ...]
    harm_unknown: int
    floors: tuple[Rule, ...]
    playbook_floor_id: str
    playbook_floors: dict[str, str]
    playbook_floor_exempt: frozenset[str]
    exchange: dict[str, dict[str, int]]

    def __post_init__(self) -> None:
        graded = [name for names in self.sensitivity.values() for name in names]
        if sorted(graded) != sorted(DATA_TYPES):
            raise ValueError("severity.yaml grades other data types than facts.yaml lists")
        if not (self.personal_data | self.uncountable) <= DATA_TYPES:
            raise ValueError("severity.yaml names a data type that facts.yaml does not list")
        if self.exposure.keys() != set(FACTS["exposure"].values):
            raise ValueError("severity.yaml grades other exposures than facts.yaml lists")


@lru_cache(maxsize=1)
def rules() -> Rules:
    """The rules that this version of the product ships."""
    text = files("domain").joinpath("data/severity.yaml").read_text(encoding="utf-8")
    raw = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe loaders
    loaded = convert(raw, Rules)
    for rule in (*loaded.harm, *loaded.floors):
        for text in filter(None, (rule.when, rule.unless)):
            compile_expression(text, NAMES, shipped=True)
    return loaded


@lru_cache(maxsize=1)
def sensitivity_of() -> dict[str, int]:
    """Sensitivity S by data type."""
    return {name: grade for grade, names in rules().sensitivity.items() for name in names}
