"""Source code exposure: data leakage with secrets, ownership and licences; nothing of the base is lost."""

from __future__ import annotations

from typing import Any

import pytest

from domain.playbooks import Playbook
from domain.refusals import GateRefused, Invalid
from domain.severity import severity
from tests.domain import engine
from tests.domain.engine import ADA, BEN, WHY, Story, contain, declared

ADDED = {
    "SC.1.1": ("DL.1", "record", None, "D04"),
    "SC.1.2": ("DL.1", "decision", None, "D05"),
    "SC.1.3": ("DL.1", "task", None, "D04 D06"),
    "SC.2.1": ("DL.2", "record", None, "D03 D06"),
    "SC.2.2": ("DL.2", "notify_internal", None, "D07"),
    "SC.3.1": ("DL.3", "decision", 'actions["SC.1.2"].outcome in ["client", "third_party", "mixed"]', "D07"),
    "SC.3.2": ("DL.3", "decision", None, "D04 D08"),
    "SC.4.1": ("DL.4", "task", "vulnerability_disclosed", "D09"),
    "SC.4.2": ("DL.4", "task", None, "D10"),
    "SC.5.1": ("DL.5", "decision", None, "D12"),
}


def book() -> Playbook:
    return engine.playbook("source-code-exposure")


def test_it_adds_its_actions_and_keeps_those_of_data_leakage() -> None:
    own = [a for a in book().actions.values() if a.id.startswith("SC.")]
    assert {a.id: (a.step_id, a.type, a.required_if, " ".join(a.fills)) for a in own} == ADDED
    assert {a.source for a in own} == {"X"}
    assert all(a.basis for a in own)
    base = engine.playbook("data-leakage")
    for action in base.actions.values():
        assert (book().actions[action.id].text, book().actions[action.id].inputs) == (action.text, action.inputs)
    assert [s.sla for s in book().steps] == [s.sla for s in base.steps]
    assert {g.id for g in book().gates} - {g.id for g in base.gates} == {"G-SC-1"}


def test_it_adds_roles_and_controls_where_its_table_says() -> None:
    base = engine.playbook("data-leakage")
    roles = {s.id: s.owner_roles[len(b.owner_roles) :] for s, b in zip(book().steps, base.steps, strict=True)}
    controls = {s.id: s.controls[len(b.controls) :] for s, b in zip(book().steps, base.steps, strict=True)}
    assert {k: v for k, v in roles.items() if v} == {"DL.1": ("it_security",), "DL.2": ("business_owner",)}
    added = {"DL.1": ("CC6.1",), "DL.4": ("CC6.1", "CC8.1"), "DL.5": ("CC5.2",)}
    assert {k: v for k, v in controls.items() if v} == added
    assert (book().primary_risk, book().risks) == ("AR-005", ("AR-005", "AR-001"))


def exposed(**facts: Any) -> Story:
    return declared(slug="source-code-exposure", facts=facts)


def scan(story: Story, found: bool) -> None:
    story.act(BEN, "SC.1.3", inputs={"secrets_found": found})


def describe(story: Story, owner: str = "own") -> None:
    code = {"repository": "billing", "files": ["main.py"], "lines": 120}
    story.act(BEN, "SC.1.1", inputs=code)
    story.act(BEN, "SC.1.2", outcome=owner, inputs={"owner": "The repository's licence file says so."})


def test_the_first_step_waits_for_the_scan() -> None:
    story = exposed()
    describe(story)
    with pytest.raises(GateRefused) as refused:
        contain(story)
    assert (refused.value.gate, [m.ref for m in refused.value.missing]) == ("G-SC-1", ["SC.1.3"])
    with pytest.raises(GateRefused):
        story.act(ADA, "SC.1.3", "skip", reason=WHY)
    with pytest.raises(Invalid):
        story.act(BEN, "SC.1.3")  # a scan without a result is no scan
    scan(story, False)
    assert story.finish(BEN, "DL.1").status == "completed"


def test_a_hit_makes_the_rotation_required() -> None:
    story = exposed()
    scan(story, True)
    assert story.incident.facts["credentials_exposed"]["value"] is True
    assert story.action("DL.1.6").requirement == "required"


def test_a_scan_that_finds_nothing_takes_back_no_password_that_somebody_named() -> None:
    story = exposed(credentials_exposed=True)
    scan(story, False)
    assert story.incident.facts["credentials_exposed"]["value"] is True
    assert story.action("SC.1.3").values == {"secrets_found": False}
    fresh = exposed()
    scan(fresh, False)
    assert fresh.incident.facts["credentials_exposed"]["value"] is False


@pytest.mark.parametrize(
    ("owner", "requirement"),
    [("own", "not_applicable"), ("client", "required"), ("third_party", "required"), ("mixed", "required")],
)
def test_the_clauses_are_read_where_the_code_is_not_ours_alone(owner: str, requirement: str) -> None:
    story = exposed()
    assert story.action("SC.3.1").requirement == "not_applicable"
    describe(story, owner)
    assert story.action("SC.3.1").requirement == requirement


@pytest.mark.parametrize(("reveals", "requirement"), [(True, "required"), (False, "not_applicable")])
def test_a_weakness_that_the_code_reveals_is_fixed(reveals: bool, requirement: str) -> None:
    story = exposed()
    assert story.action("SC.4.1").requirement == "pending_fact"
    inputs = {
        "rationale": "Read by the author.",
        "trade_secret": "no",
        "export_control": "no",
        "vulnerability_disclosed": reveals,
    }
    story.act(ADA, "SC.3.2", outcome="exposed", inputs=inputs)
    assert story.action("SC.4.1").requirement == requirement


def test_a_shared_link_is_public_and_unknown_counts_as_uncontrolled() -> None:
    facts = {"data_types": ["source_code_client"]}
    assert severity(facts, playbook="source-code-exposure").E == 2
    story = exposed()
    link = {"account_type": "consumer", "training_setting": "on", "shared_link": "deleted", "exposure": "public"}
    story.act(BEN, "SC.2.1", inputs=link)
    story.write("D04", {"entries": [{"data_type": "source_code_client", "count_precision": "exact"}]})
    assert (story.incident.severity, story.incident.severity_basis["E"]) == ("SEV2", 3)
