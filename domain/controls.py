"""The SOC 2 common criteria that playbooks cite: ids, our own titles, what auditors ask for, and the crosswalk."""

from functools import cache
from typing import Literal

from msgspec import Struct, convert, field

from domain.shipped import shipped

Framework = Literal["iso_27001_2022", "iso_42001_2023", "nist_csf_2_0", "nist_ai_rmf", "hipaa", "gdpr"]


class AuditQuestion(Struct, frozen=True):
    """What a Type II auditor asks about a criterion, and which of our exports answers.

    `timeliness` is the test of time, null where there is none.
    """

    population: str
    attributes: str
    timeliness: str | None
    delivered: str


class Control(Struct, frozen=True, kw_only=True):
    """One criterion. `mark`: `cited` by the source playbook, `added` by us, or `none`; `coso` only for CC1 to CC5."""

    id: str
    title: str
    mark: Literal["cited", "added", "none"]
    coso: int | None = None
    audit: AuditQuestion | None = None
    crosswalk: dict[Framework, tuple[str, ...]] = field(default_factory=dict)


@cache
def controls() -> dict[str, Control]:
    """All 33 criteria by id, in their order. The crosswalk is indicative; its as-of date stands in the data file."""
    found = convert(shipped("controls.yaml")["controls"], tuple[Control, ...])
    return {control.id: control for control in found}


def cited() -> frozenset[str]:
    """Criteria that the source playbook cites."""
    return frozenset(control.id for control in controls().values() if control.mark == "cited")


def controls_meeting(framework: Framework, reference: str) -> list[str]:
    """Criteria that the crosswalk maps to a reference of another framework, such as `A.5.25`."""
    return [control.id for control in controls().values() if reference in control.crosswalk.get(framework, ())]
