"""The register of AI tools: one list with statuses, the assessments of each tool and the decisions on it.

A decision creates its artifact: the approved entry, the condition of the acceptable use policy, or the blocked-domain
entry. Every change of status after that is a decision too, with its approvers (criterion CC8.1).
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from msgspec import Struct, field

from domain.deadlines import add_duration
from domain.facts import DATA_TYPES
from domain.refusals import GateRefused, InputError, Invalid, Missing
from domain.severity_rules import rules
from domain.timeline import instant_text
from domain.vendor_assessments import Suggestion, check_answer, checklist, is_good, needed, suggest_outcome

Json = Any
AHEAD_AT_MOST = timedelta(seconds=60)  # a caller's clock may run that far ahead of ours
REVIEW_AFTER = "P1Y"
"""When a tool in use is looked at again, counted from the decision."""

STATUS_OF: Mapping[str, str] = {
    "approve": "approved",
    "conditional": "conditional",
    "block": "blocked",
    "retire": "retired",
}
"""Outcome of a decision -> status of the tool."""
OUTCOMES = ("approve", "conditional", "block")
DEFAULT_CONDITIONS = ("No client data is entered.", "No personal data is entered.")
APPROVERS = ("it_security", "risk_owner")
"""Who decides on a tool. `approve` takes both roles, held by two persons."""

ARTIFACTS: Mapping[str, tuple[str, ...]] = {
    "approve": ("owner_id", "approved_uses", "approved_data_classes", "review_due_at"),
    "conditional": ("conditions", "conditions_from", "acknowledgement_required", "review_due_at"),
    "block": ("blocked_domains", "blocked_extension_ids", "block_requested_at", "block_confirmed_at"),
    "retire": (),
}
"""Outcome -> the columns of the tool that are its artifact."""

_NAMES = {"type": "array", "minItems": 1, "maxItems": 50, "items": {"type": "string", "minLength": 1, "maxLength": 400}}
_HOSTS = {
    "type": "array",
    "maxItems": 50,
    "items": {
        "type": "string",
        "pattern": r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}$",
        "maxLength": 253,
    },
}
_IDS = {"type": "array", "maxItems": 50, "items": {"type": "string", "pattern": r"^\S+$", "maxLength": 200}}
_INSTANT = {"type": "string", "format": "date-time", "maxLength": 40}
MEMBERS: Mapping[str, dict[str, Any]] = {
    "personal_data": {"enum": [True, False, "unknown"]},
    "owner_id": {"type": "string", "format": "uuid", "maxLength": 36},
    "approved_uses": _NAMES,
    "approved_data_classes": {
        "type": "array",
        "minItems": 1,
        "maxItems": 50,
        "items": {"enum": sorted(DATA_TYPES)},
    },
    "review_due_at": _INSTANT,
    "conditions": _NAMES,
    "conditions_from": {"type": "string", "format": "date", "maxLength": 10},
    "acknowledgement_required": {"type": "boolean"},
    "blocked_domains": _HOSTS,
    "blocked_extension_ids": _IDS,
    "block_requested_at": _INSTANT,
    "block_confirmed_at": _INSTANT,
    "extension_ids": _IDS,
}
"""What an input of a playbook may write of a tool, beside the answers of the checklist: JSON Schema of each."""
CHECKS = "checks."
_INSTANTS = ("review_due_at", "block_requested_at", "block_confirmed_at")


def member_schema(target: str) -> dict[str, Any] | None:
    """JSON Schema of what an input of a playbook may write: `checks.VC-1` or a name of MEMBERS; None for neither."""
    if target.startswith(CHECKS):
        check = checklist().get(target.removeprefix(CHECKS))
        return check.schema_of_answer if check is not None else None
    return MEMBERS.get(target)


def proposed_for(target: str | None) -> dict[str, str] | None:
    """What of the directory of AI services pre-fills such an input, by member of its value; None for nothing."""
    check = checklist().get((target or "").removeprefix(CHECKS))
    return dict(check.proposed) or None if check is not None else None


class Row(Struct, kw_only=True, omit_defaults=True):
    """A row of the register. Attribute names are column names, instants are UTC."""


class Tool(Row, kw_only=True):
    """An entry of the register."""

    id: UUID
    version: int = 1
    name: str
    name_key: str  # how names are compared: case and blanks do not count
    vendor: str | None = None
    domains: list[str] = field(default_factory=list)
    extension_ids: list[str] = field(default_factory=list)
    service: str | None = None  # slug in the directory of AI services
    status: str = "requested"
    owner_id: UUID | None = None
    intended_use: str | None = None
    approved_uses: list[str] = field(default_factory=list)
    approved_data_classes: list[str] = field(default_factory=list)
    conditions: list[str] = field(default_factory=list)
    conditions_from: date | None = None
    acknowledgement_required: bool = False
    blocked_domains: list[str] = field(default_factory=list)
    blocked_extension_ids: list[str] = field(default_factory=list)
    block_requested_at: datetime | None = None  # of IT
    block_confirmed_at: datetime | None = None
    review_due_at: datetime | None = None
    review_overdue_at: datetime | None = None  # when the worker said so
    report_type: str | None = None  # of the vendor's SOC 2 report, from VC-1
    report_period_start: date | None = None
    report_period_end: date | None = None
    requested_by_kind: str
    requested_by_id: UUID
    created_at: datetime
    updated_at: datetime


class Assessment(Row, kw_only=True):
    """One run through the vendor checklist. `answers` holds {check: {answer, source, ..., by, at, incident_id}}."""

    id: UUID
    status: str = "draft"  # draft | complete | decided | expired
    answers: dict[str, Json] = field(default_factory=dict)
    personal_data: bool | None = None  # whether personal data is in scope of the use; null while unknown
    suggested: Json = None  # {outcome, because, failed}
    incident_id: UUID | None = None
    started_by: UUID | None = None
    started_at: datetime
    completed_at: datetime | None = None
    decided_at: datetime | None = None


class Decision(Row, kw_only=True):
    """A decided or proposed change of status: the change record. `approvals` holds [{person_id, role, note, at}]."""

    id: UUID
    assessment_id: UUID | None = None
    incident_id: UUID | None = None
    action_id: str | None = None
    outcome: str
    status: str = "effective"  # proposed | effective | rejected
    reason: str
    status_before: str
    status_after: str
    suggested: str | None = None  # what the checklist suggested then
    artifact: Json = None
    approvals: list[Json] = field(default_factory=list)
    proposed_by: UUID | None = None
    proposed_at: datetime
    decided_at: datetime | None = None
    rejection: Json = None  # {person_id, reason, at}


class Entry(Struct, kw_only=True):
    """A tool and all that belongs to it. Keys are ids as text, oldest first."""

    tool: Tool
    assessments: dict[str, Assessment] = field(default_factory=dict)
    decisions: dict[str, Decision] = field(default_factory=dict)

    @property
    def assessment(self) -> Assessment | None:
        """The assessment that still takes answers, or the last one."""
        return next(reversed(self.assessments.values()), None)

    def decided_in(self, incident_id: UUID) -> Decision | None:
        """The last decision that took effect in an incident."""
        of_it = [d for d in self.decisions.values() if d.incident_id == incident_id and d.status == "effective"]
        return of_it[-1] if of_it else None


def name_key(name: str) -> str:
    """The name as names are compared."""
    return " ".join(name.casefold().split())


def host_of(url: str) -> str:
    """The host of an address in lower case without `www.`, with or without a scheme; empty where there is none."""
    try:
        return (urlsplit(url if "//" in url else f"//{url}").hostname or "").removeprefix("www.")
    except ValueError:
        return ""


def open_assessment(entry: Entry, at: datetime, new_id: UUID, by: UUID | None, incident_id: UUID | None) -> Assessment:
    """The assessment that takes answers: the open one, else a new one under `new_id`; a request is then reviewed."""
    last = entry.assessment
    if last is None or last.status in ("decided", "expired"):
        last = Assessment(id=new_id, started_at=at, started_by=by, incident_id=incident_id)
        entry.assessments[str(last.id)] = last
    if entry.tool.status == "requested":
        entry.tool.status = "under_review"
    return last


def answer_checks(
    entry: Entry, assessment: Assessment, given: Mapping[str, Json], at: datetime, by: UUID, **where: Any
) -> None:
    """Write answers and the outcome that they suggest. `where` says of each from where it came. Raises Invalid."""
    for check_id, value in given.items():
        check_answer(check_id, value, f"/answers/{check_id}")
        assessment.answers[check_id] = {**value, "by": str(by), "at": instant_text(at), **where}
        if check_id == "VC-1":
            tool = entry.tool
            tool.report_type = value.get("report_type")
            tool.report_period_start, tool.report_period_end = _day(value, "period_start"), _day(value, "period_end")
    judge_assessment(assessment, at)


def judge_assessment(assessment: Assessment, at: datetime) -> Suggestion:
    """Bring the suggestion and the state of an open assessment up to date."""
    suggestion = suggest_outcome(answers_of(assessment), assessment.personal_data, at.date())
    assessment.suggested = {
        "outcome": suggestion.outcome,
        "because": suggestion.because,
        "failed": suggestion.failed,
    }
    if assessment.status in ("draft", "complete"):
        is_complete = set(needed()) <= assessment.answers.keys()
        assessment.status = "complete" if is_complete else "draft"
        assessment.completed_at = (assessment.completed_at or at) if is_complete else None
    return suggestion


def answers_of(assessment: Assessment) -> dict[str, dict[str, Any]]:
    """The answers without who gave them."""
    known = checklist()
    return {
        name: {key: answer[key] for key in known[name].schema_of_answer["properties"] if key in answer}
        for name, answer in assessment.answers.items()
    }


def standing(tool: Tool) -> str:
    """The outcome that the present status stands for; empty where nothing is decided."""
    return next((outcome for outcome in OUTCOMES if STATUS_OF[outcome] == tool.status), "")


def missing_of_artifact(tool: Tool, outcome: str) -> list[str]:
    """What the artifact of an outcome still lacks; empty when it is there."""
    if outcome == "approve":
        return [name for name in ("owner_id", "approved_uses", "approved_data_classes") if not getattr(tool, name)]
    if outcome == "conditional":
        return [name for name in ("conditions", "conditions_from") if not getattr(tool, name)]
    if outcome == "block":
        lacks = [] if tool.blocked_domains or tool.blocked_extension_ids else ["blocked_domains"]
        return lacks if tool.block_requested_at else [*lacks, "block_requested_at"]
    return []


def failed_checks(entry: Entry, at: datetime) -> list[str]:
    """The mandatory checks that stand against `approve` at this instant.

    Personal data counts as in scope unless the assessment says that it is not and no approved class holds any.
    """
    assessment = entry.assessment
    if assessment is None or assessment.status == "expired":
        return list(needed())
    in_scope = assessment.personal_data
    if not rules().personal_data.isdisjoint(entry.tool.approved_data_classes):
        in_scope = True
    return suggest_outcome(answers_of(assessment), in_scope, at.date()).failed


def check_outcome(entry: Entry, outcome: str, at: datetime) -> None:
    """Refuse `approve` while a mandatory check fails (G-SA-2): nobody overrides that. Raises GateRefused."""
    failed = failed_checks(entry, at) if outcome == "approve" else []
    if not failed:
        return
    known, answers = checklist(), answers_of(entry.assessment) if entry.assessment else {}
    missing = []
    for name in failed:
        state = "is not answered" if name not in answers else "has no good answer"
        missing.append(Missing("fact", name, f"{name} {state}. Good: {known[name].good_answer}."))
    raise GateRefused(
        f"{entry.tool.name} cannot be approved: {', '.join(failed)} stand against it. Decide conditional or block.",
        gate="G-SA-2",
        missing=missing,
        current={"status": entry.tool.status},
    )


def write_member(tool: Tool, name: str, value: Json) -> None:
    """Set one column from the JSON value that its schema let pass."""
    if name == "owner_id" and value is not None:
        value = UUID(value)
    elif name in _INSTANTS and isinstance(value, str):
        value = datetime.fromisoformat(value)
    elif name == "conditions_from" and isinstance(value, str):
        value = date.fromisoformat(value)
    setattr(tool, name, value)


def member_fault(tool: Tool, name: str, at: datetime) -> str | None:
    """What is wrong with an instant that was just written; None when nothing is."""
    value = getattr(tool, name)
    if name == "review_due_at" and value is not None and value <= at:
        return "lies in the past: give the instant of the next review"
    if name in ("block_requested_at", "block_confirmed_at") and value is not None and value > at + AHEAD_AT_MOST:
        return "lies in the future"
    requested, confirmed = tool.block_requested_at, tool.block_confirmed_at
    if name.startswith("block_") and requested is not None and confirmed is not None and confirmed < requested:
        return "does not fit: a block is confirmed after it was requested"
    return None


def take_effect(entry: Entry, decision: Decision, members: Mapping[str, Json], at: datetime) -> None:
    """Let a decision take effect: status, its artifact, the next review. `members` are columns of the artifact.

    Raises Invalid for a member of another outcome and for an instant that cannot be.
    """
    tool, outcome = entry.tool, decision.outcome
    strange = sorted(members.keys() - set(ARTIFACTS[outcome]))
    if strange:
        faults = [InputError(f"/{name}", f"is no part of `{outcome}`") for name in strange]
        raise Invalid(f"{faults[0].pointer} {faults[0].reason}.", errors=faults)
    decision.status_before, decision.status_after = tool.status, STATUS_OF[outcome]
    tool.status, decision.status, decision.decided_at = STATUS_OF[outcome], "effective", at
    _begin_artifact(tool, outcome, at)
    for name, value in members.items():
        write_member(tool, name, value)
    for name in members:
        if fault := member_fault(tool, name, at):
            raise Invalid(f"/{name} {fault}.", errors=[InputError(f"/{name}", fault)])
    tool.review_overdue_at = None
    decision.artifact = artifact_of(tool, outcome)
    assessment = entry.assessments.get(str(decision.assessment_id))
    if assessment is not None and assessment.status in ("draft", "complete"):
        assessment.status, assessment.decided_at = "decided", at


def _begin_artifact(tool: Tool, outcome: str, at: datetime) -> None:
    """What an outcome brings of itself; what another outcome had brought ends with it."""
    if outcome != "conditional":
        tool.conditions, tool.conditions_from, tool.acknowledgement_required = [], None, False
    if outcome != "block":
        tool.blocked_domains, tool.blocked_extension_ids = [], []
        tool.block_requested_at = tool.block_confirmed_at = None
    if outcome != "approve":
        tool.approved_uses, tool.approved_data_classes = [], []
    tool.review_due_at = add_duration(at, REVIEW_AFTER) if outcome in ("approve", "conditional") else None
    if outcome == "conditional":
        tool.conditions = tool.conditions or list(DEFAULT_CONDITIONS)
        tool.conditions_from, tool.acknowledgement_required = tool.conditions_from or at.date(), True
    if outcome == "block":
        tool.blocked_domains = tool.blocked_domains or list(tool.domains)
        tool.blocked_extension_ids = tool.blocked_extension_ids or list(tool.extension_ids)


def artifact_of(tool: Tool, outcome: str) -> dict[str, Any]:
    """The artifact of an outcome as it stands, for the change record."""
    return {name: getattr(tool, name) for name in ARTIFACTS[outcome]}


def is_overdue(tool: Tool, at: datetime) -> bool:
    """Whether a tool in use should have been looked at again."""
    return tool.status in ("approved", "conditional") and tool.review_due_at is not None and tool.review_due_at <= at


def announce_overdue(entry: Entry, at: datetime) -> bool:
    """Mark a late review, once; its assessment has expired. False when there is nothing to say."""
    tool = entry.tool
    if not is_overdue(tool, at) or tool.review_overdue_at is not None:
        return False
    tool.review_overdue_at = at
    if entry.assessment is not None and entry.assessment.status == "decided":
        entry.assessment.status = "expired"
    return True


def _day(value: Mapping[str, Any], name: str) -> date | None:
    return date.fromisoformat(value[name]) if name in value else None


def grades(assessment: Assessment, at: datetime) -> dict[str, bool | None]:
    """Each check, and whether its answer is good."""
    answers = answers_of(assessment)
    return {check.id: is_good(check, answers.get(check.id), at.date()) for check in checklist().values()}
