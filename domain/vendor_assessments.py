"""The vendor assessment checklist (VC-1 to VC-8): judging the answers, and the outcome that they suggest.

Rules: playbook catalogue, section on the vendor checklist. Four questions come from the source playbook and are
mandatory for `approve`; the others advise.
"""

from collections.abc import Mapping
from datetime import date
from functools import cache
from typing import Annotated, Any, Literal

from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field

from domain.expressions import Scope, compile_expression
from domain.refusals import InputError, Invalid
from domain.schemas import check_schema
from domain.shipped import shipped

Answers = Mapping[str, Mapping[str, Any]]
Detail = dict[str, Any]
_AGE = "_age_days"


class Check(BaseModel):
    """One question of the checklist, as its data file writes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^VC-[1-9]$")]
    question: str
    good_answer: str
    good: str
    weight: Literal["mandatory", "advisory"]
    mandatory_if: str | None = None
    blocks: str | None = None
    source: Literal["S", "A", "X"]
    basis: str | None = None
    details: dict[str, Detail] = {}
    proposed: dict[str, str] = {}

    @property
    def names(self) -> frozenset[str]:
        """What its conditions may name."""
        dates = {name + _AGE for name, schema in self.details.items() if schema.get("format") == "date"}
        return frozenset({"answer", *self.details, *dates})

    @property
    def schema_of_answer(self) -> dict[str, Any]:
        """JSON Schema of an answer: `answer` and where it is stated, with what this question asks beside them."""
        source = {"type": "string", "minLength": 1, "maxLength": 2000, "description": "Where this is stated"}
        return {
            "type": "object",
            "properties": {
                "answer": {"enum": ["yes", "no", "unknown"]},
                "source": source,
                **self.details,
                "note": {"type": "string", "maxLength": 4000},
            },
            "required": ["answer", "source"],
            "additionalProperties": False,
        }


class Suggestion(Struct, frozen=True, kw_only=True):
    """The outcome that the answers suggest. `failed` are the mandatory checks that stand against `approve`."""

    outcome: str
    because: list[str]
    failed: list[str]


@cache
def checklist() -> dict[str, Check]:
    """The checks by id, in their order. Each condition compiles over the names of its own check."""
    checks = [Check.model_validate(row) for row in shipped("vendor_checklist.yaml")["checks"]]
    for check in checks:
        for text in (check.good, *([check.blocks] if check.blocks else ())):
            compile_expression(text, check.names, shipped=True)
        if check.mandatory_if is not None:
            compile_expression(check.mandatory_if, {"personal_data"}, shipped=True)
    return {check.id: check for check in checks}


def needed() -> tuple[str, ...]:
    """The checks without an answer to which nothing is decided: those of the source playbook."""
    return tuple(check.id for check in checklist().values() if check.weight == "mandatory")


def check_answer(check_id: str, value: Any, pointer: str) -> None:
    """Raise Invalid for an answer that its check does not take, or a check that there is not."""
    check = checklist().get(check_id)
    if check is None:
        reason = f"is no check; there are {', '.join(checklist())}"
        raise Invalid(f"{pointer} {reason}.", errors=[InputError(pointer, reason)])
    check_schema(check.schema_of_answer, value, pointer)


def is_good(check: Check, answer: Mapping[str, Any] | None, today: date) -> bool | None:
    """Whether the answer is a good one; None while it is unknown."""
    return _holds(check, check.good, answer, today)


def _holds(check: Check, text: str, answer: Mapping[str, Any] | None, today: date) -> bool | None:
    if answer is None:
        return None
    known: dict[str, Any] = {}
    for name, value in answer.items():
        if value == "unknown" or name in ("source", "note"):
            continue
        known[name] = value
        if check.details.get(name, {}).get("format") == "date":
            known[name + _AGE] = (today - date.fromisoformat(value)).days
    return compile_expression(text, shipped=True).holds(Scope(known, unknown=check.names - known.keys()))


def is_mandatory(check: Check, personal_data: bool | None) -> bool:
    """Whether `approve` hangs on it. A condition that nobody has answered counts as met."""
    if check.weight != "mandatory" or check.mandatory_if is None:
        return check.weight == "mandatory"
    known = {} if personal_data is None else {"personal_data": personal_data}
    scope = Scope(known, unknown={"personal_data"} - known.keys())
    return compile_expression(check.mandatory_if, shipped=True).holds(scope) is not False


def suggest_outcome(answers: Answers, personal_data: bool | None, today: date) -> Suggestion:
    """`approve` when every mandatory answer is good, `block` when a bad one cannot be corrected, else `conditional`.

    `personal_data`: whether personal data is in scope of the use. `today` judges the age of reports, in UTC.
    """
    because, failed, blocks = [], [], False
    for check in checklist().values():
        answer = answers.get(check.id)
        good = is_good(check, answer, today)
        if good or not is_mandatory(check, personal_data):
            continue
        failed.append(check.id)
        state = "is not answered" if answer is None else "is not known to be good" if good is None else "is not good"
        because.append(f"{check.id} {state} (good: {check.good_answer}).")
        if check.blocks is not None and _holds(check, check.blocks, answer, today):
            blocks = True
            because.append(f"{check.id} cannot be corrected by configuration or contract.")
    if not failed:
        return Suggestion(outcome="approve", because=["Every mandatory check has a good answer."], failed=[])
    return Suggestion(outcome="block" if blocks else "conditional", because=because, failed=failed)
