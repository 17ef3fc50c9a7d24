"""Playbook files: what one may say. Checked when the catalogue loads, before anything is resolved."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from domain.gates import Operation
from domain.glossary import ActionType, Mark, NotificationKind, Phase, Role, Severity, SlaKind
from domain.tools import STATUS_OF
from domain.workflows import WorkflowStatus

Text = Annotated[str, Field(min_length=1, max_length=2000)]
Id = Annotated[str, Field(pattern=r"^[A-Z]{2}\.\d{1,2}(\.\d{1,2})?$")]
GateId = Annotated[str, Field(pattern=r"^G-[A-Z]{2,3}-\d{1,2}$")]
Item = Annotated[str, Field(pattern=r"^D(0[1-9]|1[0-2])$")]
Control = Annotated[str, Field(pattern=r"^CC[1-9]\.[1-8]$")]
Risk = Annotated[str, Field(pattern=r"^AR-\d{3}$")]
Version = Annotated[str, Field(pattern=r"^\d{1,4}\.\d{1,4}\.\d{1,4}$")]
Condition = Annotated[str, Field(min_length=1, max_length=1000)]
Outcome = Annotated[str, Field(pattern=r"^[a-z][a-z_]{1,40}$")]
Slug = Annotated[str, Field(pattern=r"^[a-z]+(-[a-z]+)*$", max_length=60)]

PROPOSED = r"^(name|vendor|links\.[a-z_]+)$"


class FaultyPlaybook(ValueError):
    """A playbook file that contradicts itself, its base or the catalogue."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SlaText(_Model):
    """`value` is an ISO 8601 duration for `duration` and absent otherwise."""

    kind: Annotated[SlaKind, Field(strict=False)]
    value: Annotated[str, Field(pattern=r"^P(\d+D|T\d+[HM])$")] | None = None
    clock_start: Literal["discovered_at"] = "discovered_at"

    @model_validator(mode="after")
    def _value_fits_kind(self) -> "SlaText":
        if (self.value is not None) != (self.kind == SlaKind.DURATION):
            raise ValueError("`value` belongs to the kind `duration` and to no other")
        return self


class OnePerText(_Model):
    """A list that has exactly one entry for each entry of a list filled in before; `key` is in the entries of both."""

    action: Id
    input: Annotated[str, Field(pattern=r"^[a-z][a-z_]{1,40}$")]
    key: Annotated[str, Field(pattern=r"^[a-z][a-z_]{1,40}$")]


class InputText(_Model):
    """One input; the schema is taken from the documentation item when it writes one."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, protected_namespaces=())

    name: Annotated[str, Field(pattern=r"^[a-z][a-z_]{1,40}$")]
    title: Text
    json_schema: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    required: bool = True
    document: Item | None = None
    member: str | None = None
    fact: str | None = None
    one_per: OnePerText | None = None
    tool: str | None = None
    proposed: Annotated[str, Field(pattern=PROPOSED)] | dict[str, Annotated[str, Field(pattern=PROPOSED)]] | None = None

    @model_validator(mode="after")
    def _one_target(self) -> "InputText":
        if self.tool is not None and (self.document or self.fact or self.json_schema):
            raise ValueError("an input that writes the tool register takes its schema and writes nothing else")
        if self.tool is not None:
            return self
        if self.document is not None and (self.fact is not None or self.json_schema is not None):
            raise ValueError("an input that writes an item takes the schema of that item and writes no fact")
        if self.document is None and self.json_schema is None:
            raise ValueError("an input that writes no item needs a schema")
        return self


class OpensText(_Model):
    """The playbook of an incident that an action opens; only with one of `outcomes` where some are named."""

    playbook: Slug
    outcomes: list[Outcome] = []


class AheadText(_Model):
    """Who may send a notice before it is approved, and the reason word that says why."""

    reason: Annotated[str, Field(pattern=r"^[a-z][a-z_]{1,40}$")]
    roles: Annotated[list[Annotated[Role, Field(strict=False)]], Field(min_length=1)]


class BriefingText(_Model):
    """What staff are told when an action becomes required, or done with some outcome; `{tools}` are the names of the
    tools concerned, `{conditions}` those under which they may be used."""

    subject: Annotated[str, Field(min_length=1, max_length=200)]
    body: Text


class ActionText(_Model):
    """One action as written in a file."""

    id: Id
    text: Text
    type: Annotated[ActionType, Field(strict=False)]
    source: Annotated[Mark, Field(strict=False)]
    basis: Text | None = None
    required_if: Condition | None = None
    outcomes: list[Outcome] = []
    role: Annotated[Role, Field(strict=False)] | None = None
    fills: list[Item] = []
    inputs: list[InputText] = []
    closing: bool = False
    blocks_step: bool = True
    fulfilled_by: list[Item] | None = None
    same_as: Id | None = None
    approvals_from: list[Annotated[Role, Field(strict=False)]] = []
    approvals_if: dict[str, Condition] = {}
    approvals_when: list[Outcome] = []
    never_alone: bool = False
    opens: OpensText | None = None
    kinds: list[Annotated[NotificationKind, Field(strict=False)]] = []
    ahead_of_approval: AheadText | None = None
    raises: list[str] = []
    evidence_of: list[Id] = []
    drafts: Annotated[NotificationKind, Field(strict=False)] | None = None
    reviews: Annotated[NotificationKind, Field(strict=False)] | None = None
    restricts: Literal["evidence"] | None = None
    decides: Literal["tool"] | None = None
    briefing: BriefingText | None = None
    briefing_on: dict[str, BriefingText] = {}

    @model_validator(mode="after")
    def _shape_fits_type(self) -> "ActionText":
        if bool(self.outcomes) != (self.type == ActionType.DECISION):
            raise ValueError(f"{self.id}: decisions have outcomes and nothing else has")
        by_itself = self.closing or self.reviews is not None
        if self.type in (ActionType.RECORD, ActionType.DECISION) and not self.inputs and not by_itself:
            raise ValueError(f"{self.id}: a {self.type} declares its inputs")
        if len({wanted.name for wanted in self.inputs}) < len(self.inputs):
            raise ValueError(f"{self.id}: names of inputs are unique")
        if self.decides == "tool" and not set(self.outcomes) <= STATUS_OF.keys():
            raise ValueError(f"{self.id}: the outcomes of a decision on a tool are {', '.join(STATUS_OF)}")
        if not set(self.approvals_if) <= set(self.approvals_from):
            raise ValueError(f"{self.id}: `approvals_if` limits roles of `approvals_from`")
        if (self.approvals_when or self.never_alone) and not self.approvals_from:
            raise ValueError(f"{self.id}: says when it is approved, and not by whom")
        named = {*self.approvals_when, *(self.opens.outcomes if self.opens else ())}
        if not named <= set(self.outcomes):
            raise ValueError(f"{self.id}: {', '.join(sorted(named - set(self.outcomes)))} is none of its outcomes")
        if self.opens is not None and (self.approvals_from or self.closing or self.fulfilled_by is not None):
            raise ValueError(f"{self.id}: an action that opens an incident is done by one person")
        if self.kinds and self.type not in (ActionType.NOTIFY_INTERNAL, ActionType.NOTIFY_EXTERNAL):
            raise ValueError(f"{self.id}: `kinds` are kinds of notifications, and a {self.type} asks for none")
        if self.ahead_of_approval is not None and self.type != ActionType.NOTIFY_EXTERNAL:
            raise ValueError(f"{self.id}: only a notice to the outside is approved, and so sent ahead of it")
        if self.evidence_of and self.type != ActionType.EVIDENCE:
            raise ValueError(f"{self.id}: `evidence_of` belongs to evidence, and a {self.type} keeps none")
        if not set(self.briefing_on) <= set(self.outcomes):
            raise ValueError(f"{self.id}: `briefing_on` says what staff are told of its outcomes")
        if not set(self.raises) <= {wanted.fact for wanted in self.inputs}:
            raise ValueError(f"{self.id}: `raises` names facts that its inputs write")
        return self

    @model_validator(mode="after")
    def _texts_fit_type(self) -> "ActionText":
        if self.drafts is not None and self.type != ActionType.TASK:
            raise ValueError(f"{self.id}: drafting a text is a task")
        if self.reviews is not None and (self.type != ActionType.DECISION or not self.approvals_from):
            raise ValueError(f"{self.id}: reviewing a text is a decision that names its roles in `approvals_from`")
        if self.reviews is not None and self.outcomes != ["approved", "changes_requested"]:
            raise ValueError(f"{self.id}: the outcomes of a review are approved and changes_requested")
        return self


class CommonAction(ActionText):
    """An action that every playbook has."""

    id: Annotated[str, Field(pattern=r"^CO\.\d$")]
    attach: Literal["first", "last"]
    satisfied_by_item: Item | None = None


class AddedAction(ActionText):
    """An action that a variant adds to a step of its base, at the end or before one of its actions."""

    into: Id
    before: Id | None = None


class StepText(_Model):
    """One step as written in a file."""

    id: Id
    order: Annotated[int, Field(ge=1, le=20)]
    phase: Annotated[Phase, Field(strict=False)]
    title: Text
    summary: Text
    owner_roles: Annotated[list[Annotated[Role, Field(strict=False)]], Field(min_length=1)]
    owner_roles_if: dict[str, Condition] = {}
    sla: SlaText
    controls: list[Control] = []
    controls_suggested: list[Control] = []
    risk: Risk | None = None
    source: Annotated[Mark, Field(strict=False)]
    actions: list[ActionText] = []


class PatternText(_Model):
    """Which operations a gate listens to."""

    operation: Annotated[Operation, Field(strict=False)]
    step: Id | None = None
    action: Id | None = None
    kinds: list[Annotated[NotificationKind, Field(strict=False)]] = []


class MissingText(_Model):
    """What a refusal points at."""

    kind: Literal["action", "document", "fact", "evidence", "approval", "signature", "obligation", "person"]
    ref: Text


class NamesText(_Model):
    """What a gate names: single actions, or all actions of some steps."""

    actions: list[Id] = []
    steps: list[Id] = []


class FreesText(_Model):
    """An operation that no gate may make wait for these actions and facts."""

    operation: Annotated[Operation, Field(strict=False)]
    action: Id
    waits: Annotated[list[str], Field(min_length=1)]


class GateText(_Model):
    """One gate as written in a file."""

    id: GateId
    text: Text
    message: Text
    source: Annotated[Mark, Field(strict=False)]
    basis: Text | None = None
    when: list[PatternText] = []
    unless: Condition | None = None
    enforced_by: Annotated[str, Field(pattern=r"^[a-z_]+$")] | None = None
    override_role: Annotated[Role, Field(strict=False)] | None = None
    override_rule: Literal["C13"] | None = None
    approver_role: Annotated[Role, Field(strict=False)] | None = None
    names: NamesText | Literal["evidence_actions", "rotation_actions"] = NamesText()
    missing: list[MissingText] = []
    frees: FreesText | None = None

    @model_validator(mode="after")
    def _decided_somewhere(self) -> "GateText":
        by_data = bool(self.when) and self.unless is not None
        if by_data == (self.enforced_by is not None) or bool(self.when) != (self.unless is not None):
            raise ValueError(f"{self.id}: either `when` with `unless`, or `enforced_by`")
        return self


class AddedGate(GateText):
    """A gate that a variant adds: it speaks behind those of its base, or before one of them."""

    before: GateId | None = None


class WorkflowText(_Model):
    """An automated workflow that is suspended by one action and returns by the outcome of another."""

    suspended_by: Id
    returned_by: Id
    outcomes: Annotated[dict[Outcome, Annotated[WorkflowStatus, Field(strict=False)]], Field(min_length=1)]


class SuggestText(_Model):
    """A sign in a report that speaks for the playbook, or against it: CEL over `text` and `words`."""

    when: Condition
    weight: Annotated[int, Field(ge=-100, le=100)]
    because: Text


class SourceText(_Model):
    """Where a playbook comes from."""

    mark: Annotated[Mark, Field(strict=False)]
    title: Text


class PlaybookText(_Model):
    """One playbook file. A variant names its base in `extends` and says only what it inserts and adds.

    `extends_version` pins the base; without it the newest version is taken.
    """

    slug: Slug
    version: Version
    prefix: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    title: Text
    description: Text
    extends: str | None = None
    extends_version: Version | None = None
    sources: list[SourceText]
    primary_risk: Risk | None
    risks: list[Risk]
    severity_floor: Annotated[Severity, Field(strict=False)]
    standards: list[Text]
    standards_note: Text | None = None
    suggest: list[SuggestText] = []
    common_in: dict[str, Id] = {}
    workflow: WorkflowText | None = None
    steps: list[StepText] = []
    gates: list[GateText] = []
    insert_steps: list[StepText] = []
    add_actions: list[AddedAction] = []
    add_roles: dict[str, list[Annotated[Role, Field(strict=False)]]] = {}
    add_roles_if: dict[str, dict[str, Condition]] = {}
    add_controls: dict[str, list[Control]] = {}
    add_gates: list[AddedGate] = []

    @model_validator(mode="after")
    def _variant_or_own(self) -> "PlaybookText":
        overlay = self.insert_steps or self.add_actions or self.add_roles or self.add_controls or self.add_gates
        if self.extends is None and (overlay or self.extends_version or not self.steps):
            raise ValueError("a playbook of its own has steps and no overlay")
        if self.extends is not None and (self.steps or self.gates):
            raise ValueError("a variant inserts and adds; it restates nothing of its base")
        return self


def read_playbook(data: Any, name: str) -> PlaybookText:
    """Check the content of a file. Raises FaultyPlaybook naming the file and what is wrong."""
    try:
        return PlaybookText.model_validate(data)
    except ValidationError as error:
        raise FaultyPlaybook(f"{name}: {error}") from error
