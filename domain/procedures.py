"""A playbook as the rules see it: steps, actions, inputs and gates, resolved and frozen.

An incident pins one resolved playbook by its content hash. Everything in it is plain data, so that a stored one can be
brought back exactly as it was (`playbook_of`).
"""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from domain.deadlines import Sla
from domain.gates import Gate, unskippable
from domain.glossary import STAFF, Phase
from domain.timeline import canonical
from domain.workflows import Workflow


class OnePer(Struct, frozen=True, kw_only=True):
    """Where the list is that an input answers entry by entry, and the member by which the entries are matched."""

    action: str
    input: str
    key: str


class Input(Struct, frozen=True, kw_only=True):
    """One thing an action asks for. It writes an item (or a `member` of it, dotted), a fact, the action's values,
    or beside these a member of the tool's entry in the register (`tool`, such as `checks.VC-1`). `proposed`
    says what of the directory of AI services pre-fills it: a path such as `links.deletion`, or one per member.

    Shown to callers as it is, so that a form draws itself; every key is always there, `one_per`, `tool` and
    `proposed` where they are used.
    """

    name: str
    title: str
    schema: dict[str, Any]
    required: bool = True
    document: str | None = None
    member: str | None = None
    fact: str | None = None
    one_per: OnePer | UnsetType = UNSET
    tool: str | UnsetType = UNSET
    proposed: str | dict[str, str] | UnsetType = UNSET


class Opens(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The playbook of the incident that an action opens or links; only with one of `outcomes` where some are named."""

    playbook: str
    outcomes: tuple[str, ...] = ()


class Ahead(Struct, frozen=True):
    """A notice may go out before its approval: by holders of `roles`, who give `reason` as the word for why."""

    reason: str
    roles: tuple[str, ...]


class Action(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One item of a step's checklist.

    `required_if` null means always. `fulfilled_by` names items whose completeness fulfils the action by itself;
    `closing` actions are fulfilled by the sign-off. An action with `blocks_step` false never holds its step back.
    `approvals_from` are roles that each have to approve, by different persons; `approvals_if` limits a role to a
    condition, `approvals_when` all of them to some outcomes: with another one the action is completed by one person.
    `never_alone`: one person never gives all of them, not even where nobody else is active. `opens`: done by opening
    a linked incident. `kinds` are the kinds of notifications that fulfil it, where fewer fit than its type lets
    through; `ahead_of_approval` says who may send one unapproved. `drafts` and `reviews` name the kind of text whose
    draft, or whose approval, fulfils it (domain/reviews.py). `raises` are facts that its answers make true and never
    take back: what one search did not find, another may have. `evidence_of`: actions whose items, once kept, are its
    evidence too. `restricts`: from then on all evidence is restricted.
    `decides`: on what the outcome takes effect beside the incident (`tool`). `briefing`: the {subject, body} drafted
    when the action becomes required. `source` is S, A or X, and `basis` says on what an X rests.
    """

    id: str
    step_id: str
    position: int
    text: str
    type: str
    source: str
    basis: str | None = None
    required_if: str | None = None
    outcomes: tuple[str, ...] = ()
    role: str | None = None
    fills: tuple[str, ...] = ()
    inputs: tuple[Input, ...] = ()
    closing: bool = False
    blocks_step: bool = True
    fulfilled_by: tuple[str, ...] | None = None
    same_as: str | None = None
    approvals_from: tuple[str, ...] = ()
    approvals_if: dict[str, str] = field(default_factory=dict)
    approvals_when: tuple[str, ...] = ()
    never_alone: bool = False
    opens: Opens | None = None
    kinds: tuple[str, ...] = ()
    ahead_of_approval: Ahead | None = None
    raises: tuple[str, ...] = ()
    evidence_of: tuple[str, ...] = ()
    drafts: str | None = None
    reviews: str | None = None
    restricts: str | None = None
    decides: str | None = None
    briefing: dict[str, str] | None = None
    briefing_on: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def briefs(self) -> bool:
        """Whether staff are told of it by a briefing that the rules draft."""
        return self.briefing is not None or bool(self.briefing_on)

    def opens_with(self, outcome: str | None) -> bool:
        """Whether completing it with this outcome takes a linked incident."""
        return self.opens is not None and (not self.opens.outcomes or outcome in self.opens.outcomes)


class Step(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step. The first of `owner_roles` is accountable; `owner_roles_if` holds roles that a condition adds."""

    id: str
    position: int
    phase: str
    title: str
    summary: str
    owner_roles: tuple[str, ...]
    sla: Sla
    source: str
    controls: tuple[str, ...] = ()
    controls_suggested: tuple[str, ...] = ()
    risk: str | None = None
    actions: tuple[Action, ...] = ()
    owner_roles_if: dict[str, str] = field(default_factory=dict)


class Added(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a variant has beyond its base: ids of steps, actions and gates; roles and controls by step."""

    steps: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    gates: tuple[str, ...] = ()
    roles: dict[str, tuple[str, ...]] = field(default_factory=dict)
    roles_if: dict[str, dict[str, str]] = field(default_factory=dict)
    controls: dict[str, tuple[str, ...]] = field(default_factory=dict)


class Content(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a playbook says; its canonical JSON is what the hash is taken of.

    A variant names its base in `extends` with the version it was resolved over, and what it `added`.
    """

    slug: str
    version: str
    prefix: str
    title: str
    description: str
    primary_risk: str | None  # null: asked at declaration
    risks: tuple[str, ...]
    severity_floor: str
    standards: tuple[str, ...]
    sources: tuple[dict[str, str], ...]
    steps: tuple[Step, ...]
    gates: tuple[Gate, ...]
    extends: str | None = None
    extends_version: str | None = None
    added: Added | None = None
    standards_note: str | None = None
    workflow: Workflow | None = None
    satisfied: dict[str, str] = field(default_factory=dict)  # (common action left out -> the action that does its work)


class Playbook(Content, frozen=True, kw_only=True, dict=True):
    """A resolved playbook with the SHA-256 (lower-case hex) of its content."""

    hash: str = ""

    def resolved(self) -> dict[str, Any]:
        """The content as JSON builtins, without the hash: what is stored, hashed and shown."""
        content: dict[str, Any] = msgspec.to_builtins(self)
        content.pop("hash", None)
        return content

    def spelled_out(self) -> dict[str, Any]:
        """The content and the hash as builtins with every key there, defaults too: for readers."""
        whole: dict[str, Any] = _spelled_out(self)
        return whole

    @cached_property
    def _steps(self) -> dict[str, Step]:
        return {step.id: step for step in self.steps}

    @cached_property
    def _actions(self) -> dict[str, Action]:
        return {action.id: action for step in self.steps for action in step.actions}

    @cached_property
    def _gates(self) -> dict[str, Gate]:
        return {gate.id: gate for gate in self.gates}

    @cached_property
    def _gates_by_operation(self) -> dict[str, tuple[Gate, ...]]:
        found: dict[str, list[Gate]] = {}
        for gate in self.gates:
            for operation in dict.fromkeys(pattern.operation for pattern in gate.when):
                found.setdefault(operation, []).append(gate)
        return {operation: tuple(gates) for operation, gates in found.items()}

    @cached_property
    def unskippable(self) -> frozenset[str]:
        """Actions that nobody may skip, since a gate without override names them."""
        return unskippable(self.gates)

    @cached_property
    def decides_tools(self) -> bool:
        """Whether an action of it decides on the tools that the incident names."""
        return any(action.decides == "tool" for action in self._actions.values())

    @cached_property
    def briefings(self) -> tuple[Action, ...]:
        """Actions for which a briefing is drafted."""
        return tuple(action for action in self._actions.values() if action.briefs)

    @cached_property
    def closing(self) -> frozenset[str]:
        """Actions that the sign-off itself fulfils."""
        return frozenset(action.id for action in self._actions.values() if action.closing)

    @cached_property
    def undoable(self) -> frozenset[str]:
        """Actions that are open again by themselves: they rest on a linked incident or answer another list."""
        resting = (a for a in self._actions.values() if a.opens is not None or any(w.one_per for w in a.inputs))
        return frozenset(action.id for action in resting)

    @cached_property
    def exempt(self) -> frozenset[str]:
        """Actions that never hold their step back."""
        return self.closing | {action.id for action in self._actions.values() if not action.blocks_step}

    @property
    def actions(self) -> Mapping[str, Action]:
        """Every action by id, in the order of the steps."""
        return self._actions

    @property
    def last_step(self) -> Step:
        """The step that the sign-off completes."""
        return self.steps[-1]

    @property
    def post_incident_step(self) -> Step:
        """The step whose start makes the incident `post_incident`; all before it contain the incident."""
        return next((step for step in self.steps if step.phase == Phase.POST_INCIDENT), self.steps[-1])

    @property
    def first_step_open_to_all(self) -> bool:
        """Whether any member may declare it, because staff own the first step."""
        return not STAFF.isdisjoint(self.steps[0].owner_roles)

    def has_step(self, step_id: str) -> bool:
        """Whether there is such a step."""
        return step_id in self._steps

    def step(self, step_id: str) -> Step:
        """The step. Raises KeyError when there is none."""
        return self._steps[step_id]

    def action(self, action_id: str) -> Action | None:
        """The action, or None."""
        return self._actions.get(action_id)

    def gate(self, gate_id: str) -> Gate | None:
        """The gate, those of all playbooks included, or None."""
        return self._gates.get(gate_id)

    @cached_property
    def gates_on_completing(self) -> dict[str, list[Gate]]:
        """Of each action, the gates that have a say when it is completed, before what is said with it is known."""
        return {name: self.gates_on({"kind": "action.complete", "action": name}) for name in self._actions}

    def gates_on(self, event: Mapping[str, Any]) -> list[Gate]:
        """Gates that have a say in the operation asked for, in the playbook's order."""
        return [gate for gate in self._gates_by_operation.get(event["kind"], ()) if gate.concerns(event)]


def _spelled_out(value: Any) -> Any:
    if isinstance(value, Struct):
        members = {name: getattr(value, name) for name in value.__struct_fields__}
        return {name: _spelled_out(member) for name, member in members.items() if member is not UNSET}
    if isinstance(value, tuple | list):
        return [_spelled_out(inner) for inner in value]
    return {key: _spelled_out(inner) for key, inner in value.items()} if isinstance(value, dict) else value


def playbook_of(content: Mapping[str, Any]) -> Playbook:
    """The playbook that `resolved()` described, with its hash computed anew.

    Raises msgspec.ValidationError when the content is no playbook.
    """
    plain = msgspec.convert(dict(content), Content)
    digest = hashlib.sha256(canonical(msgspec.to_builtins(plain))).hexdigest()
    return msgspec.convert({**content, "hash": digest}, Playbook)
