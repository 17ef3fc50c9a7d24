"""Reporting: the first thing that happens to an incident. Little is required, and nobody is refused for a playbook."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from msgspec import Struct, field

from domain.actors import Actor
from domain.changes import Change, Surroundings
from domain.discovery import discovery_instant, provisional
from domain.documentation import new_documents, set_document
from domain.fact_sheet import set_fact
from domain.facts import is_derived
from domain.glossary import DiscoveryMethod
from domain.incidents import DECLARERS, IncidentCommand, declare, expect_triage
from domain.participants import name_person_concerned
from domain.playbooks import Playbook
from domain.record import ExternalReference, Incident, Record
from domain.refusals import InputError, Invalid

AHEAD_AT_MOST = timedelta(seconds=60)
TITLE_AT_MOST = 200


class Reference(Struct, frozen=True, kw_only=True):
    """A ticket or alert elsewhere. `instance` is `-` where a system has only one."""

    system: str
    id: str
    instance: str = "-"
    key: str | None = None
    url: str | None = None


class Report(Struct, frozen=True, kw_only=True):
    """What somebody or some system tells us. Only a title or a summary is required."""

    title: str | None = None
    summary: str | None = None
    playbook: str | None = None
    suggestion: dict[str, str] | None = None  # {slug, because}: named by a system, declared by people
    discovered_at: datetime | None = None
    discovered_at_precision: str | None = None
    discovered_by: str | None = None
    discovery_method: str | None = None
    client_ids: list[UUID] = field(default_factory=list)
    ai_systems: list[dict[str, Any]] = field(default_factory=list)
    ai_elements: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    person_concerned_id: UUID | None = None
    primary_risk: str | None = None
    external_references: list[Reference] = field(default_factory=list)
    severity_hint: str | None = None
    source_id: UUID | None = None
    exercise: bool = False


class Intake(Struct, frozen=True, kw_only=True):
    """What the use case found out for a report: the playbook asked for, and the one suggested."""

    id: UUID
    playbook: Playbook | None = None
    suggestion: dict[str, str] | None = None  # {slug, because}
    suggested: Playbook | None = None


def open_report(
    report: Report, intake: Intake, actor: Actor, now: datetime, around: Surroundings, new_id: Callable[[], UUID]
) -> Change:
    """Store a report; declare it where the caller may. Raises Invalid for instants, clients or facts that cannot be."""
    title = report.title or (report.summary or "").strip().split("\n")[0][:TITLE_AT_MOST]
    if not title.strip():
        raise Invalid("Give a title or a summary.", errors=[InputError("/title", "title or summary is required")])
    incident = Incident(
        id=intake.id,
        number=f"{intake.id}-0",  # until it is named, last of all
        exercise=report.exercise,
        title=title.strip(),
        summary=report.summary,
        discovered_at=_discovered(report, now),
        discovered_at_precision=report.discovered_at_precision or ("exact" if report.discovered_at else "estimated"),
        discovery_method=report.discovery_method or DiscoveryMethod.SELF_REPORT,
        discovery_confirmed=report.discovered_by is not None and report.discovery_method is not None,
        reported_at=now,
        opened_by_kind=actor.kind,
        opened_by_id=actor.id,
        source_id=report.source_id,
        triage_due_at=now + around.settings.triage_within,
        client_ids=list(dict.fromkeys(report.client_ids)),
        ai_elements=report.ai_elements,
        labels=list(dict.fromkeys(report.labels)),
        severity_hint=report.severity_hint,
        primary_risk=report.primary_risk,
        suggested_playbook=intake.suggestion,
    )
    change = Change(Record(incident=incident, documents=new_documents()), None, actor, now, around, new_id)
    _name_discoverer(change, report)
    change.emit("incident.reported", number=incident.number, title=incident.title, suggested=intake.suggestion)
    _add_references(change, report)
    expect_triage(change)
    _fill(change, report)
    if intake.playbook is not None and may_declare(intake.playbook, actor):
        declare(
            change, IncidentCommand(transition="declare", playbook=intake.playbook, primary_risk=report.primary_risk)
        )
    elif intake.suggested is not None:
        incident.provisional_deadlines = provisional(change, intake.suggested)
    return change


def name_incident(change: Change, number: str) -> None:
    """Give a report its number, last of all: gapless numbers are taken under a lock that everybody waits for."""
    change.record.incident.number = number
    change.events[0].data["number"] = number


def may_declare(playbook: Playbook, actor: Actor) -> bool:
    """Whether this caller's report with this playbook declares it at once; else it stays a suggestion."""
    return bool(actor.roles & DECLARERS) or (playbook.first_step_open_to_all and actor.kind != "system")


def _discovered(report: Report, now: datetime) -> datetime:
    at = discovery_instant(report.discovered_at or now)
    if at > now + AHEAD_AT_MOST:
        text = "lies in the future"
        raise Invalid(f"/discovered_at {text}.", errors=[InputError("/discovered_at", text)])
    return min(at, now)


def _name_discoverer(change: Change, report: Report) -> None:
    incident, people = change.record.incident, change.around.people
    by = report.discovered_by
    if by is None:
        incident.discovered_by_id = change.person_id
        incident.discovered_by_name = None if change.person_id else "an automated report"
        return
    person = next((p for p in people if str(p) == by), None)
    if person is None and change.person_id is not None and str(change.person_id) == by:
        person = change.person_id
    incident.discovered_by_id, incident.discovered_by_name = person, None if person else by


def _add_references(change: Change, report: Report) -> None:
    for reference in report.external_references:
        add_reference(change, reference, report.source_id)


def add_reference(change: Change, reference: Reference, source_id: UUID | None = None) -> ExternalReference:
    """Note where else this incident is known. Uniqueness is the database's."""
    made = ExternalReference(
        id=change.new_id(),
        system=reference.system,
        instance=reference.instance,
        external_id=reference.id,
        key=reference.key,
        url=reference.url,
        source_id=source_id,
        added_at=change.now,
    )
    change.record.external_references[str(made.id)] = made
    change.emit("external_reference.added", system=made.system, instance=made.instance, id=made.external_id)
    return made


def _fill(change: Change, report: Report) -> None:
    incident = change.record.incident
    unknown = [c for c in incident.client_ids if c not in change.around.clients]
    if unknown:
        raise Invalid("Unknown client.", errors=[InputError("/client_ids", f"no such client: {unknown[0]}")])
    if report.ai_systems:
        set_document(change, "D03", {"entries": report.ai_systems}, "/ai_systems")
    for name, value in report.facts.items():
        pointer = f"/facts/{name}"
        if is_derived(name):
            text = f"{name} follows from the documentation; write it there"
            raise Invalid(f"{pointer} {text}.", code="fact-derived", errors=[InputError(pointer, text)])
        set_fact(incident.facts, name, value, set_by=change.actor.id, at=change.now)
    if report.person_concerned_id is not None:
        name_person_concerned(change, "person", report.person_concerned_id, None, None)
