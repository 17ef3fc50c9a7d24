"""The worked examples of the domain, run through the shipped rules: who has to be told by when, and why."""

from typing import Any
from uuid import UUID

import pytest

from domain.obligations import ClientProfile, Outcome
from tests.domain.obligation_cases import CLIENT, OTHER, a_clause, at, run

OWNER = {"data_role": "owner"}


def known(*types: str, individuals: int, **more: Any) -> dict[str, Any]:
    """Facts as the documentation yields them."""
    personal = set(types) - {"none", "internal_business"}
    return {
        "data_types": list(types),
        "personal_data": bool(personal),
        "phi": "phi" in types,
        "individuals_count": individuals,
        "encrypted": False,
        "clients_affected": [],
        **more,
    }


def regulated(*sectors: str) -> dict[str, Any]:
    return {"sectors": list(sectors)}


def dues(outcomes: dict[Any, Outcome], *rules: Any) -> list[Any]:
    return [outcomes[rule].due_at for rule in rules]


def spoken(outcomes: dict[Any, Outcome]) -> set[Any]:
    """The rules with something to say."""
    return {rule for rule, outcome in outcomes.items() if outcome.outcome != "not_triggered"}


def test_vector_1_640_people_in_california_and_texas() -> None:
    facts = known("government_id", individuals=640, residents_by_jurisdiction={"US-CA": 600, "US-TX": 40})
    outcomes = run(facts, organisation=OWNER, instants={"determined_at": at("2026-03-04T15:00")})
    assert spoken(outcomes) == {"OB-S-1", "OB-S-4", "OB-US-CA", "OB-US-CA-AG", "OB-US-TX"}
    assert outcomes["OB-S-1"].outcome == "likely"
    assert dues(outcomes, "OB-US-CA", "OB-US-TX") == [at("2026-04-01T15:00"), at("2026-05-03T15:00")]
    assert (outcomes["OB-US-CA-AG"].due_at, outcomes["OB-US-CA-AG"].pending_clock) == (at("2026-03-17T15:00"), True)
    assert outcomes["OB-US-TX-AG"].outcome == "not_triggered"
    assert outcomes["OB-US-TX-AG"].because == ["residents of US-TX: 40; the rule concerns 250 or more"]
    told = {"determined_at": at("2026-03-04T15:00"), "OB-US-CA": at("2026-03-20T09:00")}
    after = run(facts, organisation=OWNER, instants={**told})["OB-US-CA-AG"]
    assert (after.due_at, after.pending_clock) == (at("2026-04-04T09:00"), False)


def test_vector_2_three_patients_and_we_are_the_business_associate() -> None:
    facts = known("phi", individuals=3, clients_affected=[str(CLIENT)])
    outcomes = run(facts, ClientProfile(id=CLIENT, hipaa_role="business_associate"))
    associate = outcomes["OB-HIPAA-BA", CLIENT]
    assert (associate.outcome, associate.due_at) == ("likely", at("2026-05-01T15:00"))
    for rule in ("OB-HIPAA-IND", "OB-HIPAA-HHS-LOG"):
        assert (outcomes[rule, CLIENT].outcome, outcomes[rule, CLIENT].owed_by) == ("not_triggered", "client")
    assert ("OB-HIPAA-HHS-500", CLIENT) not in spoken(outcomes)
    assert any("Our role is business associate" in text for text in outcomes["OB-S-2"].because)
    assert outcomes["OB-S-4"].outcome == "required"


@pytest.mark.parametrize(("patients", "media", "log"), [(800, True, False), (500, False, False)])
def test_vectors_3_and_4_patients_of_one_state_and_we_are_the_covered_entity(
    patients: int, media: bool, log: bool
) -> None:
    facts = known("phi", individuals=patients, residents_by_jurisdiction={"US-OH": patients})
    outcomes = run(facts, organisation={"hipaa_role": "covered_entity"})
    assert dues(outcomes, "OB-HIPAA-IND", "OB-HIPAA-HHS-500") == [at("2026-05-01T15:00")] * 2
    assert ("OB-HIPAA-MEDIA" in spoken(outcomes)) is media
    assert ("OB-HIPAA-HHS-LOG" in spoken(outcomes)) is log
    if media:
        assert outcomes["OB-HIPAA-MEDIA"].due_at == at("2026-05-01T15:00")


def test_vector_5_a_processor_tells_the_controller_whose_duty_the_authority_is() -> None:
    facts = known("contact_data", individuals=2000, residents_by_jurisdiction={"DE": 2000})
    outcomes = run({**facts, "clients_affected": [str(CLIENT)]}, ClientProfile(id=CLIENT, gdpr_role="processor"))
    assert outcomes["OB-GDPR-PROC", CLIENT].outcome == "required"
    for rule in ("OB-GDPR-SA", "OB-GDPR-IND", "OB-GDPR-REG"):
        theirs = outcomes[rule, CLIENT]
        assert (theirs.outcome, theirs.owed_by, theirs.is_near) == ("not_triggered", "client", True)
        assert any("The duty is the client's" in text for text in theirs.because)
    assert ("OB-UKGDPR-PROC", CLIENT) not in spoken(outcomes)


def test_vector_6_oregon_and_washington() -> None:
    facts = known("financial_account", individuals=500, residents_by_jurisdiction={"US-OR": 260, "US-WA": 240})
    outcomes = run(facts, organisation=OWNER, instants={"discovered_at": at("2026-05-01T08:00")})
    assert dues(outcomes, "OB-US-OR", "OB-US-OR-AG") == [at("2026-06-15T08:00")] * 2
    assert outcomes["OB-US-WA"].due_at == at("2026-05-31T08:00")
    assert outcomes["OB-US-WA-AG"].outcome == "not_triggered"


def test_vector_7_three_reports_under_nis2() -> None:
    aware = {"aware_at": at("2026-06-10T08:00")}
    facts = {"significant_incident": True}
    outcomes = run(facts, organisation=regulated("nis2_entity"), instants={**aware})
    assert {outcomes[rule].outcome for rule in ("OB-NIS2-24", "OB-NIS2-72", "OB-NIS2-1M")} == {"required"}
    assert dues(outcomes, "OB-NIS2-24", "OB-NIS2-72") == [at("2026-06-11T08:00"), at("2026-06-13T08:00")]
    assert outcomes["OB-NIS2-1M"].pending_clock
    sent = run(facts, organisation=regulated("nis2_entity"), instants={**aware, "OB-NIS2-72": at("2026-06-12T08:00")})
    assert (sent["OB-NIS2-1M"].due_at, sent["OB-NIS2-1M"].pending_clock) == (at("2026-07-12T08:00"), False)


def test_vector_8_four_hours_from_the_classification_and_never_past_a_day_from_awareness() -> None:
    entity = regulated("dora_financial_entity")
    instants = {"aware_at": at("2026-03-02T10:00"), "classified_at": at("2026-03-02T20:00")}
    initial = run({}, organisation=entity, instants={**instants})["OB-DORA-INIT"]
    assert (initial.outcome, initial.due_at) == ("required", at("2026-03-03T00:00"))
    late = run({}, organisation=entity, instants={**instants, "classified_at": at("2026-03-03T09:00")})
    assert late["OB-DORA-INIT"].due_at == at("2026-03-03T10:00")


def test_vector_9_a_death_and_a_regime_that_is_not_in_force() -> None:
    facts = {
        "ai_system_role": "provider",
        "ai_system_class": "high_risk_annex_iii",
        "serious_ai_incident": "death",
    }
    before = run(facts, instants={"aware_at": at("2026-03-03T09:00")})
    assert spoken(before) & {"OB-AIA-2", "OB-AIA-15"} == set()
    assert (before["OB-AIA-10"].outcome, before["OB-AIA-10"].due_at) == ("needs_legal", at("2026-03-13T09:00"))
    assert any("2027-12-02" in text for text in before["OB-AIA-10"].because)
    discovered = {"discovered_at": at("2028-01-10T09:00"), "aware_at": at("2028-01-10T09:00")}
    assert run(facts, instants={**discovered})["OB-AIA-10"].outcome == "required"
    product = {**facts, "ai_system_class": "high_risk_annex_i"}
    assert run(product, instants={**discovered})["OB-AIA-10"].outcome == "needs_legal"


def test_vector_10_four_business_days_from_a_friday() -> None:
    instants = {"materiality_determined_at": at("2026-06-05T20:00")}
    form = run({}, organisation=regulated("sec_registrant"), instants={**instants})["OB-SEC-8K"]
    assert (form.outcome, form.due_at) == ("required", at("2026-06-11T20:00"))


def test_the_breach_with_californians_texans_and_a_european_client() -> None:
    facts = known(
        "government_id",
        individuals=652,
        residents_by_jurisdiction={"US-CA": 612, "US-TX": 40, "DE": 1},
        clients_affected=[str(CLIENT)],
    )
    client = ClientProfile(
        id=CLIENT, gdpr_role="processor", jurisdictions=("DE",), clauses=(a_clause(notice_duration="PT24H"),)
    )
    outcomes = run(facts, client)
    assert spoken(outcomes) == {
        "OB-S-1",
        ("OB-S-3", CLIENT),
        "OB-S-4",
        ("OB-GDPR-PROC", CLIENT),
        ("OB-US-CA-MAINT", CLIENT),
        ("OB-US-TX-MAINT", CLIENT),
    }
    assert outcomes["OB-S-3", CLIENT].due_at == at("2026-03-03T15:00")
    assert outcomes["OB-US-CA-MAINT", CLIENT].guideline_due_at == at("2026-03-02T15:00")  # at once
    assert {outcomes[rule].owed_by for rule in ("OB-US-CA", "OB-US-CA-AG", "OB-US-TX")} == {"client"}


def test_silence_until_somebody_has_asked_the_first_questions() -> None:
    assert spoken(run({})) == {"OB-S-1", "OB-S-2", "OB-S-3", "OB-S-4"}
    people = run({"personal_data": True, "data_types": ["government_id"]}, organisation=OWNER)
    assert people["OB-US-OTHER"].missing_facts == ["residents_by_jurisdiction"]
    assert "OB-US-CA" not in people


def test_contact_data_alone_triggers_no_statute_and_special_data_goes_to_counsel() -> None:
    places = {"US-CA": 10, "US-VA": 10, "US-KS": 10}
    contacts = run(known("contact_data", individuals=30, residents_by_jurisdiction=places), organisation=OWNER)
    assert not {rule for rule in spoken(contacts) if "US" in rule}
    health = run(known("phi", individuals=30, residents_by_jurisdiction=places), organisation=OWNER)
    assert health["OB-US-CA"].outcome == "required"
    assert health["OB-US-VA"].outcome == "needs_legal"
    assert health["OB-US-OTHER"].outcome == "needs_legal"


def test_two_clients_with_two_roles_each_get_their_own() -> None:
    facts = known("phi", individuals=20, clients_affected=[str(CLIENT), str(OTHER)])
    roles = {CLIENT: "business_associate", OTHER: "covered_entity"}
    outcomes = run(facts, *(ClientProfile(id=client, hipaa_role=role) for client, role in roles.items()))
    assert outcomes["OB-HIPAA-BA", CLIENT].outcome == outcomes["OB-HIPAA-IND", OTHER].outcome == "likely"
    assert outcomes["OB-HIPAA-BA", OTHER].outcome == outcomes["OB-HIPAA-IND", CLIENT].outcome == "not_triggered"


@pytest.mark.parametrize(("playbook", "asked"), [("high-impact-ai-use", True), ("data-leakage", False)])
def test_the_laws_on_automated_decisions_advise_where_ai_decides_about_people(playbook: str, asked: bool) -> None:
    facts = {"workflow_kind": "hr", "residents_by_jurisdiction": {"DE": 1}}
    outcomes = run(facts, playbook=playbook)
    advised = {rule: outcomes[rule].outcome for rule in spoken(outcomes) if str(rule).startswith("OB-ADM")}
    laws = ("NYC", "IL", "CO", "GDPR22", "AIA26")
    assert advised == ({f"OB-ADM-{law}": "likely" for law in laws} if asked else {})


def test_a_payment_and_a_disruption_have_clocks_of_their_own() -> None:
    paid = run({}, organisation=regulated("nydfs_covered_entity"), instants={"payment_made_at": at("2026-03-02T12:00")})
    assert dues(paid, "OB-NYDFS-PAY", "OB-NYDFS-PAY-WHY") == [at("2026-03-03T12:00"), at("2026-04-01T12:00")]
    bank = ClientProfile(id=UUID(int=7), sectors=("bank",))
    shop = ClientProfile(id=UUID(int=8), sectors=("retail",))
    served = run({"covered_services_disrupted": True}, bank, shop, organisation=regulated("bank_service_provider"))
    assert spoken(served) >= {("OB-GLBA-BSP", bank.id)}
    assert ("OB-GLBA-BSP", shop.id) not in spoken(served)
