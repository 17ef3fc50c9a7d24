"""Types of the public surface: bounded texts, instants, ids, and the parts that many answers share."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=4_000)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^\S+$")]
Url = Annotated[str, StringConstraints(min_length=1, max_length=2_000)]


def _storable(instant: datetime) -> datetime:
    if not 1900 <= instant.year <= 9000:
        raise ValueError("give an instant between the years 1900 and 9000")
    return instant


Instant = Annotated[AwareDatetime, AfterValidator(_storable)]
JsonObject = dict[str, Any]


class In(BaseModel):
    """What a caller sends: unknown members are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Out(BaseModel):
    """What a caller gets: every member is always there."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Permit(StrEnum):
    """Whether a transition would be answered: `person` means that another person or role would have to do it."""

    ALLOWED = "allowed"
    GATE = "gate"
    STATE = "state"
    PERSON = "person"


class MissingThing(Out):
    """Something that has to be supplied first."""

    kind: Literal["action", "document", "fact", "evidence", "approval", "signature", "obligation", "person"]
    ref: str
    message: str
    href: str | None = None


class AllowedTransition(Out):
    """A transition and what the call would answer for this caller."""

    transition: str
    permit: Permit
    gate: str | None
    message: str | None
    missing: list[MissingThing]


class OverrideIn(In):
    """A gate to pass by override. `outside_reviewer` and `review_due_at` are asked for G-ALL-11 alone (rule C13)."""

    gate: Annotated[str, StringConstraints(min_length=1, max_length=20)]
    reason: Reason
    outside_reviewer: Name | None = None
    review_due_at: Instant | None = None


class IncidentBrief(Out):
    """The incident as every transition answers it."""

    id: UUID
    number: str
    version: int
    status: str
    severity: str
    current_step: str | None
    next_due_at: datetime | None


Overrides = Annotated[list[OverrideIn], Field(default_factory=list, max_length=10)]
