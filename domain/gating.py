"""Gates at work: the view of a record that conditions see, and which gates speak against an operation."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, cast
from uuid import UUID

from domain.changes import Change
from domain.expressions import Scope, compile_expression
from domain.facts import scope_variables
from domain.incident_tools import named_tools
from domain.playbooks import Gate
from domain.record import ActionRun, Notification, Obligation, Record
from domain.refusals import Missing, MissingKind
from domain.relations import members
from domain.tools import failed_checks, missing_of_artifact, standing

CONTENT_OF_NOTHING: dict[str, Any] = {
    "kind": "none",
    "step": "",
    "action": "",
    "outcome": "",
    "inputs": {},
    "notification": {},
}


def is_fulfilled(action: ActionRun) -> bool:
    """Done, or unavailable with an approval by another person. A skipped action is never fulfilled."""
    return action.status == "done" or (action.status == "unavailable" and bool(action.approvals))


def is_settled(action: ActionRun) -> bool:
    """Nothing more is asked of it: fulfilled, skipped by an override, or not applicable."""
    return is_fulfilled(action) or action.status in ("skipped", "not_applicable")


def decision_of(duty: Obligation) -> str:
    """The decision as conditions see it: a notice handed to a follow-up (C4) is `carried` and asks for nothing now."""
    return "carried" if duty.carried_follow_up_id is not None and duty.decision == "notify" else duty.decision


Readings = tuple[Any, ...] | None
Places = tuple[tuple[str, tuple[Any, ...]], ...] | None
REMEMBERED_AT_MOST = 50_000
_UNKNOWN = object()
_remembered: dict[tuple[Any, ...], bool | None] = {}


class View:
    """The record as conditions and gates see it (playbooks.md section 7). Built once per change, parts lazily."""

    def __init__(self, change: Change) -> None:
        self.change = change
        self.record: Record = change.record

    @cached_property
    def facts(self) -> tuple[dict[str, Any], frozenset[str]]:
        """Known facts by name, and the names that stay unknown."""
        return scope_variables(self.record.incident.facts)

    def variables(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Every name that an expression may use; unknown facts are left out."""
        return {**self.facts[0], **self.parts, "event": {**CONTENT_OF_NOTHING, **event}}

    def required_done(self, step_id: str) -> bool:
        """Whether every required action of a step is fulfilled; a skipped one is not."""
        exempt = self.exempt
        return all(
            is_fulfilled(run) or run.status == "not_applicable" or run.id in exempt for run in self.runs_of(step_id)
        )

    def runs_of(self, step_id: str) -> list[ActionRun]:
        """The action runs of one step, in order."""
        return self._runs.get(step_id, [])

    @cached_property
    def _runs(self) -> dict[str, list[ActionRun]]:
        found: dict[str, list[ActionRun]] = {}
        for run in self.record.actions.values():
            found.setdefault(run.step_id, []).append(run)
        return found

    @cached_property
    def members(self) -> frozenset[UUID]:
        """People with a part in the incident."""
        return members(self.record)

    @cached_property
    def parts(self) -> dict[str, Any]:
        """Steps, actions, documents, notifications, obligations, evidence and tools, as conditions name them."""
        record = self.record
        kinds: dict[str, list[str]] = {action_id: [] for action_id in record.actions}
        for item in record.evidence.values():
            if item.action_id in kinds:
                kinds[item.action_id].append(item.kind)
        return {
            "steps": {
                step.id: {
                    "status": step.status,
                    "completed": step.status == "completed",
                    "started": step.started_at is not None,
                    "required_done": self.required_done(step.id),
                }
                for step in record.steps.values()
            },
            "actions": {action.id: _seen_action(action) for action in record.actions.values()},
            "documents": {document.id: {"state": document.state} for document in record.documents.values()},
            "notifications": [_seen_notification(one) for one in record.notifications.values()],
            "obligations": [_seen_obligation(one) for one in record.obligations.values()],
            "evidence": {action_id: len(found) for action_id, found in kinds.items()},
            "evidence_kinds": kinds,
            "tools": [dict(zip(TOOL_MEMBERS, tool, strict=True)) for tool in _of_tools(self, ())],
        }

    @property
    def closing(self) -> frozenset[str]:
        """Actions that the sign-off itself fulfils."""
        return self.change.playbook.closing if self.change.playbook else frozenset()

    @property
    def exempt(self) -> frozenset[str]:
        """Actions that never hold their step back: the closing ones, and those that only mirror a document."""
        return self.change.playbook.exempt if self.change.playbook else frozenset()

    def holds(self, text: str, event: Mapping[str, Any] | None = None) -> bool | None:
        """Three-valued value of a condition: None while a fact it needs is unknown.

        The same readings give the same value, so results are remembered: conditions read a handful of small values.
        """
        expression = compile_expression(text, shipped=True)
        key = self._readings(text, expression.places, event or CONTENT_OF_NOTHING)
        if key is not None and key in _remembered:
            return _remembered[key]
        scope = Scope(self.variables(event or CONTENT_OF_NOTHING), unknown=self.facts[1])
        result = expression.holds(scope)
        if key is not None:
            if len(_remembered) >= REMEMBERED_AT_MOST:
                _remembered.clear()
            _remembered[key] = result
        return result

    def _readings(self, text: str, places: Places, event: Mapping[str, Any]) -> Readings:
        if places is None:
            return None
        values: list[Any] = [text]
        for root, path in places:
            read = _READ.get(root)
            try:
                if read is not None:
                    values.append(read(self, path))
                elif root == "event":
                    values.append(_frozen(_within({**CONTENT_OF_NOTHING, **event}, path)))
                else:
                    values.append(_frozen(_within(self.facts[0][root], path)) if root in self.facts[0] else _UNKNOWN)
            except (KeyError, IndexError, TypeError):
                return None
        key = tuple(values)
        try:
            hash(key)
        except TypeError:
            return None
        return key

    def touch(self) -> None:
        """Forget what was read of the record: it has changed since."""
        for name in ("parts", "members", "_runs"):
            self.__dict__.pop(name, None)


def _seen_action(action: ActionRun) -> dict[str, Any]:
    return {
        "status": action.status,
        "outcome": action.outcome or "",
        "requirement": action.requirement,
        "done": is_fulfilled(action),
        "approved_by": [str(a["person_id"]) for a in action.approvals],
        "values": action.values or {},
    }


def _seen_notification(one: Notification) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "status": one.status,
        "client_id": str(one.client_id or ""),
        "action_id": one.action_id or "",
        "approved": one.approved_by is not None,
    }


def _seen_obligation(one: Obligation) -> dict[str, Any]:
    return {
        "rule": one.rule_id,
        "toward": one.toward,
        "outcome": one.outcome,
        "decision": decision_of(one),
        "client_id": str(one.client_id or ""),
    }


def _within(value: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        value = value[part]
    return value


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return tuple((key, _frozen(inner)) for key, inner in sorted(value.items()))
    return tuple(_frozen(inner) for inner in value) if isinstance(value, list | tuple) else value


def _of_action(view: View, path: tuple[Any, ...]) -> Any:
    run, member = view.record.actions[path[0]], path[1]
    if member == "done":
        return is_fulfilled(run)
    if member == "outcome":
        return run.outcome or ""
    if member == "values":
        return _frozen(_within(run.values or {}, path[2:]))
    return {"status": run.status, "requirement": run.requirement}[member]


def _of_step(view: View, path: tuple[Any, ...]) -> Any:
    step, member = view.record.steps[path[0]], path[1]
    if member == "required_done":
        return view.required_done(step.id)
    return {"status": step.status, "completed": step.status == "completed", "started": step.started_at is not None}[
        member
    ]


def _of_duties(view: View, path: tuple[Any, ...]) -> Any:
    return tuple(
        (d.rule_id, d.toward, d.outcome, decision_of(d), d.client_id) for d in view.record.obligations.values()
    )


def _of_notifications(view: View, path: tuple[Any, ...]) -> Any:
    return tuple(
        (n.kind, n.status, n.client_id, n.action_id, n.approved_by is not None)
        for n in view.record.notifications.values()
    )


def _kinds_of_evidence(view: View, path: tuple[Any, ...]) -> Any:
    return tuple(e.kind for e in view.record.evidence.values() if e.action_id == path[0])


TOOL_MEMBERS = ("id", "name", "status", "standing", "outcome", "artifact", "may_approve")


def _of_tools(view: View, path: tuple[Any, ...]) -> Any:
    found = []
    for entry in named_tools(view.change):
        tool, decision = entry.tool, entry.decided_in(view.record.incident.id)
        outcome = decision.outcome if decision is not None else ""
        is_whole = bool(outcome) and not missing_of_artifact(tool, outcome)
        may_approve = not failed_checks(entry, view.change.now)
        found.append((str(tool.id), tool.name, tool.status, standing(tool), outcome, is_whole, may_approve))
    return tuple(found)


_READ: dict[str, Callable[[View, tuple[Any, ...]], Any]] = {
    "actions": _of_action,
    "steps": _of_step,
    "obligations": _of_duties,
    "notifications": _of_notifications,
    "tools": _of_tools,
    "documents": lambda view, path: {"state": view.record.documents[path[0]].state}[path[1]],
    "evidence": lambda view, path: len(_kinds_of_evidence(view, path)),
    "evidence_kinds": _kinds_of_evidence,
}
"""How to read one place of the record without building the whole view of it."""


def speaking(view: View, event: Mapping[str, Any]) -> list[Gate]:
    """The gates that refuse `event` now, in the playbook's order. An unknown condition refuses too."""
    playbook = view.change.playbook
    if playbook is None:
        return []
    return [
        gate
        for gate in playbook.gates_on(event)
        if gate.unless is not None and view.holds(gate.unless, event) is not True
    ]


def _is_met(view: View, ref: str) -> bool:
    run = view.record.actions.get(ref)
    return run is not None and (is_fulfilled(run) or run.status == "not_applicable")


def refusal_of(view: View, gate: Gate) -> tuple[str, str, list[Missing]]:
    """A gate as the (id, message, missing) that a verdict carries; what is fulfilled already is not missing."""
    missing = [
        Missing(cast("MissingKind", m["kind"]), m["ref"], gate.message)
        for m in gate.missing
        if not _is_met(view, m["ref"])
    ]
    return gate.id, gate.message, missing
