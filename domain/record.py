"""The incident record: everything one incident consists of, as typed rows.

One struct is one table row; attribute names are column names. The record is read under the incident's row lock,
changed by the pure functions of this floor, and the difference is written back. Instants are UTC.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Raw, Struct, field

Json = Any  # a JSON value, kept as jsonb
UNOFFERED = Raw(b"null")  # what may be done next, where nothing is said of it


class Row(Struct, kw_only=True, omit_defaults=True):
    """A row of the record. Defaults are left out of event data and filled in again when it is folded."""


class Incident(Row, kw_only=True):
    """The header. `generation` counts playbooks pinned so far: steps and actions of earlier ones are superseded."""

    id: UUID
    number: str
    exercise: bool = False
    version: int = 1
    generation: int = 1
    status: str = "reported"
    status_before_hold: str | None = None
    title: str
    summary: str | None = None
    severity: str = "SEV4"
    severity_basis: Json = None
    severity_highest: str | None = None  # since declaration; decides how many signatures are needed (C6)
    severity_adjustment: Json = None  # {level, reason, person_id, at}: set by a person over the computed level
    playbook_slug: str | None = None
    playbook_version: str | None = None
    playbook_hash: str | None = None
    suggested_playbook: Json = None  # {slug, because}
    primary_risk: str | None = None
    discovered_at: datetime
    discovered_at_precision: str = "estimated"
    discovered_by_id: UUID | None = None
    discovered_by_name: str | None = None
    discovery_method: str | None = None
    discovery_note: str | None = None
    discovery_confirmed: bool = False
    reported_at: datetime
    opened_by_kind: str  # person | service_account | system
    opened_by_id: UUID
    source_id: UUID | None = None
    triage_due_at: datetime
    acknowledged_at: datetime | None = None
    acknowledged_by: UUID | None = None
    declared_at: datetime | None = None
    contained_at: datetime | None = None
    post_incident_at: datetime | None = None
    closed_at: datetime | None = None
    rejected_at: datetime | None = None
    disposition: str | None = None
    hold: Json = None  # {reason, waiting_for, since}
    reopened: Json = None  # {reason, action_ids, by, at}
    close_asked: Json = None  # {system, at, external_id}: an outside system closed its ticket; a human decides
    client_ids: list[UUID] = field(default_factory=list)
    ai_elements: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    impact_types: list[str] = field(default_factory=list)
    workflow_status: str | None = None  # running | suspended | in_service | restricted | retired, where there is one
    facts: dict[str, Json] = field(default_factory=dict)  # name -> {value, state, set_by, set_at}
    severity_hint: str | None = None  # what the outside system called it; never a severity of ours
    person_concerned: str | None = None  # person | outside | none | unknown
    person_concerned_id: UUID | None = None
    person_concerned_note: str | None = None
    assignee_id: UUID | None = None
    current_step: str | None = None
    next_due_at: datetime | None = None
    next_at_risk_at: datetime | None = None  # the earliest of the deadlines that run: what a list shows hangs on them
    next_breach_at: datetime | None = None
    next_alarm_at: datetime | None = None  # when the deadline worker has something to announce
    provisional_deadlines: list[Json] = field(default_factory=list)  # [{step_id, due_at}] while undeclared
    allowed: Raw = UNOFFERED  # verdicts without the caller's part, as domain/verdicts.py keeps them


class StepRun(Row, kw_only=True):
    """The execution of one step. Three instants per deadline: `at_risk_at`, `due_at`, `breach_at` (due plus grace)."""

    generation: int = 1
    id: str
    position: int
    status: str = "locked"
    assignee_id: UUID | None = None
    added_roles: list[str] = field(default_factory=list)  # owner roles that a known fact adds
    clock_started_at: datetime
    at_risk_at: datetime
    due_at: datetime
    breach_at: datetime
    earlier_deadlines: list[Json] = field(default_factory=list)  # [{due_at, replaced_at, reason}]
    started_at: datetime | None = None
    completed_at: datetime | None = None  # recorded
    completed_occurred_at: datetime | None = None  # claimed
    completed_by: UUID | None = None
    skipped_at: datetime | None = None
    reopened_by: str | None = None
    first_result: Json = None  # the SLA result of the first completion, kept when the step reopened
    late_entry: bool = False
    at_risk_announced_at: datetime | None = None
    breached_announced_at: datetime | None = None
    playbook_hash: str | None = None
    allowed: Raw = UNOFFERED


class ActionRun(Row, kw_only=True):
    """The execution of one action."""

    generation: int = 1
    id: str
    step_id: str
    position: int
    requirement: str = "required"  # required | not_applicable | pending_fact
    status: str = "pending"
    outcome: str | None = None
    values: Json = None
    note: str | None = None
    reason: str | None = None
    due_at: datetime | None = None  # only when it became required by a fact after its step was completed
    occurred_at: datetime | None = None
    recorded_at: datetime | None = None
    recorded_by: UUID | None = None
    performed_by: UUID | None = None
    late_entry: bool = False
    evidence_ids: list[UUID] = field(default_factory=list)
    approvals: list[Json] = field(default_factory=list)  # [{person_id, role, outcome, note, at}]
    playbook_hash: str | None = None
    allowed: Raw = UNOFFERED


class Document(Row, kw_only=True):
    """One of the twelve documentation items. `value` is null for the wholly derived ones (D06, D07, D11)."""

    id: str
    name: str
    value: Json = None
    state: str = "missing"  # missing | partial | complete | not_applicable
    missing: list[Json] = field(default_factory=list)
    version: int = 1
    updated_at: datetime | None = None
    updated_by: UUID | None = None


class Participant(Row, kw_only=True):
    """Somebody with a part in the incident."""

    person_id: UUID
    roles: list[str] = field(default_factory=list)
    involvement: str  # responder | reporter | subject | victim | witness
    added_by: UUID | None = None
    added_at: datetime


class Evidence(Row, kw_only=True):
    """A preserved file. Bytes are immutable; `sha256` is lower-case hex, `size` in bytes."""

    id: UUID
    action_id: str | None = None
    kind: str
    title: str
    filename: str
    sha256: str
    size: int
    media_type: str
    sensitivity: str = "internal"  # internal | restricted
    legal_hold: bool = False
    collected_by: UUID | None = None
    collected_at: datetime
    collected_from: str | None = None
    collection_method: str | None = None
    attached_by_kind: str
    attached_by_id: UUID
    attached_at: datetime
    supersedes_id: UUID | None = None
    redacted_copy_of_id: UUID | None = None
    custody: list[Json] = field(default_factory=list)  # [{who, what, when}]


class Notification(Row, kw_only=True):
    """A message to inside or outside, with approval and proof of sending."""

    id: UUID
    version: int = 1
    kind: str
    status: str = "draft"
    audience: str
    action_id: str | None = None
    client_id: UUID | None = None
    obligation_id: UUID | None = None
    channel: str
    recipients: list[str] = field(default_factory=list)
    subject: str
    body: str
    corrects_evidence_id: UUID | None = None
    author_id: UUID
    editor_ids: list[UUID] = field(default_factory=list)  # who else wrote at it: none of them approves it
    created_at: datetime
    due_at: datetime | None = None
    submitted_at: datetime | None = None
    approvals: list[Json] = field(default_factory=list)  # [{person_id, role, action_id, outcome, note, at}]
    approved_by: UUID | None = None
    approved_at: datetime | None = None
    sent_at: datetime | None = None  # claimed
    sent_recorded_at: datetime | None = None
    sent_by: UUID | None = None
    proof_evidence_id: UUID | None = None
    content_hash: str | None = None
    acknowledged_at: datetime | None = None
    reason: str | None = None
    allowed: Raw = UNOFFERED


class Obligation(Row, kw_only=True):
    """A candidate duty to notify, with its clock and the decision a person made. Decision support, not legal advice.

    While law enforcement delays the notice (`delay`), `original_due_at` keeps the date that the law gives.
    """

    id: UUID
    rule_id: str
    rule_version: str
    client_id: UUID | None = None
    toward: str  # client | regulator | individuals | counsel | third_party | internal
    owed_by: str = "us"  # us | client: the duty is the client's, and shown so that we can remind it
    outcome: str  # required | likely | needs_facts | needs_legal | not_triggered
    because: list[Json] = field(default_factory=list)
    missing_facts: list[str] = field(default_factory=list)
    recipient: str
    channel: str | None = None
    content_requirements: list[str] = field(default_factory=list)
    citation: str
    as_of: str
    confidence: str
    clock_event: str | None = None
    clock_started_at: datetime | None = None
    pending_clock: bool = False  # the clock event is not set: due_at is the worst case from discovery
    due_at: datetime | None = None
    guideline_due_at: datetime | None = None
    original_due_at: datetime | None = None
    delay: Json = None  # {requested_by, reference, until, recorded_by, recorded_at, lifted_by, lifted_at}
    decision: str = "open"  # open | notify | not_required | waived_by_counsel
    rationale: str | None = None
    opinion_reference: str | None = None
    decided_by: UUID | None = None
    decided_at: datetime | None = None
    notified_at: datetime | None = None
    carried_follow_up_id: UUID | None = None
    overdue_announced_at: datetime | None = None
    listed_at: datetime | None = None  # its place among the others, where a law moves it ahead of its own date
    unassessed_announced_at: datetime | None = None  # the alarm that it falls due before the assessment is done
    allowed: Raw = UNOFFERED


class FollowUp(Row, kw_only=True):
    """Something owed after the incident, with a person as owner and a date."""

    id: UUID
    title: str
    owner_id: UUID
    due_at: datetime
    status: str = "open"  # open | in_progress | done | cancelled
    reason: str | None = None
    action_id: str | None = None
    control: str | None = None
    risk: str | None = None
    obligation_id: UUID | None = None
    outside_reviewer: str | None = None  # only where C13 asks for one
    created_by: UUID | None = None
    created_at: datetime
    done_at: datetime | None = None


class ControlOccurrence(Row, kw_only=True):
    """One expected operation of a control. Its state is computed from these instants and a bound `now`.

    `generation` and `playbook_slug` are those of the incident when it was expected: a reclassified incident keeps both
    sets. `discovered_at` and `exercise` repeat the incident's, since populations are cut by them.
    """

    id: UUID
    control: str
    generation: int = 1
    playbook_slug: str | None = None  # null for `triage`
    discovered_at: datetime
    exercise: bool = False
    step_id: str | None = None  # null for `triage` and `documentation`
    purpose: str = "step"  # step | triage | documentation
    expected_of: list[str] = field(default_factory=list)
    due_at: datetime
    breach_at: datetime
    met_at: datetime | None = None
    met_occurred_at: datetime | None = None
    skipped_at: datetime | None = None
    voided_at: datetime | None = None
    breached_announced_at: datetime | None = None


class Signature(Row, kw_only=True):
    """One closing signature; `record_hash` is what was signed."""

    id: UUID
    round: int = 1  # a reopened incident needs a new round
    person_id: UUID
    role: str
    statement: str
    signed_at: datetime
    record_hash: str
    override: Json = None
    voided_at: datetime | None = None


class ExceptionEntry(Row, kw_only=True):
    """A deviation that the auditor will see: an override, a skip, a late entry, a lowered severity."""

    id: UUID
    kind: str
    gate: str | None = None
    step_id: str | None = None
    action_id: str | None = None
    person_id: UUID | None = None
    reason: str
    at: datetime
    details: Json = None


class Link(Row, kw_only=True):
    """The tie to another incident of the tenant; the other side holds its mirror."""

    id: UUID
    linked_incident_id: UUID
    type: str  # parent | child | duplicate | related | client_part
    action_id: str | None = None  # the action that opened or linked it; on the side of that action alone
    reason: str | None = None
    created_at: datetime
    released_at: datetime | None = None
    release_reason: str | None = None


class ExternalReference(Row, kw_only=True):
    """A ticket or alert elsewhere that is this incident."""

    id: UUID
    system: str
    instance: str = "-"
    external_id: str
    key: str | None = None
    url: str | None = None
    source_id: UUID | None = None
    added_at: datetime


class Record(Struct, kw_only=True):
    """One incident and all that belongs to it. Dict keys are row ids as text, in their stored order."""

    incident: Incident
    steps: dict[str, StepRun] = field(default_factory=dict)
    actions: dict[str, ActionRun] = field(default_factory=dict)
    documents: dict[str, Document] = field(default_factory=dict)
    participants: dict[str, Participant] = field(default_factory=dict)
    evidence: dict[str, Evidence] = field(default_factory=dict)
    notifications: dict[str, Notification] = field(default_factory=dict)
    obligations: dict[str, Obligation] = field(default_factory=dict)
    follow_ups: dict[str, FollowUp] = field(default_factory=dict)
    occurrences: dict[str, ControlOccurrence] = field(default_factory=dict)
    signatures: dict[str, Signature] = field(default_factory=dict)
    exceptions: dict[str, ExceptionEntry] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    external_references: dict[str, ExternalReference] = field(default_factory=dict)
