"""The shipped rules and the conditions that further rules are made of."""

from typing import Any

import pytest
from pydantic import ValidationError

from domain.obligation_rules import load, rules
from domain.obligations import ClientProfile
from tests.domain.obligation_cases import CLIENT, a_file, at, one, run


def test_the_playbook_rules_are_shipped_in_order() -> None:
    assert [rule.id for rule in rules()][:4] == ["OB-S-1", "OB-S-2", "OB-S-3", "OB-S-4"]
    assert {rule.row.as_of for rule in rules()} == {"2026-11"}


def test_nothing_known_leaves_every_rule_open_and_calls_counsel() -> None:
    outcomes = run({})
    assert {rule: outcome.outcome for rule, outcome in outcomes.items()} == {
        "OB-S-1": "needs_facts",
        "OB-S-2": "needs_facts",
        "OB-S-3": "needs_facts",
        "OB-S-4": "required",
    }
    assert outcomes["OB-S-1"].missing_facts == ["personal_data", "individuals_count"]
    assert outcomes["OB-S-3"].missing_facts == ["clients_affected"]


def test_nothing_affected_triggers_nothing() -> None:
    outcomes = run({"personal_data": False, "phi": False, "clients_affected": []})
    assert {outcome.outcome for outcome in outcomes.values()} == {"not_triggered"}
    assert all(outcome.due_at is None and outcome.guideline_due_at is None for outcome in outcomes.values())


@pytest.mark.parametrize(
    ("individuals", "outcome"),
    [
        (499, "not_triggered"),
        (500, "likely"),
        ({"min": 100, "max": 499}, "not_triggered"),
        ({"min": 500, "max": 900}, "likely"),
        ({"min": 500}, "likely"),
        ({"min": 400, "max": 600}, "needs_facts"),
        ({"min": 400}, "needs_facts"),
    ],
)
def test_the_500_rule_counts_individuals(individuals: Any, outcome: str) -> None:
    assert run({"personal_data": True, "individuals_count": individuals})["OB-S-1"].outcome == outcome


def test_vector_1_640_people_in_two_states() -> None:
    facts = {
        "personal_data": True,
        "phi": False,
        "individuals_count": 640,
        "data_types": ["government_id"],
        "clients_affected": [],
        "residents_by_jurisdiction": {"US-CA": 600, "US-TX": 40},
    }
    outcomes = run(facts)
    assert outcomes["OB-S-1"].outcome == "likely"
    assert "residents_by_jurisdiction: US-CA 600, US-TX 40" in outcomes["OB-S-1"].because
    assert outcomes["OB-S-1"].due_at is None
    assert outcomes["OB-S-1"].guideline_due_at == at("2026-04-01T15:00")
    assert outcomes["OB-S-4"].outcome == "required"


def test_vector_2_three_patients_of_a_covered_entity() -> None:
    facts = {"personal_data": True, "phi": True, "individuals_count": 3, "clients_affected": [str(CLIENT)]}
    outcomes = run(facts, ClientProfile(id=CLIENT, hipaa_role="business_associate"))
    assert outcomes["OB-S-1"].outcome == "not_triggered"
    assert outcomes["OB-S-2"].outcome == "likely"
    assert outcomes["OB-S-2"].due_at == at("2026-05-01T15:00")
    assert any("covered entity's duty" in text for text in outcomes["OB-S-2"].because)
    assert outcomes["OB-S-4"].outcome == "required"


def test_counsel_is_due_with_the_assess_step() -> None:
    waiting = run({})["OB-S-4"]
    assert (waiting.due_at, waiting.pending_clock) == (at("2026-03-02T19:00"), True)
    known = run({}, instants={"assess_due_at": at("2026-03-03T10:00")})["OB-S-4"]
    assert (known.due_at, known.pending_clock) == (at("2026-03-03T10:00"), False)


def test_an_unknown_role_is_a_missing_fact() -> None:
    rule = {"per": "client", "applies": 'gdpr_role == "controller"'}
    unknown = one({"personal_data": True}, rule, ClientProfile(id=CLIENT))
    assert (unknown.outcome, unknown.missing_facts) == ("needs_facts", ["client.gdpr_role"])


def test_vector_5_a_processor_tells_the_controller_and_not_the_authority() -> None:
    made = [
        {
            "id": "OB-T-SA",
            "per": "client",
            "applies": 'gdpr_role == "controller"',
            "applies_text": "The controller tells",
        },
        {"id": "OB-T-PROC", "per": "client", "applies": 'gdpr_role == "processor"', "toward": "client"},
    ]
    outcomes = run({"personal_data": True}, ClientProfile(id=CLIENT, gdpr_role="processor"), made=made)
    assert outcomes["OB-T-SA", CLIENT].outcome == "not_triggered"
    assert outcomes["OB-T-SA", CLIENT].because == ["The controller tells (client.gdpr_role: processor)"]
    assert outcomes["OB-T-PROC", CLIENT].outcome == "required"


@pytest.mark.parametrize(
    ("role", "data_role"), [("covered_entity", "owner"), ("business_associate", "maintainer"), (None, None)]
)
def test_the_data_role_follows_from_the_other_roles(role: str | None, data_role: str | None) -> None:
    rule = {"per": "client", "applies": 'data_role == "owner"'}
    expected = {"owner": "required", "maintainer": "not_triggered", None: "needs_facts"}[data_role]
    assert one({"personal_data": True}, rule, ClientProfile(id=CLIENT, hipaa_role=role)).outcome == expected


def test_without_clients_our_own_role_counts() -> None:
    rule = {"per": "client", "applies": 'hipaa_role == "covered_entity"'}
    outcome = one({"personal_data": True}, rule, organisation={"hipaa_role": "covered_entity"})
    assert (outcome.outcome, outcome.client_id) == ("required", None)


def per_state(*within: str, outside: tuple[str, ...] = (), **threshold: int) -> dict[str, Any]:
    return {
        "per": "jurisdiction",
        "residents": {"within": list(within), "outside": list(outside)},
        "threshold": {"fact": "residents", **threshold},
    }


@pytest.mark.parametrize(
    ("rule", "residents", "outcome"),
    [
        (per_state("US-TX", at_least=250), {"US-CA": 600, "US-TX": 40}, "not_triggered"),  # vector 1
        (per_state("US-OR", more_than=250), {"US-OR": 260, "US-WA": 240}, "required"),  # vector 6
        (per_state("US-WA", more_than=500), {"US-OR": 260, "US-WA": 240}, "not_triggered"),
        (per_state("US", more_than=500), {"US-NY": 500}, "not_triggered"),  # vector 4: media
        (per_state("US", more_than=500), {"US-NY": 300, "US-NJ": 501}, "required"),
        (per_state("US", outside=("US-NJ",), more_than=500), {"US-NY": 300, "US-NJ": 501}, "not_triggered"),
        (per_state("US", at_least=1), {"DE": 10, "US-NJ": 0}, "not_triggered"),
        (per_state("US", at_least=1), {"US": 10}, "required"),
    ],
)
def test_a_statute_counts_its_own_residents(rule: dict[str, Any], residents: dict[str, int], outcome: str) -> None:
    assert one({"personal_data": True, "residents_by_jurisdiction": residents}, rule).outcome == outcome


def test_unknown_residents_leave_a_statute_open() -> None:
    outcome = one({"personal_data": True}, per_state("US-TX", at_least=250))
    assert (outcome.outcome, outcome.missing_facts) == ("needs_facts", ["residents_by_jurisdiction"])


@pytest.mark.parametrize(
    ("individuals", "notified", "logged"), [(499, False, True), (500, True, False), (800, True, False)]
)
def test_vectors_3_and_4_500_or_more_and_fewer(individuals: int, notified: bool, logged: bool) -> None:
    made = [
        {"id": "OB-T-500", "threshold": {"fact": "individuals_count", "at_least": 500}},
        {"id": "OB-T-LOG", "threshold": {"fact": "individuals_count", "fewer_than": 500}},
    ]
    outcomes = run({"personal_data": True, "individuals_count": individuals}, made=made)
    assert (outcomes["OB-T-500"].outcome == "required") is notified
    assert (outcomes["OB-T-LOG"].outcome == "required") is logged


@pytest.mark.parametrize(
    ("types", "outcome"),
    [
        (["government_id", "contact_data"], "required"),
        (["phi"], "needs_legal"),
        (["contact_data"], "not_triggered"),
        (None, "needs_facts"),
    ],
)
def test_a_statute_lists_its_elements(types: list[str] | None, outcome: str) -> None:
    rule = {"elements": {"triggering": ["government_id"], "needs_legal": ["phi"]}}
    facts = {"personal_data": True} | ({"data_types": types} if types else {})
    assert one(facts, rule).outcome == outcome


@pytest.mark.parametrize(
    ("facts", "outcome", "missing"),
    [
        ({"encrypted": True, "key_compromised": False}, "not_triggered", []),
        ({"encrypted": True, "key_compromised": True}, "required", []),
        ({"encrypted": False}, "required", []),
        ({"encrypted": True}, "likely", ["key_compromised"]),
        ({}, "likely", ["encrypted", "key_compromised"]),
    ],
)
def test_an_exemption_counts_only_when_it_is_certain(facts: dict[str, Any], outcome: str, missing: list[str]) -> None:
    rule = {"exempt": [{"when": "encrypted && !key_compromised", "text": "Encrypted, the key stayed safe."}]}
    result = one({"personal_data": True, **facts}, rule)
    assert (result.outcome, result.missing_facts) == (outcome, missing)


@pytest.mark.parametrize(("harm", "outcome"), [(True, "required"), (False, "likely"), (None, "likely")])
def test_a_legal_test_stays_open_until_it_is_met(harm: bool | None, outcome: str) -> None:
    rule = {"legal_test": {"question": "Is harm to people likely?", "met": "individual_harm"}}
    facts = {"personal_data": True} | ({} if harm is None else {"individual_harm": harm})
    assert one(facts, rule).outcome == outcome


@pytest.mark.parametrize(
    ("before", "discovered", "outcome"),
    [
        ("needs_legal", "2027-12-01T12:00", "needs_legal"),  # vector 9: the date flag
        ("not_in_force", "2027-12-01T12:00", "not_triggered"),
        ("needs_legal", "2027-12-02T00:00", "required"),
    ],
)
def test_a_rule_knows_since_when_it_applies(before: str, discovered: str, outcome: str) -> None:
    rule = {
        "effective_from": "2027-12-02",
        "before_effective": before,
        "clock": {"event": "aware_at", "duration": "P10D"},
    }
    instants = {"discovered_at": at(discovered), "aware_at": at("2027-12-02T12:00")}
    result = one({"personal_data": True}, rule, instants=instants)
    assert result.outcome == outcome
    assert result.due_at == (None if outcome == "not_triggered" else at("2027-12-12T12:00"))


def test_only_counsel_can_say_and_an_open_question_is_counsels() -> None:
    rule = {"needs_legal": [{"when": 'channel == "voice"', "text": "Is a voice personal data?"}]}
    assert one({"personal_data": True, "channel": "email"}, rule).outcome == "required"
    assert one({"personal_data": True, "channel": "voice"}, rule).outcome == "needs_legal"
    assert one({"personal_data": True}, rule).outcome == "needs_legal"


def test_a_pending_rule_does_not_run() -> None:
    assert run({"personal_data": True}, made=[{"status": "pending"}]) == {}


@pytest.mark.parametrize(
    ("playbook", "outcome"),
    [("high-impact-ai-use", "likely"), ("data-leakage", "not_triggered"), (None, "needs_facts")],
)
def test_an_advisory_rule_asks_and_never_requires(playbook: str | None, outcome: str) -> None:
    rule = {"status": "advisory", "trigger": 'playbook == "high-impact-ai-use"'}
    assert one({}, rule, playbook=playbook).outcome == outcome


@pytest.mark.parametrize(("now", "warned"), [("2026-07-31T23:59", False), ("2026-08-01T00:00", True)])
def test_an_old_rule_says_so(now: str, warned: bool) -> None:
    outcome = one({"personal_data": True}, {"as_of": "2026-02"}, now=at(now))
    assert any("last checked 2026-02" in text for text in outcome.because) is warned


def test_an_unverified_rule_says_so() -> None:
    outcome = one({"personal_data": True}, {"confidence": "L", "note": "Seen in one chart."})
    assert "Seen in one chart." in outcome.because
    assert any("unverified" in text for text in outcome.because)


def test_the_reasons_name_the_deciding_facts() -> None:
    rule = {"threshold": {"fact": "individuals_count", "at_least": 500}}
    outcome = one({"personal_data": True, "individuals_count": {"min": 10, "max": 40}}, rule)
    assert outcome.because == ["individuals_count: 10 to 40; the rule concerns 500 or more"]


@pytest.mark.parametrize(
    "row",
    [
        {"surplus": 1},
        {"id": "S-1"},
        {"toward": "nobody"},
        {"trigger": "no_such_fact"},
        {"trigger": "personal_data &&"},
        {"exempt": [{"when": "no_such_fact", "text": "Never."}]},
        {"mentions": ["no_such_fact"]},
        {"clock": {"event": "someday", "duration": "P1D"}},
        {"clock": {"event": "aware_at", "duration": "soon"}},
        {"clock": {"event": "aware_at", "duration": "P1D", "business_days": 1}},
        {"clock": {"event": "aware_at", "duration": "P1D", "country": "US"}},
        {"threshold": {"fact": "individuals_count"}},
        {"threshold": {"fact": "individuals_count", "at_least": 1, "more_than": 0}},
        {"threshold": {"fact": "residents", "at_least": 1}},
        {"threshold": {"fact": "phi", "at_least": 1}},
        {"per": "jurisdiction"},
        {"residents": {"within": ["US"]}},
        {"contract": True},
        {"after": ["OB-T-2"]},
        {"order": "before", "order_of": ["OB-T-2"]},
        {"order": "before"},
        {"as_of": "November 2026"},
        {"clock": {"event": "aware_at", "duration": "P1D", "worst_case": "soon"}},
        {"elements": {"triggering": ["passports"]}},
    ],
)
def test_a_rule_that_cannot_be_right_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises((ValidationError, ValueError)):
        load(a_file(row))


def test_a_rule_cannot_appear_twice() -> None:
    with pytest.raises(ValueError, match="twice"):
        load(a_file({}, {}))
