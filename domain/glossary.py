"""The words of the product: roles, states, kinds. Their values are the identifiers in code, data and API."""

from enum import StrEnum

from domain.items import documentation_items


class Role(StrEnum):
    """Seats in the response. One person may hold several."""

    REPORTING_STAFF = "reporting_staff"
    ANY_STAFF = "any_staff"
    IT_SECURITY = "it_security"
    SECURITY_LEAD = "security_lead"
    RISK_OWNER = "risk_owner"
    LEGAL_COUNSEL = "legal_counsel"
    ACCOUNT_OWNER = "account_owner"
    MANAGER = "manager"
    PRIVACY = "privacy"
    COMPLIANCE = "compliance"
    HR = "hr"
    COMMUNICATIONS = "communications"
    VENDOR_MANAGEMENT = "vendor_management"
    BUSINESS_OWNER = "business_owner"
    EXECUTIVE_LEADERSHIP = "executive_leadership"
    AUDITOR = "auditor"
    TENANT_ADMIN = "tenant_admin"
    SERVICE_ACCOUNT = "service_account"


class IncidentStatus(StrEnum):
    """Where an incident stands."""

    REPORTED = "reported"
    TRIAGE = "triage"
    IN_PROGRESS = "in_progress"
    CONTAINED = "contained"
    POST_INCIDENT = "post_incident"
    ON_HOLD = "on_hold"
    CLOSED = "closed"
    REOPENED = "reopened"
    REJECTED = "rejected"


class Disposition(StrEnum):
    """Why a report is not an incident."""

    FALSE_POSITIVE = "false_positive"
    DUPLICATE = "duplicate"
    TEST = "test"
    OUT_OF_SCOPE = "out_of_scope"


class OccurrenceState(StrEnum):
    """One expected operation of a control."""

    EXPECTED = "expected"
    MET = "met"
    MET_LATE = "met_late"
    BREACHED = "breached"
    SKIPPED = "skipped"
    VOIDED = "voided"


class StepStatus(StrEnum):
    """The execution of a step; its SLA result is told apart."""

    LOCKED = "locked"
    READY = "ready"
    IN_PROGRESS = "in_progress"
    BLOCKED = "blocked"
    COMPLETED = "completed"
    SKIPPED = "skipped"


class SlaState(StrEnum):
    """A step against its deadline."""

    ON_TRACK = "on_track"
    AT_RISK = "at_risk"
    BREACHED = "breached"
    MET = "met"
    MET_LATE = "met_late"


class SlaKind(StrEnum):
    """How a deadline is given."""

    DURATION = "duration"
    SAME_BUSINESS_DAY = "same_business_day"
    IMMEDIATE = "immediate"


class ActionType(StrEnum):
    """What kind of thing an action asks for."""

    TASK = "task"
    RECORD = "record"
    EVIDENCE = "evidence"
    DECISION = "decision"
    NOTIFY_INTERNAL = "notify_internal"
    NOTIFY_EXTERNAL = "notify_external"
    PROHIBITION = "prohibition"


class ActionStatus(StrEnum):
    """The execution of an action."""

    PENDING = "pending"
    PENDING_FACT = "pending_fact"
    DONE = "done"
    NOT_APPLICABLE = "not_applicable"
    SKIPPED = "skipped"
    UNAVAILABLE = "unavailable"


class Requirement(StrEnum):
    """Whether an action is asked for; `pending_fact` while a fact of its condition is unknown."""

    REQUIRED = "required"
    NOT_APPLICABLE = "not_applicable"
    PENDING_FACT = "pending_fact"


class Phase(StrEnum):
    """The part of the response a step belongs to."""

    IMMEDIATE = "immediate"
    IDENTIFY = "identify"
    ESCALATE = "escalate"
    ASSESS = "assess"
    CONTAIN = "contain"
    NOTIFY_CLIENT = "notify_client"
    DECIDE_AND_ACT = "decide_and_act"
    REMEDIATE = "remediate"
    REMEDIATE_AND_RECOVER = "remediate_and_recover"
    ASSESS_AND_NOTIFY = "assess_and_notify"
    POST_INCIDENT = "post_incident"


class NotificationKind(StrEnum):
    """Whom a message is for."""

    INTERNAL = "internal"
    CLIENT_NOTICE = "client_notice"
    CORRECTION = "correction"
    REGULATOR = "regulator"
    VENDOR = "vendor"
    BRIEFING = "briefing"
    ESCALATION = "escalation"


class NotificationStatus(StrEnum):
    """Where a message stands; `held` is shown while a gate refuses sending and is not stored."""

    DRAFT = "draft"
    IN_REVIEW = "in_review"
    APPROVED = "approved"
    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"
    FAILED = "failed"
    NOT_REQUIRED = "not_required"


class ObligationOutcome(StrEnum):
    """What the rules say about a duty to notify."""

    REQUIRED = "required"
    LIKELY = "likely"
    NEEDS_FACTS = "needs_facts"
    NEEDS_LEGAL = "needs_legal"
    NOT_TRIGGERED = "not_triggered"


class ObligationDecision(StrEnum):
    """What a person decided about a duty to notify."""

    OPEN = "open"
    NOTIFY = "notify"
    NOT_REQUIRED = "not_required"
    WAIVED_BY_COUNSEL = "waived_by_counsel"


class Toward(StrEnum):
    """To whom a duty to notify runs."""

    CLIENT = "client"
    REGULATOR = "regulator"
    INDIVIDUALS = "individuals"
    COUNSEL = "counsel"
    THIRD_PARTY = "third_party"
    INTERNAL = "internal"


class ToolStatus(StrEnum):
    """An AI tool in the tool list."""

    REQUESTED = "requested"
    UNDER_REVIEW = "under_review"
    APPROVED = "approved"
    CONDITIONAL = "conditional"
    BLOCKED = "blocked"
    RETIRED = "retired"


class AssessmentStatus(StrEnum):
    """An assessment of a vendor."""

    DRAFT = "draft"
    COMPLETE = "complete"
    DECIDED = "decided"
    EXPIRED = "expired"


class RiskStatus(StrEnum):
    """An entry of the risk register."""

    OPEN = "open"
    TREATING = "treating"
    ACCEPTED = "accepted"
    CLOSED = "closed"


class RevisionStatus(StrEnum):
    """A revision of a risk."""

    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class FollowUpStatus(StrEnum):
    """A follow-up; `overdue` is derived."""

    OPEN = "open"
    IN_PROGRESS = "in_progress"
    DONE = "done"
    CANCELLED = "cancelled"


class PlaybookStatus(StrEnum):
    """A version of a playbook; published ones are immutable."""

    DRAFT = "draft"
    PUBLISHED = "published"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"


class Severity(StrEnum):
    """Computed severity, the gravest first."""

    SEV1 = "SEV1"
    SEV2 = "SEV2"
    SEV3 = "SEV3"
    SEV4 = "SEV4"


class DocumentState(StrEnum):
    """A documentation item."""

    MISSING = "missing"
    PARTIAL = "partial"
    COMPLETE = "complete"
    NOT_APPLICABLE = "not_applicable"


class Involvement(StrEnum):
    """A person's part in an incident."""

    RESPONDER = "responder"
    REPORTER = "reporter"
    SUBJECT = "subject"
    VICTIM = "victim"
    WITNESS = "witness"


class LinkType(StrEnum):
    """How two incidents belong together."""

    PARENT = "parent"
    CHILD = "child"
    DUPLICATE = "duplicate"
    RELATED = "related"
    CLIENT_PART = "client_part"


class Precision(StrEnum):
    """How exactly the instant of discovery is known."""

    EXACT = "exact"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    ESTIMATED = "estimated"


class DiscoveryMethod(StrEnum):
    """By which way an event became known."""

    SELF_REPORT = "self_report"
    COLLEAGUE_REPORT = "colleague_report"
    CLIENT_REPORT = "client_report"
    VENDOR_NOTICE = "vendor_notice"
    MONITORING_ALERT = "monitoring_alert"
    AUDIT_OR_REVIEW = "audit_or_review"
    THIRD_PARTY_REPORT = "third_party_report"
    LAW_ENFORCEMENT = "law_enforcement"
    ATTACKER_MESSAGE = "attacker_message"
    OTHER = "other"


class RootCause(StrEnum):
    """Category of a root cause."""

    HUMAN_ERROR = "human_error"
    POLICY_GAP = "policy_gap"
    POLICY_NOT_FOLLOWED = "policy_not_followed"
    TRAINING_GAP = "training_gap"
    MISSING_TECHNICAL_CONTROL = "missing_technical_control"
    CONTROL_FAILURE = "control_failure"
    VENDOR_FAILURE = "vendor_failure"
    MALICIOUS_EXTERNAL = "malicious_external"
    MALICIOUS_INTERNAL = "malicious_internal"
    DESIGN_FLAW = "design_flaw"
    UNKNOWN_AFTER_INVESTIGATION = "unknown_after_investigation"


class EvidenceKind(StrEnum):
    """What a preserved file is."""

    SCREENSHOT = "screenshot"
    DOCUMENT = "document"
    EMAIL_ORIGINAL = "email_original"
    LOG_EXTRACT = "log_extract"
    TRANSCRIPT = "transcript"
    NOTE = "note"
    VENDOR_CORRESPONDENCE = "vendor_correspondence"
    RECEIPT = "receipt"
    CONFIG_SNAPSHOT = "config_snapshot"
    OTHER = "other"


class Sensitivity(StrEnum):
    """Who may open a preserved file."""

    INTERNAL = "internal"
    RESTRICTED = "restricted"


class ImprovementTarget(StrEnum):
    """What every closing asks about."""

    TECHNICAL_CONTROLS = "technical_controls"
    VENDOR_REVIEW = "vendor_review"
    TOOL_LIST = "tool_list"
    TRAINING = "training"
    POLICY = "policy"


class ActorKind(StrEnum):
    """Who acts."""

    PERSON = "person"
    SERVICE_ACCOUNT = "service_account"
    SYSTEM = "system"


class FactState(StrEnum):
    """What is known about a fact."""

    KNOWN = "known"
    UNKNOWN = "unknown"
    NOT_ASKED = "not_asked"


class Mark(StrEnum):
    """Where a rule comes from: source playbook, source article, our extension."""

    S = "S"
    A = "A"
    X = "X"


STAFF = frozenset({Role.REPORTING_STAFF, Role.ANY_STAFF})
"""Roles that every member holds; they make an actor only of those who have a part in the incident."""

GRANTABLE = frozenset(Role) - STAFF - {Role.SERVICE_ACCOUNT}
"""Roles that an administrator can give to a person."""

CONTENT = GRANTABLE - {Role.MANAGER, Role.AUDITOR, Role.TENANT_ADMIN}
"""Roles that work on the content of incidents."""

DOCUMENTATION = documentation_items()
"""The twelve documentation items by id."""
