"""The words of the product, and that data and code use the same ones."""

from enum import StrEnum
from typing import Any

import pytest

from domain import glossary
from domain.facts import FACTS
from domain.glossary import CONTENT, DOCUMENTATION, GRANTABLE, STAFF, Role
from domain.items import schema_of
from domain.playbooks import catalogue
from domain.refusals import Invalid
from domain.schemas import check_schema

STATES = {
    "IncidentStatus": "reported triage in_progress contained post_incident on_hold closed reopened rejected",
    "Disposition": "false_positive duplicate test out_of_scope",
    "OccurrenceState": "expected met met_late breached skipped voided",
    "StepStatus": "locked ready in_progress blocked completed skipped",
    "ActionStatus": "pending pending_fact done not_applicable skipped unavailable",
    "NotificationStatus": "draft in_review approved sent acknowledged failed not_required",
    "ObligationDecision": "open notify not_required waived_by_counsel",
    "ToolStatus": "requested under_review approved conditional blocked retired",
    "AssessmentStatus": "draft complete decided expired",
    "RiskStatus": "open treating accepted closed",
    "RevisionStatus": "proposed accepted rejected",
    "FollowUpStatus": "open in_progress done cancelled",
    "PlaybookStatus": "draft published superseded withdrawn",
    "Severity": "SEV1 SEV2 SEV3 SEV4",
    "SlaState": "on_track at_risk breached met met_late",
    "ActionType": "task record evidence decision notify_internal notify_external prohibition",
}


@pytest.mark.parametrize("name", STATES)
def test_states_are_those_of_the_glossary(name: str) -> None:
    assert [member.value for member in getattr(glossary, name)] == STATES[name].split()


def test_names_of_members_are_their_values() -> None:
    for enumeration in vars(glossary).values():
        if isinstance(enumeration, type) and issubclass(enumeration, StrEnum) and enumeration is not StrEnum:
            assert enumeration.__doc__
            assert all(member.name == member.value.upper() for member in enumeration)


def test_roles_fall_into_their_groups() -> None:
    assert len(Role) == 18
    assert {"reporting_staff", "any_staff"} == STAFF
    assert set(Role) - STAFF - {"service_account"} == GRANTABLE
    assert GRANTABLE - {"manager", "auditor", "tenant_admin"} == CONTENT
    assert len(CONTENT) == 12


NAMES = {
    "D01": "discovered_at", "D02": "discovery", "D03": "ai_systems", "D04": "affected_data", "D05": "impacted_parties",
    "D06": "timeline", "D07": "notifications", "D08": "root_cause", "D09": "remediation", "D10": "risk_update",
    "D11": "sign_off", "D12": "follow_ups",
}  # fmt: skip


def test_the_twelve_items_have_their_names() -> None:
    assert {item.id: item.name for item in DOCUMENTATION.values()} == NAMES
    assert {item.id for item in DOCUMENTATION.values() if item.schema is None} == {"D06", "D07", "D10", "D11"}
    assert {item.id for item in DOCUMENTATION.values() if item.derived == "fully"} == {"D06", "D07", "D10", "D11"}
    assert all(item.source == "S" for item in DOCUMENTATION.values())


def test_items_and_enumerations_use_the_same_words() -> None:
    assert schema_of("D01", "discovered_at_precision")["enum"] == list(glossary.Precision)
    assert schema_of("D02", "discovery_method")["enum"] == list(glossary.DiscoveryMethod)
    assert schema_of("D08", "category")["enum"] == list(glossary.RootCause)
    assert list(schema_of("D12", "improvements")["properties"]) == list(glossary.ImprovementTarget)
    data_types = schema_of("D04")["properties"]["entries"]["items"]["properties"]["data_type"]["enum"]
    assert data_types == list(FACTS["data_types"].values)


def test_a_derived_item_has_no_schema() -> None:
    with pytest.raises(KeyError):
        schema_of("D06")
    with pytest.raises(KeyError):
        schema_of("D12", "improvements.moon")


def test_playbooks_use_the_words_of_the_glossary() -> None:
    for playbook in catalogue().list():
        for step in playbook.steps:
            assert step.phase in set(glossary.Phase)
            assert set(step.owner_roles) <= set(Role)


ID = "01890a5d-ac96-774b-bcce-b302099a8057"
FITTING: list[tuple[str, dict[str, Any]]] = [
    ("D01", {"discovered_at": "2026-05-01T10:00:00Z", "discovered_at_precision": "minute"}),
    ("D02", {"discovered_by": ID, "discovery_method": "self_report"}),
    ("D02", {"discovered_by": "A journalist", "discovery_method": "other", "discovery_note": "by telephone"}),
    ("D03", {"entries": [{"name": "ChatGPT", "url": "https://chatgpt.com", "identification": "identified"}]}),
    ("D03", {"entries": [{"identification": "unknown", "reason": "the attacker's tool cannot be known"}]}),
    ("D04", {"entries": [{"data_type": "contact_data", "record_count": 40, "fields": ["name", "e-mail"]}]}),
    ("D04", {"entries": [{"data_type": "phi", "individuals_count": {"min": 1, "max": 9}, "encrypted": "unknown"}]}),
    ("D04", {"none": True, "reason": "only a generic prompt"}),
    ("D05", {"entries": [{"kind": "client", "client_id": ID, "jurisdictions": {"US-CA": 120, "GB": 4}}]}),
    ("D05", {"entries": [{"kind": "own_staff", "count": 3}]}),
    ("D05", {"none": True, "reason": "synthetic data"}),
    ("D08", {"category": "training_gap", "statement": "Nobody had told the team what the policy says."}),
    ("D09", {"entries": [{"description": "Deleted", "done_at": "2026-05-01T10:00:00Z", "done_by": ID}]}),
    ("D12", {"none": {"reason": "nothing is owed"}}),
    ("D12", {"none": None, "improvements": {"policy": {"answer": "updated", "reason": "section 3"}}}),
]
UNFITTING: list[tuple[str, dict[str, Any]]] = [
    ("D01", {"discovered_at": "yesterday"}),
    ("D01", {"discovered_at": "2026-05-01T10:00:00Z", "discovered_at_precision": "about"}),
    ("D02", {"discovered_by": ID}),
    ("D03", {"entries": []}),
    ("D03", {"entries": [{"vendor": "somebody"}]}),
    ("D03", {"entries": [{"name": "x", "colour": "red"}]}),
    ("D04", {"entries": [], "none": False}),
    ("D04", {"none": True}),
    ("D04", {"none": True, "reason": "x", "entries": [{"data_type": "phi"}]}),
    ("D04", {"entries": [{"data_type": "secrets"}]}),
    ("D04", {"entries": [{"data_type": "phi", "record_count": -1}]}),
    ("D04", {"entries": [{"data_type": "phi", "record_count": {"min": 1}}]}),
    ("D05", {"entries": [{"kind": "client", "client_id": "acme"}]}),
    ("D05", {"entries": [{"kind": "own_staff", "jurisdictions": {"California": 1}}]}),
    ("D08", {"category": "training_gap", "statement": "user error"}),
    ("D09", {"entries": []}),
    ("D12", {"none": {}}),
    ("D12", {"improvements": {"policy": {"answer": "maybe", "reason": "x"}}}),
]


@pytest.mark.parametrize(("item", "value"), FITTING)
def test_values_that_fit(item: str, value: dict[str, Any]) -> None:
    check_schema(schema_of(item), value)


@pytest.mark.parametrize(("item", "value"), UNFITTING)
def test_values_that_do_not_fit(item: str, value: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        check_schema(schema_of(item), value)
