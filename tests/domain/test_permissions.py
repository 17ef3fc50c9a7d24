"""The permission table: every role against every operation, and what no role can change."""

from pathlib import Path

import pytest

from domain.glossary import Role
from domain.permissions import OPERATIONS, Relation, allows, may_ever, needs_person, permissions_page

EVERYBODY = {role.value for role in Role} | {""}
CONTENT = {
    "it_security", "security_lead", "risk_owner", "legal_counsel", "account_owner", "privacy", "compliance", "hr",
    "communications", "vendor_management", "business_owner", "executive_leadership",
}  # fmt: skip
TRIAGE = {
    "it_security", "security_lead", "risk_owner", "account_owner", "privacy", "compliance", "vendor_management",
}  # fmt: skip
READERS = CONTENT | {"auditor"}
RISK = {"risk_owner"}
COURSE = {"risk_owner", "security_lead"}
ASSIGNERS = {"risk_owner", "security_lead", "it_security"}
AUDIT = {"auditor", "risk_owner", "compliance"}
ADMIN = {"tenant_admin"}
MEMBERS = EVERYBODY - {"auditor"}  # an auditor without another role writes nothing but audit work

# operation: (roles that suffice alone, relations that suffice for anybody, does it need a person)
EXPECTED: dict[str, tuple[set[str], str, bool]] = {
    "incident.report": (MEMBERS, "", False),
    "incident.report_declaring": (MEMBERS, "", False),
    "external_reference.add": (MEMBERS, "", False),
    "incident.acknowledge": (TRIAGE, "", False),
    "incident.declare": (TRIAGE, "", False),
    "incident.read": (READERS, "own reporter participant", False),
    "timeline.read": (READERS, "own reporter participant", False),
    "document.read": (READERS, "own reporter participant", False),
    "notification.read": (READERS, "own reporter participant", False),
    "obligation.read": (READERS, "own reporter participant", False),
    "evidence.read": (READERS, "own reporter participant", False),
    "evidence.read_restricted": ({"auditor", "legal_counsel", "risk_owner"}, "role_actor author", True),
    "event.read": (READERS, "own", False),
    "incident.edit_reported": (TRIAGE, "reporter own", False),
    "incident.edit": (RISK, "open_step_actor", False),
    "incident.edit_facts": (RISK, "open_step_actor own", False),
    "document.edit": (RISK, "open_step_actor", False),
    "document.edit_final": (RISK, "last_step_actor", False),
    "document.accept_unknown": (RISK, "", True),
    "follow_up.write": (RISK, "last_step_actor", False),
    "link.write": (RISK, "last_step_actor", False),
    "incident.correct_discovery": (RISK, "", True),
    "incident.change_person_concerned": (RISK, "", True),
    "action.complete": (set(), "step_actor", False),
    "action.decide": (set(), "step_actor", True),
    "evidence.attach": (set(), "step_actor own", False),
    "note.write": (set(), "step_actor own", False),
    "step.complete": (set(), "step_actor", True),
    "decision.approve": (set(), "gate_role", True),
    "action.unavailable": (set(), "step_actor", True),
    "action.unavailable.approve": (RISK, "", True),
    "action.reopen": (set(), "step_actor", True),
    "action.skip": (RISK, "", True),
    "step.skip": (RISK, "", True),
    "gate.override": (set(), "gate_role", True),
    "incident.assign": (ASSIGNERS, "", False),
    "step.assign": (ASSIGNERS, "step_actor", False),
    "participant.set": (ASSIGNERS, "step_actor", False),
    "participant.add_hr": (RISK, "", True),
    "incident.reclassify": (COURSE, "", True),
    "incident.reject": (COURSE, "", True),
    "incident.hold": (COURSE, "", False),
    "incident.resume": (COURSE, "", False),
    "incident.reopen": (RISK, "", True),
    "incident.amend": (RISK, "", True),
    "severity.raise": (CONTENT, "step_actor", True),
    "severity.lower": (RISK, "", True),
    "sign_off.first": (RISK, "", True),
    "sign_off.second": ({"executive_leadership", "legal_counsel"}, "", True),
    "obligation.preview": (READERS, "", False),
    "obligation.notify": (RISK, "", True),
    "obligation.not_required": (RISK, "", True),
    "obligation.delay": ({"risk_owner", "legal_counsel"}, "", True),
    "obligation.waive": ({"legal_counsel"}, "", True),
    "notification.write": (set(), "step_actor", False),
    "notification.extra": (COURSE, "gate_role", False),
    "notification.approve": ({"manager", "risk_owner", "legal_counsel"}, "manager", True),
    "notification.record_sent": (set(), "author approver", False),
    "notification.not_required": (RISK, "", True),
    "notification.send_during_attack": (COURSE, "", True),
    "risk.read": (READERS, "", False),
    "risk.propose": (CONTENT, "", False),
    "risk.accept": (RISK, "", True),
    "risk.accept_critical": ({"executive_leadership"}, "", True),
    "tool.read": (EVERYBODY, "", False),
    "tool.request": (MEMBERS, "", False),
    "tool.assess": ({"it_security", "vendor_management", "risk_owner"}, "", False),
    "tool.decide": ({"it_security", "risk_owner"}, "", True),
    "policy.read": (EVERYBODY, "", False),
    "policy.acknowledge": (MEMBERS, "", True),
    "policy.edit": ({"compliance", "risk_owner"}, "", False),
    "policy.publish": ({"risk_owner", "executive_leadership"}, "", True),
    "audit.read": (AUDIT, "", False),
    "audit.run": (AUDIT, "", False),
    "audit.note": ({"auditor"}, "", False),
    "exception.respond": ({"risk_owner", "compliance"}, "", True),
    "playbook.read": (EVERYBODY, "", False),
    "control.read": (EVERYBODY, "", False),
    "playbook.draft": ({"risk_owner", "compliance"}, "", False),
    "playbook.publish": (RISK, "", True),
    "client.read": (READERS | ADMIN, "", False),
    "client.write": (ADMIN, "", True),
    "person.read": (READERS | ADMIN, "", False),
    "person.write": (ADMIN, "", True),
    "role.grant": (ADMIN, "", True),
    "role.grant_admin": (ADMIN, "", True),
    "duty.write": (ADMIN, "", True),
    "calendar.write": (ADMIN, "", True),
    "settings.read": (READERS | ADMIN, "", False),
    "settings.write": (ADMIN, "", True),
    "graph.introspect": (ADMIN, "", False),
    "me.read": (EVERYBODY, "", False),
    "key.read": (ADMIN, "self", False),
    "key.write": (ADMIN, "", True),
    "key.write_own": (MEMBERS, "", True),
    "key.enrol": (ADMIN, "", True),
    "source.read": (ADMIN, "", False),
    "source.write": (ADMIN, "", True),
    "connection.read": (ADMIN, "", False),
    "connection.write": (ADMIN, "", True),
    "endpoint.read": (ADMIN, "", False),
    "event_type.read": (EVERYBODY, "", False),
    "endpoint.write": (ADMIN, "", True),
    "identity_provider.read": (ADMIN, "", False),
    "identity_provider.write": (ADMIN, "", True),
    "limit.write": (ADMIN, "", True),
    "erase.request": ({"privacy"}, "", True),
    "erase.approve": ({"legal_counsel"}, "", True),
    "legal_hold.set": ({"legal_counsel"}, "", True),
}
FOR_SERVICE_ACCOUNTS = {
    "incident.report", "incident.report_declaring", "external_reference.add", "me.read", "playbook.read",
    "control.read", "event_type.read",
}  # fmt: skip
WORK_OF_AUDITORS = {"audit.run", "audit.note"}


def test_the_table_has_exactly_these_operations() -> None:
    assert list(OPERATIONS) == list(EXPECTED)


@pytest.mark.parametrize("operation", EXPECTED)
def test_each_role_alone(operation: str) -> None:
    assert {role for role in EVERYBODY if allows(operation, {role} - {""}, "person")} == EXPECTED[operation][0]


@pytest.mark.parametrize("operation", EXPECTED)
def test_each_relation_alone(operation: str) -> None:
    roles, relations, _ = EXPECTED[operation]
    sufficient = {r.value for r in Relation if allows(operation, {"hr"}, "person", {r.value})}
    expected = set(relations.split()) - {"own"}
    assert sufficient == ({r.value for r in Relation} if "hr" in roles else expected)


@pytest.mark.parametrize("operation", EXPECTED)
def test_a_service_account_acts_for_nobody(operation: str) -> None:
    everything = {r.value for r in Relation}
    assert allows(operation, EVERYBODY, "service_account") is (operation in FOR_SERVICE_ACCOUNTS)
    reached = operation in FOR_SERVICE_ACCOUNTS or "own" in EXPECTED[operation][1].split()
    assert allows(operation, EVERYBODY, "service_account", everything) is reached
    assert may_ever(operation, set(), "service_account") is reached


@pytest.mark.parametrize("operation", EXPECTED)
def test_what_needs_a_person_is_closed_to_machines(operation: str) -> None:
    assert needs_person(operation) is EXPECTED[operation][2]
    if needs_person(operation):
        assert not may_ever(operation, EVERYBODY, "service_account")


@pytest.mark.parametrize("operation", EXPECTED)
def test_an_auditor_alone_writes_nothing_but_audit_work(operation: str) -> None:
    writes = not OPERATIONS[operation].reads
    if writes:
        assert may_ever(operation, {"auditor", "any_staff"}, "person") is (operation in WORK_OF_AUDITORS)


def test_an_auditor_with_another_role_acts_by_that_role() -> None:
    assert allows("incident.acknowledge", {"auditor", "it_security"}, "person")
    assert allows("incident.report", {"auditor", "hr"}, "person")


@pytest.mark.parametrize("operation", EXPECTED)
def test_may_ever_is_true_wherever_a_relation_could_help(operation: str) -> None:
    roles, relations, _ = EXPECTED[operation]
    could = set(relations.split()) - {"own"}
    for role in EVERYBODY - {"auditor"}:
        assert may_ever(operation, {role} - {""}, "person") is (role in roles or bool(could))


def test_tenant_admin_alone_reads_no_content() -> None:
    content = [name for name in EXPECTED if name.split(".")[0] in {"incident", "timeline", "document", "evidence"}]
    assert not [name for name in content if name.endswith("read") and allows(name, {"tenant_admin"}, "person")]
    assert not allows("evidence.read_restricted", {"tenant_admin"}, "person", {"reporter", "participant"})


def test_staff_roles_open_no_restricted_evidence() -> None:
    relations = {"step_actor", "reporter", "participant"}
    assert not allows("evidence.read_restricted", {"reporting_staff", "any_staff"}, "person", relations)
    assert allows("evidence.read_restricted", set(), "person", {"author"})


@pytest.mark.parametrize("kind", ["system", "", "robot"])
def test_nobody_else_passes(kind: str) -> None:
    assert not may_ever("incident.report", {"risk_owner"}, kind)


def test_an_unknown_operation_is_our_own_mistake() -> None:
    with pytest.raises(KeyError):
        allows("incident.dance", {"risk_owner"}, "person")


def test_the_page_in_docs_is_the_table() -> None:
    page = Path(__file__).parents[2] / "docs" / "permissions.md"
    assert page.read_text(encoding="utf-8") == permissions_page()
