"""What an incident does to the tool register: tools named in D03, checklist answers, the decision on a tool.

A playbook says so in two words: an input with `tool: checks.VC-1` (or another member of the entry) writes the register,
and an action with `decides: tool` takes the decision with its outcome. Both act on every tool that D03 names.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.ai_services import Service
from domain.changes import Change
from domain.playbooks import Action
from domain.record import ActionRun, Record
from domain.refusals import Conflict, InputError, Invalid
from domain.timeline import instant_text
from domain.tools import (
    APPROVERS,
    ARTIFACTS,
    CHECKS,
    STATUS_OF,
    Assessment,
    Decision,
    Entry,
    Tool,
    answer_checks,
    artifact_of,
    check_outcome,
    host_of,
    judge_assessment,
    member_fault,
    name_key,
    open_assessment,
    take_effect,
    write_member,
)

NOT_NAMED = ("unknown", "not_applicable")


def systems(record: Record) -> list[dict[str, Any]]:
    """The entries of D03; none while it says nothing. An incident that is just being opened may not have the item."""
    document = record.documents.get("D03")
    value = document.value if document is not None else None
    return list(value.get("entries", ())) if isinstance(value, dict) else []


def tool_ids(record: Record) -> list[UUID]:
    """The tools of the register that D03 names, each once, in its order."""
    found = [UUID(entry["tool_id"]) for entry in systems(record) if entry.get("tool_id")]
    return list(dict.fromkeys(found))


def unregistered(record: Record) -> list[int]:
    """Positions of the entries of D03 that name a tool and lead to none of the register."""
    return [
        position
        for position, entry in enumerate(systems(record))
        if entry.get("name") and not entry.get("tool_id") and entry.get("identification") not in NOT_NAMED
    ]


def link_tools(change: Change, found: Mapping[int, UUID]) -> None:
    """Let entries of D03, by position, lead to their tool."""
    document = change.record.documents["D03"]
    entries = [
        {**entry, "tool_id": str(found[position])} if position in found else entry
        for position, entry in enumerate(systems(change.record))
    ]
    document.value = {**document.value, "entries": entries}
    document.version += 1
    change.emit("tool.named", tool_ids=[str(tool_id) for tool_id in found.values()])


def new_tool(change: Change, system: Mapping[str, Any], service: Service | None) -> Entry:
    """A new entry for a tool that the incident brought to light. `service` is what the directory knows of it."""
    known = (service.vendor, service.domains, service.slug) if service is not None else (None, (), None)
    host = host_of(system.get("url") or "")
    tool = Tool(
        id=change.new_id(),
        name=" ".join(system["name"].split()),
        name_key=name_key(system["name"]),
        vendor=system.get("vendor") or known[0],
        domains=list(dict.fromkeys([*([host] if host else ()), *known[1]])),
        service=known[2],
        status="under_review",
        requested_by_kind=change.actor.kind,
        requested_by_id=change.actor.id,
        created_at=change.now,
        updated_at=change.now,
    )
    change.tell_tool(tool.id, "tool.discovered", incident_id=str(change.record.incident.id), name=tool.name)
    change.tools[tool.id] = Entry(tool=tool)
    return change.tools[tool.id]


def held_tool(change: Change, name: str, host: str) -> UUID | None:
    """The tool of this name, else at this host, among those that the change holds already."""
    tools = [entry.tool for entry in change.tools.values()]
    found = [t for t in tools if t.name_key == name_key(name)] or [t for t in tools if host and host in t.domains]
    return found[0].id if found else None


def write_tool(change: Change, action: Action, target: str, value: Any, pointer: str) -> None:
    """Write what was typed once to the register.

    Raises Invalid while D03 names no tool, for an owner who is nobody of ours and for an instant that cannot be.
    """
    entries = _entries(change, pointer)
    where = {"incident_id": str(change.record.incident.id), "action_id": action.id}
    for entry in entries:
        if target.startswith(CHECKS) or target == "personal_data":
            assessment = _assessment(change, entry)
            if target == "personal_data":
                assessment.personal_data = None if value == "unknown" else value
                judge_assessment(assessment, change.now)
            else:
                check_id = target.removeprefix(CHECKS)
                answer_checks(entry, assessment, {check_id: value}, change.now, change.actor.id, **where)
            change.tell_tool(entry.tool.id, "tool.assessed", assessment_id=str(assessment.id), what=target, **where)
            continue
        write_member(entry.tool, target, value)
        if fault := _fault(change, entry.tool, target):
            raise Invalid(f"{pointer} {fault}.", errors=[InputError(pointer, fault)])
        decision = entry.decided_in(change.record.incident.id)
        if decision is not None and target in ARTIFACTS[decision.outcome]:
            decision.artifact = artifact_of(entry.tool, decision.outcome)
        change.tell_tool(entry.tool.id, "tool.changed", fields=[target], **where)


def _fault(change: Change, tool: Tool, target: str) -> str | None:
    if target == "owner_id" and tool.owner_id not in change.around.people:
        return "is not an active person of this tenant"
    return member_fault(tool, target, change.now)


def named_tools(change: Change) -> list[Entry]:
    """The entries that D03 names, in its order."""
    return [change.tools[tool_id] for tool_id in tool_ids(change.record) if tool_id in change.tools]


def _entries(change: Change, pointer: str) -> list[Entry]:
    named = named_tools(change)
    if not named:
        text = "needs to know which tool: record it in D03 first, identified or suspected, with its name"
        raise Invalid(f"{pointer} {text}.", errors=[InputError(pointer, text)])
    return named


def _assessment(change: Change, entry: Entry) -> Assessment:
    return open_assessment(entry, change.now, change.new_id(), change.person_id, change.record.incident.id)


def check_tools(change: Change, action: Action, outcome: str) -> None:
    """Refuse to begin an approval that the checklist forbids; an action that answers checks is judged at its end.

    Raises GateRefused (G-SA-2), Invalid while no tool is named.
    """
    if any((wanted.tool or "").startswith(CHECKS) for wanted in action.inputs):
        return
    for entry in _entries(change, "/outcome"):
        check_outcome(entry, outcome, change.now)


def decide_tools(change: Change, action: Action, run: ActionRun, reason: str) -> None:
    """Let the outcome of an action take effect on the tools that D03 names, with its artifact and change record.

    Raises GateRefused where `approve` is not allowed (G-SA-2), Invalid while no tool is named, Conflict for an outcome
    that is none of a tool.
    """
    outcome = run.outcome or ""
    if outcome not in STATUS_OF:
        raise Conflict(f"{outcome} is no outcome for a tool.")
    where = {"incident_id": str(change.record.incident.id), "action_id": action.id}
    for entry in _entries(change, "/outcome"):
        check_outcome(entry, outcome, change.now)
        assessment = entry.assessment
        decision = Decision(
            id=change.new_id(),
            assessment_id=assessment.id if assessment is not None else None,
            incident_id=change.record.incident.id,
            action_id=action.id,
            outcome=outcome,
            reason=reason,
            status_before=entry.tool.status,
            status_after=STATUS_OF[outcome],
            suggested=(assessment.suggested or {}).get("outcome") if assessment is not None else None,
            approvals=_approvals(change, run),
            proposed_by=change.person_id,
            proposed_at=change.now,
        )
        take_effect(entry, decision, {}, change.now)
        entry.decisions[str(decision.id)] = decision
        said: dict[str, Any] = {"decision_id": str(decision.id), "outcome": outcome, "suggested": decision.suggested}
        change.tell_tool(entry.tool.id, "tool.decided", **said, **where)
        change.emit("tool.decided", tool_id=str(entry.tool.id), action_id=action.id, **said)


def _approvals(change: Change, run: ActionRun) -> list[dict[str, Any]]:
    """Who stands for the decision: the approvals of the action, or the one person who took it."""
    if run.approvals:
        return [{name: a.get(name) for name in ("person_id", "role", "note", "at")} for a in run.approvals]
    role = next((role for role in APPROVERS if role in change.actor.roles), None)
    return [{"person_id": str(change.actor.id), "role": role, "note": run.note, "at": _at(run.recorded_at)}]


def _at(at: datetime | None) -> str | None:
    return instant_text(at) if at is not None else None
