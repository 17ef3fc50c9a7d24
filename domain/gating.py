"""Gates at work: the view of a record that conditions see, and which gates speak against an operation."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, cast

from domain.changes import Change
from domain.expressions import Scope, compile_expression
from domain.facts import scope_variables
from domain.playbooks import Gate
from domain.record import ActionRun, Record
from domain.refusals import Missing, MissingKind

CONTENT_OF_NOTHING: dict[str, Any] = {"kind": "none", "step": "", "action": "", "notification": {}}


def is_fulfilled(action: ActionRun) -> bool:
    """Done, or unavailable with an approval by another person. A skipped action is never fulfilled."""
    return action.status == "done" or (action.status == "unavailable" and bool(action.approvals))


def is_settled(action: ActionRun) -> bool:
    """Nothing more is asked of it: fulfilled, skipped by an override, or not applicable."""
    return is_fulfilled(action) or action.status in ("skipped", "not_applicable")


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
        return {**self.facts[0], **self.parts, "event": dict(event)}

    @cached_property
    def parts(self) -> dict[str, Any]:
        """Steps, actions, documents, notifications, obligations and evidence, as conditions name them."""
        record = self.record
        by_step: dict[str, list[ActionRun]] = {step_id: [] for step_id in record.steps}
        for action in record.actions.values():
            by_step[action.step_id].append(action)
        counts: dict[str, int] = dict.fromkeys(record.actions, 0)
        for item in record.evidence.values():
            if item.action_id in counts:
                counts[item.action_id] += 1
        return {
            "steps": {
                step.id: {
                    "status": step.status,
                    "completed": step.status == "completed",
                    "started": step.started_at is not None,
                    "required_done": all(
                        is_fulfilled(a) or a.status == "not_applicable" or a.id in self.exempt for a in by_step[step.id]
                    ),
                }
                for step in record.steps.values()
            },
            "actions": {
                action.id: {
                    "status": action.status,
                    "outcome": action.outcome or "",
                    "requirement": action.requirement,
                    "done": is_fulfilled(action),
                    "approved_by": [str(a["person_id"]) for a in action.approvals],
                }
                for action in record.actions.values()
            },
            "documents": {document.id: {"state": document.state} for document in record.documents.values()},
            "notifications": [
                {
                    "kind": n.kind,
                    "status": n.status,
                    "client_id": str(n.client_id or ""),
                    "action_id": n.action_id or "",
                }
                for n in record.notifications.values()
            ],
            "obligations": [
                {
                    "rule": o.rule_id,
                    "toward": o.toward,
                    "outcome": o.outcome,
                    "decision": o.decision,
                    "client_id": str(o.client_id or ""),
                }
                for o in record.obligations.values()
            ],
            "evidence": counts,
        }

    @cached_property
    def closing(self) -> frozenset[str]:
        """Actions that the sign-off itself fulfils."""
        playbook = self.change.playbook
        if playbook is None:
            return frozenset()
        return frozenset(action.id for step in playbook.steps for action in step.actions if action.closing)

    @cached_property
    def exempt(self) -> frozenset[str]:
        """Actions that never hold their step back: the closing ones, and those that only mirror a document."""
        playbook = self.change.playbook
        if playbook is None:
            return frozenset()
        return self.closing | {action.id for action in playbook.actions.values() if not action.blocks_step}

    @cached_property
    def _quiet(self) -> Scope:
        return Scope(self.variables(CONTENT_OF_NOTHING), unknown=self.facts[1])

    def holds(self, text: str, event: Mapping[str, Any] | None = None) -> bool | None:
        """Three-valued value of a condition: None while a fact it needs is unknown."""
        expression = compile_expression(text, shipped=True)
        if event is None or "event" not in expression.names:
            return expression.holds(self._quiet)
        return expression.holds(Scope(self.variables(event), unknown=self.facts[1]))


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


def refusal_of(view: View, gate: Gate) -> tuple[str, str, list[Missing]]:
    """A gate as the (id, message, missing) that a verdict carries; what is fulfilled already is not missing."""
    missing = [
        Missing(cast("MissingKind", m["kind"]), m["ref"], gate.message)
        for m in gate.missing
        if not (m["ref"] in view.record.actions and is_fulfilled(view.record.actions[m["ref"]]))
    ]
    return gate.id, gate.message, missing
