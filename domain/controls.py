"""The SOC 2 common criteria that playbooks cite: ids, our own titles, what auditors ask for, and the crosswalk."""

from functools import cache
from typing import Literal

from msgspec import Struct, convert, field

from domain.playbooks import catalogue
from domain.shipped import shipped

Framework = Literal["iso_27001_2022", "iso_42001_2023", "nist_csf_2_0", "nist_ai_rmf", "hipaa", "gdpr"]
CiteMark = Literal["cited", "suggested"]


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


class CitingStep(Struct, frozen=True, kw_only=True):
    """A step that cites a criterion. `mark`: `cited` by the source playbook, or `suggested` by us."""

    playbook: str
    version: str
    step_id: str
    title: str
    owner_roles: tuple[str, ...]
    mark: CiteMark


class Source(Struct, frozen=True):
    """Of which month the data is, and how sure the identifiers of each framework are."""

    as_of: str
    confidence: dict[Framework, str]


@cache
def source() -> Source:
    """Where the criteria and the crosswalk come from."""
    return convert({name: shipped("controls.yaml")[name] for name in ("as_of", "confidence")}, Source)


@cache
def steps_citing() -> dict[str, tuple[CitingStep, ...]]:
    """For each criterion the steps of the newest playbooks that cite it, in the order of the catalogue."""
    found: dict[str, list[CitingStep]] = {control: [] for control in controls()}
    for slug in catalogue().slugs():
        playbook = catalogue().get(slug)
        assert playbook is not None, "a slug of the catalogue has a newest version"
        for step in playbook.steps:
            marked: list[tuple[str, CiteMark]] = [(control, "cited") for control in step.controls]
            marked += [(control, "suggested") for control in step.controls_suggested]
            for control, mark in marked:
                told = CitingStep(
                    playbook=slug,
                    version=playbook.version,
                    step_id=step.id,
                    title=step.title,
                    owner_roles=tuple(step.owner_roles),
                    mark=mark,
                )
                found[control].append(told)
    return {control: tuple(steps) for control, steps in found.items()}


def cited() -> frozenset[str]:
    """Criteria that the source playbook cites."""
    return frozenset(control.id for control in controls().values() if control.mark == "cited")


def controls_meeting(framework: Framework, reference: str) -> list[str]:
    """Criteria that the crosswalk maps to a reference of another framework, such as `A.5.25`."""
    return [control.id for control in controls().values() if reference in control.crosswalk.get(framework, ())]
