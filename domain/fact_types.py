"""The catalogue of facts: their types, allowed values and questions, as data (data/facts.yaml)."""

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final, Literal

import yaml
from msgspec import Struct, convert

Json = Any
FactKind = Literal["boolean", "choice", "choices", "count", "level", "money", "residents", "clients", "instant"]

UNKNOWN: Final = "unknown"  # what a caller gives for a fact that was asked and has no answer
CLIENTS_MAX = 500
JURISDICTIONS_MAX = 300  # ISO 3166 has about 250 countries; states are added to some
PEOPLE_MAX = 10**10
AMOUNT = re.compile(r"\d{1,12}(?:\.\d{1,4})?", re.ASCII)
CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)  # ISO 4217
JURISDICTION = re.compile(r"[A-Z]{2}(?:-[A-Z0-9]{1,3})?", re.ASCII)  # ISO 3166-1 alpha-2, ISO 3166-2


class FactType(Struct, frozen=True, forbid_unknown_fields=True):
    """One fact of the catalogue. `derived` is the documentation item it is read from, None for an input."""

    type: FactKind
    title: str
    question: str
    name: str = ""
    derived: str | None = None
    values: tuple[str | int, ...] = ()
    labels: dict[str | int, str] = {}
    note: str | None = None
    exact: bool = False  # a count that takes no range

    def schema(self) -> dict[str, Json]:
        """The JSON Schema (2020-12) of a value, for forms. `unknown` is always allowed beside it."""
        return {"anyOf": [_schema(self), {"const": UNKNOWN}], "title": self.title, "description": self.question}


@lru_cache(maxsize=1)
def _catalogue() -> dict[str, FactType]:
    text = files("domain").joinpath("data/facts.yaml").read_text(encoding="utf-8")
    raw = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe loaders
    return {name: convert({"name": name, **fact}, FactType) for name, fact in raw["facts"].items()}


FACTS: Final[Mapping[str, FactType]] = _catalogue()
DATA_TYPES: Final = frozenset(str(value) for value in FACTS["data_types"].values)


def _schema(fact: FactType) -> dict[str, Json]:
    whole = {"type": "integer", "minimum": 0, "maximum": PEOPLE_MAX}
    open_end = {"anyOf": [whole, {"type": "null"}]}
    ends = {"type": "object", "properties": {"min": whole, "max": open_end}}
    match fact.type:
        case "boolean":
            return {"type": "boolean"}
        case "choice" | "level":
            return {"enum": list(fact.values)}
        case "choices":
            return {"type": "array", "items": {"enum": list(fact.values)}, "uniqueItems": True}
        case "count":
            return (
                whole if fact.exact else {"anyOf": [whole, ends | {"required": ["min"], "additionalProperties": False}]}
            )
        case "money":
            parts = {
                "amount": {"type": "string", "pattern": f"^{AMOUNT.pattern}$"},
                "currency": {"type": "string", "pattern": f"^{CURRENCY.pattern}$"},
            }
            return {"type": "object", "properties": parts, "required": list(parts), "additionalProperties": False}
        case "residents":
            return {
                "type": "object",
                "propertyNames": {"pattern": f"^{JURISDICTION.pattern}$"},
                "additionalProperties": whole,
                "maxProperties": JURISDICTIONS_MAX,
            }
        case "instant":
            return {"type": "string", "format": "date-time"}
        case "clients":
            return {"type": "array", "items": {"type": "string", "format": "uuid"}, "maxItems": CLIENTS_MAX}
