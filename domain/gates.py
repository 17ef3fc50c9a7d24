"""Gates: rules that refuse an operation until a condition holds.

What `unless` and `required_if` can see (every key of the maps is always bound, unknown facts are left out):

    steps[id]       {status, completed, started, required_done}
    actions[id]     {status, outcome, requirement, done, approved_by, values}; `outcome` is "" while there is none,
                    `done` is done or approved as unavailable, never skipped; `values` holds what was filled in and went
                    to no document and no fact: `has(actions["HI.1.4"].values.decisions) && ...`
    documents[id]   {state}
    notifications   list of {kind, status, client_id, action_id, approved}
    obligations     list of {rule, toward, outcome, decision, client_id}; `carried` is the decision of a duty whose
                    notice a follow-up owes
    evidence[id]    number of evidence items of that action
    evidence_kinds[id]  kinds of those items, such as email_original
    tools           list of {id, name, status, standing, outcome, artifact, may_approve}: the entries of the tool
                    register that D03 names, in playbooks with an action that `decides: tool` (else empty). `outcome` is
                    what this incident decided for the tool ("" before), `artifact` whether what that outcome creates is
                    there and whole, `standing` the outcome that the tool's present status stands for. A step that may
                    not end without the artifacts:
                    size(tools) >= 1 && tools.all(t, t.outcome == actions["SA.3.1"].outcome && t.artifact)
    event           {kind, step, action, outcome, inputs, notification: {kind, action_id, reason}}, the operation asked
                    for; `inputs` and `outcome` are what the caller says, once they fit their schemas, and empty while
                    only asked what would be possible: `!has(event.inputs.x) || ...` judges what is said and no more.
                    `reason` is the word of an action's `ahead_of_approval` where the sender gave it, else ""
    facts           by their own names
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct, field


class Operation(StrEnum):
    """What a gate can refuse."""

    STEP_COMPLETE = "step.complete"
    ACTION_COMPLETE = "action.complete"
    ACTION_SKIP = "action.skip"
    NOTIFICATION_SEND = "notification.send"
    NOTIFICATION_NOT_REQUIRED = "notification.not_required"
    EVIDENCE_REMOVE = "evidence.remove"
    INCIDENT_SIGN_OFF = "incident.sign_off"
    INCIDENT_CLOSE = "incident.close"


VARIABLES = frozenset(
    {"steps", "actions", "documents", "notifications", "obligations", "evidence", "evidence_kinds", "tools", "event"}
)
"""Names beside the facts that a condition may use."""


class EventPattern(Struct, frozen=True, omit_defaults=True):
    """Which operations a gate listens to. A part left out matches anything.

    `kinds` are kinds of notifications; `action` is the action of the operation or of the notification.
    """

    operation: str
    step: str | None = None
    action: str | None = None
    kinds: tuple[str, ...] = ()

    def matches(self, event: Mapping[str, Any]) -> bool:
        """Whether the operation asked for is one this pattern describes."""
        if event["kind"] != self.operation or (self.step is not None and event.get("step") != self.step):
            return False
        notification = event.get("notification") or {}
        if self.kinds and notification.get("kind") not in self.kinds:
            return False
        if self.action is None:
            return True
        asked = notification.get("action_id") if self.operation.startswith("notification.") else event.get("action")
        return bool(asked == self.action)


class Frees(Struct, frozen=True):
    """An operation on an action that no gate may make wait for any of `waits`: actions (with their steps) and facts.

    Checked when the playbook is loaded, so it binds every gate of it, those that a variant adds included.
    """

    operation: str
    action: str
    waits: tuple[str, ...]


class Gate(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One gate. Either `when` and `unless` decide, or the part of the engine named by `enforced_by` does.

    `override_role` is null where nobody may override; `override_rule` names a further condition of the override.
    `names_actions` are the actions that may not be skipped, because this gate names them and cannot be overridden.
    `missing` are the things to point a caller at: [{kind, ref}]. `frees` is what it rules out for the other gates.
    """

    id: str
    text: str
    message: str
    source: str
    basis: str | None = None
    when: tuple[EventPattern, ...] = ()
    unless: str | None = None
    enforced_by: str | None = None
    override_role: str | None = None
    override_rule: str | None = None
    approver_role: str | None = None
    names_actions: tuple[str, ...] = ()
    missing: tuple[dict[str, str], ...] = field(default=())
    frees: Frees | None = None

    def concerns(self, event: Mapping[str, Any]) -> bool:
        """Whether this gate has a say in the operation asked for."""
        return any(pattern.matches(event) for pattern in self.when)


def unskippable(gates: Iterable[Gate]) -> frozenset[str]:
    """Actions that a gate without override names: they are done, or approved as unavailable, and never skipped."""
    return frozenset(action for gate in gates if gate.override_role is None for action in gate.names_actions)
