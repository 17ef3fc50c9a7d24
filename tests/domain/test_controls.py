"""The criteria: all 33, our own titles, and the ones the source playbook cites."""

import re

from domain.controls import cited, controls, controls_meeting
from domain.playbooks import catalogue

CITED = {"CC1.4", "CC2.2", "CC2.3", "CC4.2", "CC6.7", "CC6.8", "CC7.3", "CC7.4", "CC8.1", "CC9.2"}
ADDED = {"CC7.2", "CC7.5"}
COUNTS = {"CC1": 5, "CC2": 3, "CC3": 4, "CC4": 2, "CC5": 3, "CC6": 8, "CC7": 5, "CC8": 1, "CC9": 2}


def test_all_common_criteria_are_there() -> None:
    found = [f"{family}.{n}" for family, count in COUNTS.items() for n in range(1, count + 1)]
    assert list(controls()) == found
    assert len(found) == 33


def test_marks_say_what_the_source_cites_and_what_we_added() -> None:
    assert cited() == CITED
    assert {c.id for c in controls().values() if c.mark == "added"} == ADDED


def test_the_first_five_families_follow_the_seventeen_coso_principles() -> None:
    principles = [c.coso for c in controls().values() if c.id < "CC6"]
    assert sorted(p for p in principles if p is not None) == list(range(1, 18))
    assert controls()["CC2.1"].coso == 13
    assert controls()["CC3.1"].coso == 6
    assert all(c.coso is None for c in controls().values() if c.id >= "CC6")


def test_every_cited_or_added_criterion_has_questions_and_a_full_crosswalk() -> None:
    for control in controls().values():
        told = control.audit is not None
        assert told is (control.id in CITED | ADDED), control.id
        assert set(control.crosswalk) == (
            {"iso_27001_2022", "iso_42001_2023", "nist_csf_2_0", "nist_ai_rmf", "hipaa", "gdpr"} if told else set()
        )
        assert all(control.crosswalk.values()), control.id


def test_references_have_the_form_of_their_framework() -> None:
    forms = {
        "iso_27001_2022": r"A\.[5-8]\.\d{1,2}|clause 10\.2",
        "iso_42001_2023": r"(A\.)?\d{1,2}(\.\d){1,2}",
        "nist_csf_2_0": r"(GV|ID|PR|DE|RS|RC)\.[A-Z]{2}-\d{2}",
        "nist_ai_rmf": r"(GOVERN|MAP|MEASURE|MANAGE) \d\.\d{1,2}",
        "hipaa": r"164\.\d{3}(\([A-Za-z0-9]+\))*(–\(ii\))?",
        "gdpr": r"\d{1,2}(\(\d\)(\([a-z]\))?)?",
    }
    for control in controls().values():
        for framework, references in control.crosswalk.items():
            for reference in references:
                assert re.fullmatch(forms[framework], reference), (control.id, reference)


def test_the_crosswalk_can_be_read_backwards() -> None:
    assert controls_meeting("iso_27001_2022", "A.5.25") == ["CC7.3"]
    assert controls_meeting("iso_27001_2022", "A.5.20") == ["CC2.3", "CC9.2"]
    assert controls_meeting("nist_csf_2_0", "ZZ.ZZ-99") == []


def test_playbooks_cite_criteria_that_exist() -> None:
    for playbook in catalogue().list():
        for step in playbook.steps:
            assert set(step.controls) | set(step.controls_suggested) <= set(controls())
