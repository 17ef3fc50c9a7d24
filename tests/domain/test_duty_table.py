"""The shipped rules, figure by figure, against the table of the laws."""

import pytest

from domain.fact_types import DATA_TYPES
from domain.obligation_rules import Rule, catalogue
from domain.severity_rules import rules as severity_rules
from tests.domain.duty_table import (
    ADVISORY,
    EVERYWHERE,
    FEDERAL_AND_ABROAD,
    LISTED,
    MAINTAINERS,
    STATES,
)

PLAYBOOK = {"OB-S-1", "OB-S-2", "OB-S-3", "OB-S-4"}


def rule(rule_id: str) -> Rule:
    found = catalogue().get(rule_id)
    assert found is not None, rule_id
    return found


def figure(found: Rule) -> str | None:
    limit = found.clock.limit
    return f"{limit.business_days} bd" if limit.business_days else limit.duration


def of_states() -> set[str]:
    made = {f"OB-US-{code}{part}" for code in STATES for part in ("", "-MAINT")}
    made |= {f"OB-US-{code}-AG" for code, row in STATES.items() if row[2]}
    made |= {f"OB-US-{code}-CRA" for code, row in STATES.items() if row[4]}
    return made | {"OB-US-IL-AG-HIPAA", "OB-US-NY-AG-HIPAA"}


def test_every_rule_of_the_table_is_shipped_and_no_other() -> None:
    assert {one.id for one in catalogue().rules} == PLAYBOOK | set(FEDERAL_AND_ABROAD) | ADVISORY | of_states()


def test_every_rule_tells_its_source() -> None:
    for one in catalogue().rules:
        assert one.row.as_of == "2026-11", one.id
        assert one.row.citation and one.row.recipient and one.row.title, one.id
        assert one.row.content_requirements or one.row.status == "pending", one.id


@pytest.mark.parametrize("rule_id", FEDERAL_AND_ABROAD)
def test_a_law_has_the_figures_of_the_table(rule_id: str) -> None:
    event, due, citation, confidence = FEDERAL_AND_ABROAD[rule_id]
    found = rule(rule_id)
    assert (found.clock.limit.event, figure(found)) == (event, due)
    assert citation in found.row.citation
    assert found.row.confidence == confidence


@pytest.mark.parametrize("code", STATES)
def test_a_state_has_the_figures_of_the_table(code: str) -> None:
    event, individuals, bound, authority, agencies, is_tested = STATES[code]
    found = rule(f"OB-US-{code}")
    assert (found.clock.limit.event, figure(found)) == (event, individuals)
    assert (found.row.legal_test is not None) == is_tested
    assert found.row.confidence == "H"
    assert found.threshold is None
    if bound is not None:
        told = rule(f"OB-US-{code}-AG")
        assert (told.threshold.words() if told.threshold else "any") == bound
        if authority in ("before", "with"):
            assert (told.row.order, told.row.order_of) == (authority, (f"OB-US-{code}",))
            assert figure(told) in (None, individuals)  # no later than the individuals hear of it
        elif authority is not None and authority.endswith("after individuals"):
            assert f"{figure(told)} after individuals" == authority
            assert told.clock.limit.submission_of == f"OB-US-{code}"
        else:
            assert figure(told) == authority
    if agencies is not None:
        told = rule(f"OB-US-{code}-CRA")
        assert (told.threshold.words() if told.threshold else "any") == agencies
        assert told.row.confidence == "M"


@pytest.mark.parametrize("code", MAINTAINERS)
def test_who_maintains_data_tells_its_owner(code: str) -> None:
    found = rule(f"OB-US-{code}-MAINT")
    assert ("at once" if found.clock.at_once else figure(found)) == MAINTAINERS[code]
    assert (found.row.toward, found.row.per, found.row.confidence) == ("client", "client", "M")


@pytest.mark.parametrize("code", STATES)
def test_a_state_lists_its_elements_and_leaves_the_special_ones_to_counsel(code: str) -> None:
    elements = rule(f"OB-US-{code}").row.elements
    assert elements is not None
    expected = EVERYWHERE | {name for name, codes in LISTED.items() if code in codes}
    assert set(elements.triggering) == expected
    personal = severity_rules().personal_data | {"credentials_user"}
    assert set(elements.needs_legal) == personal - expected - {"contact_data"}
    assert set(elements.needs_legal) <= DATA_TYPES


def test_hipaa_entities_tell_two_states_five_business_days_after_hhs() -> None:
    for code in ("IL", "NY"):
        limit = rule(f"OB-US-{code}-AG-HIPAA").clock.limit
        assert (limit.event, limit.business_days, limit.submission_of) == ("hhs_notified_at", 5, "OB-HIPAA-HHS-500")


def test_an_ai_act_rule_knows_its_dates_and_an_unfinished_law_does_not_run() -> None:
    for rule_id in ("OB-AIA-15", "OB-AIA-2", "OB-AIA-10", "OB-AIA-DEP"):
        dates = [since.isoformat() for _, since in rule(rule_id).effective]
        assert dates == ["2027-12-02", "2028-08-02"]
        assert rule(rule_id).row.before_effective == "needs_legal"
    assert {one.id for one in catalogue().rules if one.row.status == "pending"} == {"OB-CIRCIA", "OB-CIRCIA-PAY"}
    assert {one.id for one in catalogue().rules if one.row.status == "advisory"} == ADVISORY


def test_an_illinois_notice_never_counts_its_residents() -> None:
    assert any("never the number" in text for text in rule("OB-US-IL").row.content_requirements)


def test_the_words_of_a_profile_that_rules_look_at_are_listed() -> None:
    texts = [text for one in catalogue().rules for text in (one.row.applies or "", one.row.asks or "", one.row.trigger)]
    used = {part.split('"')[-2] for text in texts for part in text.split(" in ")[:-1] if part.endswith('"')}
    assert used - {"materiality_determined_at", "classified_at", "payment_made_at"} <= set(catalogue().sectors)
    assert used
