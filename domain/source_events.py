"""What an event of a source does to an incident: opens it, brings it up to date, says that it ended elsewhere.

What a person has written stays: after a person's edit, and after the declaration, an event adds to the timeline and
leaves the header alone. An event never closes an incident and never decides a severity.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from domain.changes import Change
from domain.evidence import NewEvidence, attach_evidence
from domain.facts import check_fact, is_derived
from domain.incidents import HeaderEdit, edit_header
from domain.mappings import SourceEvent
from domain.playbooks import catalogue
from domain.refusals import Invalid
from domain.reporting import Reference, Report
from domain.systems import System

Result = Literal["created", "updated", "noted", "duplicate", "ignored", "unmapped"]
SUMMARY_MAX = 20_000
OBSERVABLES_SHOWN = 50
CLOSED = ("closed", "rejected")


class Origin(Struct, frozen=True, kw_only=True):
    """Where an event comes from: the source, its instance of the system, the delivery that brought it.

    `labels` and `facts` are what every incident of the source begins with.
    """

    source_id: UUID
    delivery_id: UUID
    system: System
    instance: str
    labels: tuple[str, ...] = ()
    facts: dict[str, Any] = {}


def report_of(event: SourceEvent, origin: Origin, client_ids: list[UUID], now: datetime) -> Report:
    """The report that opens an incident for an event. `client_ids` come from the source, never from the event."""
    told = event.title or event.summary
    title = event.title
    if told is None:
        title = f"{origin.system.title} {event.key or event.external_id or ''}".strip()
    discovered = event.created_at if event.created_at is not None and event.created_at <= now else None
    return Report(
        title=title,
        summary=_described(event, with_client=not client_ids),
        discovered_at=discovered,
        # A monitoring system discovers by itself; whoever reported to a ticket system has to be asked how.
        discovered_by=event.reporter or (origin.system.title if origin.system.discovery_method else None),
        discovery_method=origin.system.discovery_method,
        client_ids=client_ids,
        ai_systems=list(event.ai_systems),
        # What the delivery itself says of this case is nearer to it than what is usual.
        facts=usable_facts({**origin.facts, **(event.met.facts if event.met else {}), **event.facts})[0],
        labels=[*dict.fromkeys((*origin.labels, *event.labels))],
        external_references=references(event, origin),
        severity_hint=event.severity_hint,
        source_id=origin.source_id,
    )


def references(event: SourceEvent, origin: Origin) -> list[Reference]:
    """The reference by which later events of the same thing are recognised."""
    if event.external_id is None:
        return []
    system, instance = origin.system.name, origin.instance
    return [Reference(system=system, instance=instance, id=event.external_id, key=event.key, url=event.url)]


def known_playbook(slug: str | None) -> str | None:
    """`slug` when there is such a playbook. An unknown one is no reason to lose an alert."""
    return slug if slug is not None and catalogue().get(slug) is not None else None


def usable_facts(facts: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The facts that can be set, and the names of those that cannot."""
    usable, refused = {}, []
    for name, value in facts.items():
        try:
            if is_derived(name):
                raise Invalid("derived")
            usable[name] = check_fact(name, value)
        except Invalid:
            refused.append(name[:64])
    return usable, refused


def apply_event(
    change: Change, event: SourceEvent, origin: Origin, *, is_edited: bool, is_late: bool = False
) -> tuple[Result, str]:
    """Let an event act on the incident that carries its reference; the result and why.

    `is_edited` says that a person has edited the header, `is_late` that a newer state has been told already. Never
    raises for what an event holds.
    """
    incident = change.record.incident
    name = origin.system.title
    if incident.status in CLOSED:
        if event.action == "close":
            return "ignored", f"The incident is {incident.status} already."
        # Not an amendment, which people make with a reason: the record stays as it was signed.
        change.emit("source.event_after_end", text=_line(event, origin, []), **_told_by(event, origin))
        return "noted", f"The incident is {incident.status}: a person decides whether to reopen it."
    changed = _edit(change, event, is_edited=is_edited)
    if event.action == "close":
        return _ask_to_close(change, event, origin)
    text = _line(event, origin, changed)
    change.emit("note.added", text=text, performed_by=None, late_entry=False, **_told_by(event, origin))
    if (
        not is_late
        and incident.close_asked is not None
        and event.action in ("open", "update")
        and event.status not in _ENDED
    ):
        incident.close_asked = None
        change.emit("incident.close_withdrawn", system=origin.system.name, external_id=event.external_id)
        return "updated", f"{name} reports it as open again."
    if changed:
        return "updated", f"{name} changed {', '.join(changed)}."
    if event.action == "open":
        return "noted", f"{name} reported it again."
    return "noted", "It is kept in the timeline."


def count_event(change: Change, event: SourceEvent, origin: Origin, alerts: int, first_at: datetime) -> None:
    """Tell of an alert that is one of many, without touching the header."""
    since = first_at.isoformat(timespec="seconds").replace("+00:00", "Z")
    text = f"{origin.system.title} reports more of the same: {alerts} since {since}."
    if event.title:
        text = f"{text}\n\nThe last one: {event.title}"
    told = {**_told_by(event, origin), "alerts": alerts}
    if change.record.incident.status in CLOSED:
        change.emit("source.event_after_end", text=text, **told)
    else:
        change.emit("note.added", text=text, performed_by=None, late_entry=False, **told)


def attach_files(change: Change, event: SourceEvent, origin: Origin, items: Collection[NewEvidence]) -> None:
    """Attach what the event carried, as `items`; what it only names or what could not be kept is told in the timeline.

    A closed record takes nothing more: the delivery still holds the bytes.
    """
    lines = [f"{file.name}: {file.refused or file.url}" for file in event.files if file.refused or not file.content]
    if change.record.incident.status in CLOSED:
        lines += [f"{item.filename}: the incident is {change.record.incident.status}." for item in items]
        items = ()
    known = {(one.sha256, one.filename) for one in change.record.evidence.values()}
    for item in items:
        if (item.sha256, item.filename) not in known:
            attach_evidence(change, item)
    if not lines:
        return
    told = "\n".join(f"- {line}" for line in lines)
    text = f"{origin.system.title} names files that are not kept here:\n\n{told}"[:SUMMARY_MAX]
    if change.record.incident.status in CLOSED:
        change.emit("source.event_after_end", text=text, **_told_by(event, origin))
    else:
        change.emit("note.added", text=text, performed_by=None, late_entry=False, **_told_by(event, origin))


_ENDED = ("closed", "resolved")


def _ask_to_close(change: Change, event: SourceEvent, origin: Origin) -> tuple[Result, str]:
    """An outside system ended it; closing here stays a decision of people."""
    incident = change.record.incident
    told = _told_by(event, origin)
    incident.close_asked = {
        "system": origin.system.name,
        "at": change.now,
        "external_id": event.external_id,
        "resolution": event.resolution,
    }
    change.emit("incident.close_asked", resolution=event.resolution, **told)
    return "noted", f"{origin.system.title} closed it there; whether it is closed here is for a person to decide."


def _edit(change: Change, event: SourceEvent, *, is_edited: bool) -> list[str]:
    """Bring the header up to date with what the event says; the names of what changed. Absent fields stay."""
    incident = change.record.incident
    before = {name: getattr(incident, name) for name in ("title", "summary", "severity_hint", "labels")}
    facts, _ = usable_facts(event.facts)
    is_open = incident.declared_at is None and not is_edited
    labels: list[str] | UnsetType = UNSET
    if is_open and set(event.labels) - set(incident.labels):
        labels = [*dict.fromkeys((*incident.labels, *event.labels))]
    # Facts a person has set are not argued with.
    own = {n: v for n, v in facts.items() if _may_set(incident.facts.get(n), change.actor.id)}
    described = _described(event, with_client=not incident.client_ids) if event.summary else None
    edit = HeaderEdit(
        title=event.title if is_open and event.title else UNSET,
        summary=described if is_open and described else UNSET,
        labels=labels,
        severity_hint=event.severity_hint or UNSET,
        facts=own,
    )
    known = dict(incident.facts)
    edit_header(change, edit)
    changed = [name.replace("_", " ") for name, value in before.items() if getattr(incident, name) != value]
    return changed + [f"fact {n}" for n in own if known.get(n, {}).get("value") != incident.facts[n]["value"]]


def _may_set(entry: Any, actor_id: UUID) -> bool:
    return entry is None or entry.get("state") == "not_asked" or entry.get("set_by") == str(actor_id)


def _described(event: SourceEvent, *, with_client: bool) -> str | None:
    """The summary with what has no place of its own, marked as the words of the sender."""
    lines = []
    if with_client and (event.client_name or event.client_ref):
        lines.append(f"Client as reported: {event.client_name or event.client_ref}")
    if event.observables:
        lines.append("Observables: " + ", ".join(event.observables[:OBSERVABLES_SHOWN]))
    if event.ai_systems and event.summary is None and not lines:
        return None
    return "\n\n".join(part for part in (event.summary, "\n".join(lines)) if part)[:SUMMARY_MAX] or None


def _line(event: SourceEvent, origin: Origin, changed: Collection[str]) -> str:
    """What the timeline says of an event."""
    parts = [f"{origin.system.title} reports {_WORD[event.action]}."]
    if event.status:
        parts.append(f"Status there: {event.status}.")
    if event.assignee:
        parts.append(f"Assigned there to {event.assignee}.")
    if event.severity_hint:
        parts.append(f"Severity there: {event.severity_hint}.")
    if event.title and "title" not in changed:
        parts.append(f"Title: {event.title}")
    return "\n\n".join(part for part in (" ".join(parts), event.comment, event.resolution) if part)[:SUMMARY_MAX]


_WORD = {"open": "it again", "update": "a change", "close": "the end", "comment": "a note", "ignore": "something"}


def _told_by(event: SourceEvent, origin: Origin) -> dict[str, Any]:
    return {
        "source_id": origin.source_id,
        "delivery_id": origin.delivery_id,
        "system": origin.system.name,
        "external_id": event.external_id,
    }
