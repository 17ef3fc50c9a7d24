"""The catalogue holds all that the specification of the playbooks demands, line by line; no gate is silently absent."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from domain.playbooks import Playbook, catalogue, general_gates
from domain.shipped import shipped

TESTS = Path(__file__).parents[1]
EXPECTED: dict[str, dict[str, Any]] = yaml.safe_load((TESTS / "expected_playbooks.yaml").read_text())
SOURCE = ("data-leakage", "bad-output", "shadow-ai", "ai-phishing")
VARIANTS = [slug for slug, expected in EXPECTED.items() if "extends" in expected]
CONTROLS = ["CC1.4", "CC2.2", "CC2.3", "CC4.2", "CC6.7", "CC6.8", "CC7.3", "CC7.4", "CC8.1", "CC9.2"]
WITHOUT_CONTROL = ["DL.1", "DL.4", "BO.1", "BO.2", "SA.1", "SA.4", "PH.1"]
SCENARIOS = {
    "sensitive data entered into a public AI tool": "data-leakage",
    "faulty AI output reached a client": "bad-output",
    "AI tool in use without approval": "shadow-ai",
    "AI-enhanced phishing": "ai-phishing",
    "customer or otherwise confidential data given to an AI platform nobody approved": "data-leakage",
    "personal data handled by a tool without authorisation": "data-leakage",
    "source code given to a public chatbot": "source-code-exposure",
    "AI vendor breach or data exposure": "ai-vendor-breach",
    "prompt injection of an automated workflow": "prompt-injection",
    "unauthorised AI browser extension": "ai-browser-extension",
    "AI misinformation in communication with customers": "ai-misinformation",
    "AI without approval in HR or legal work": "high-impact-ai-use",
    "harmful business decision built on AI content": "high-impact-ai-use",
    "anything else": "generic-ai-incident",
}
"""Every scenario that the sources name, and the playbook that runs it."""
REGISTER = {
    "AR-001": ["data-leakage", "source-code-exposure"],
    "AR-002": ["shadow-ai", "ai-browser-extension", "high-impact-ai-use"],
    "AR-003": ["bad-output", "ai-misinformation"],
    "AR-004": ["ai-phishing"],
    "AR-005": ["source-code-exposure"],
    "AR-006": ["ai-vendor-breach"],
    "AR-007": ["prompt-injection"],
    "AR-008": ["ai-browser-extension"],
    "AR-009": ["ai-misinformation"],
    "AR-010": ["high-impact-ai-use"],
}


def playbook(slug: str) -> Playbook:
    found = catalogue().get(slug)
    assert found is not None, slug
    return found


def own(book: Playbook) -> list[Any]:
    """The actions of its own prefix; for a variant those that it adds."""
    return [a for a in book.actions.values() if a.id.startswith(f"{book.prefix}.")]


def test_the_catalogue_has_the_eleven_playbooks_of_the_scenarios() -> None:
    assert set(catalogue().slugs()) == {*EXPECTED, "generic-ai-incident"} == set(SCENARIOS.values())
    assert len(catalogue().slugs()) == 11
    assert [slug for slug in EXPECTED if playbook(slug).extends] == VARIANTS


def test_the_source_has_seventeen_steps_and_sixty_six_actions() -> None:
    books = [playbook(slug) for slug in SOURCE]
    assert [len(book.steps) for book in books] == [5, 4, 4, 4]
    assert {step.source for book in books for step in book.steps} == {"S"}
    marks = [Counter(action.source for action in own(book)) for book in books]
    assert [count["S"] for count in marks] == [22, 13, 15, 16]
    assert sum(count["S"] for count in marks) == 66


def test_the_source_cites_ten_controls_and_leaves_seven_steps_without_one() -> None:
    steps = [step for slug in SOURCE for step in playbook(slug).steps]
    assert sorted({control for step in steps for control in step.controls}) == CONTROLS
    assert [step.id for step in steps if not step.controls] == WITHOUT_CONTROL


def test_every_entry_of_the_register_is_fed_by_its_playbooks() -> None:
    feeding = {ref: [slug for slug in EXPECTED if ref in playbook(slug).risks] for ref in REGISTER}
    assert feeding == REGISTER
    assert playbook("generic-ai-incident").primary_risk is None


@pytest.mark.parametrize("slug", list(EXPECTED))
def test_every_step_is_there_with_its_phase_roles_time_controls_and_mark(slug: str) -> None:
    book, expected = playbook(slug), EXPECTED[slug].get("steps", {})
    found = {
        step.id: [
            step.phase,
            step.title,
            list(step.owner_roles),
            step.sla.value or step.sla.kind,
            list(step.controls),
            step.source,
        ]
        for step in book.steps
        if step.id.startswith(f"{book.prefix}.")
    }
    assert found == expected
    assert list(found) == list(expected)
    assert {step.sla.clock_start for step in book.steps} == {"discovered_at"}


@pytest.mark.parametrize("slug", list(EXPECTED))
def test_every_action_is_there_with_its_type_condition_mark_and_items(slug: str) -> None:
    found = {}
    for action in own(playbook(slug)):
        found[action.id] = [action.type, "if" if action.required_if else "always", action.source, list(action.fills)]
        if not action.step_id.startswith(action.id.split(".")[0]):
            found[action.id].append(action.step_id)
    assert found == EXPECTED[slug]["actions"]


@pytest.mark.parametrize("slug", list(EXPECTED))
def test_closed_lists_of_outcomes_are_those_prescribed(slug: str) -> None:
    book, prescribed = playbook(slug), EXPECTED[slug].get("outcomes", {})
    assert {ref: list(book.actions[ref].outcomes) for ref in prescribed} == prescribed


@pytest.mark.parametrize("slug", list(EXPECTED))
def test_title_risks_and_floor(slug: str) -> None:
    book, expected = playbook(slug), EXPECTED[slug]
    assert book.title == expected.get("title", book.title)
    assert (book.primary_risk, list(book.risks), book.severity_floor) == (
        expected["risks"][0],
        expected["risks"],
        expected["severity_floor"],
    )


@pytest.mark.parametrize("slug", VARIANTS)
def test_a_variant_has_all_of_its_base_and_says_what_it_added(slug: str) -> None:
    book, expected = playbook(slug), EXPECTED[slug]
    base = playbook(expected["extends"])
    assert (book.extends, book.extends_version) == (base.slug, base.version)
    assert {a.id for a in base.actions.values()} | set(expected["actions"]) == set(book.actions)
    assert {gate.id for gate in base.gates} | set(expected["gates"]) == {gate.id for gate in book.gates}
    for step in base.steps:
        mine = book.step(step.id)
        assert (mine.sla, mine.phase, mine.title, mine.source) == (step.sla, step.phase, step.title, step.source)
        assert set(mine.owner_roles) - set(step.owner_roles) == set(expected.get("roles", {}).get(step.id, ()))
        assert set(mine.controls) - set(step.controls) == set(expected.get("controls", {}).get(step.id, ()))
        assert mine.owner_roles_if == expected.get("roles_if", {}).get(step.id, {})
    added = book.added
    assert added is not None
    assert (set(added.actions), set(added.gates)) == (set(expected["actions"]), set(expected["gates"]))
    assert added.steps == tuple(expected.get("steps", ()))
    assert {step: list(roles) for step, roles in added.roles.items()} == expected.get("roles", {})
    assert {step: list(controls) for step, controls in added.controls.items()} == expected.get("controls", {})


@pytest.mark.parametrize("slug", list(EXPECTED))
def test_every_x_says_on_what_it_rests_and_every_playbook_where_it_comes_from(slug: str) -> None:
    book = playbook(slug)
    assert [a.id for a in own(book) if a.source == "X" and not a.basis] == []
    assert book.sources
    assert book.standards


PROVED = {
    "G-ALL-8": ("api/test_shadow_ai.py", "test_human_resources_join_by_the_risk_owner_alone"),
    "G-PH-4": ("api/test_ai_phishing.py", "test_it_runs_from_the_report_to_two_signatures"),
    "G-PI-3": ("domain/test_prompt_injection.py", "test_the_workflow_stays_suspended_until_it_is_decided"),
}
"""Gates that refuse under another name, or that hold a state: the test that proves each."""
NOT_ENFORCED = {gate["id"]: gate["reason"] for gate in shipped("gates.yaml").get("not_enforced", ())}
GATES = sorted({gate for expected in EXPECTED.values() for gate in expected["gates"]} | set(general_gates()))


@pytest.mark.parametrize("gate_id", GATES)
def test_a_gate_is_enforced_and_tested_or_listed_with_the_reason(gate_id: str) -> None:
    books = [book for book in catalogue().list() if book.gate(gate_id) is not None]
    if gate_id in NOT_ENFORCED:
        assert not books
        assert len(NOT_ENFORCED[gate_id]) >= 20
        return
    assert books
    gate = books[0].gate(gate_id)
    assert gate is not None
    assert (gate.unless is None) != (gate.enforced_by is None)
    file, name = PROVED.get(gate_id, (None, None))
    tests = [TESTS / file] if file else [path for path in TESTS.rglob("test_*.py") if path != Path(__file__)]
    signs = [f"def {name}("] if name else [f'"{gate_id}"', f"def test_{gate_id.lower().replace('-', '_')}_"]
    assert any(sign in path.read_text() for path in tests for sign in signs), "no test names it"


def test_no_gate_of_the_catalogue_is_unknown_to_the_specification() -> None:
    known = {gate for expected in EXPECTED.values() for gate in expected["gates"]} | set(general_gates())
    generic = {"G-GE-1", "G-GE-2", "G-GE-3"}
    assert {gate.id for book in catalogue().list() for gate in book.gates} <= known | generic
