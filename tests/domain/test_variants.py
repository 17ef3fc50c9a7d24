"""A variant inherits every step, action and gate of its base, then inserts and adds; a faulty file is refused."""

from copy import deepcopy
from typing import Any

import pytest

from domain.playbooks import FaultyPlaybook, Playbook, load
from domain.shipped import shipped


def variant(**overlay: Any) -> dict[str, Any]:
    return {
        "slug": "source-code-exposure",
        "version": "1.0.0",
        "prefix": "SC",
        "title": "Source Code Given to a Public Chatbot",
        "description": "Source code went to an AI service that has not been approved.",
        "extends": "data-leakage",
        "sources": [{"mark": "A", "title": "a scenario that the article names"}],
        "primary_risk": "AR-005",
        "risks": ["AR-005", "AR-001"],
        "severity_floor": "SEV3",
        "standards": ["OWASP LLM02:2025"],
        "insert_steps": [
            {
                "id": "SC.1",
                "order": 1,
                "phase": "contain",
                "title": "Revoke what the code reveals",
                "summary": "Keys first.",
                "owner_roles": ["it_security"],
                "sla": {"kind": "immediate"},
                "controls": ["CC6.8"],
                "source": "X",
                "actions": [
                    {"id": "SC.1.1", "text": "Revoke keys", "type": "task", "source": "X", "fills": ["D06"]},
                ],
            }
        ],
        "add_actions": [
            {
                "into": "DL.1",
                "before": "DL.1.4",
                "id": "SC.1.3",
                "text": "Scan the submitted text for secrets",
                "type": "task",
                "source": "X",
                "fills": ["D04", "D06"],
            },
            {
                "into": "DL.5",
                "id": "SC.5.2",
                "text": "Write down why it happened",
                "type": "record",
                "source": "X",
                "fills": ["D08"],
                "inputs": [{"name": "root_cause", "title": "Why?", "document": "D08"}],
            },
        ],
        "add_roles": {"DL.1": ["it_security", "reporting_staff"]},
        "add_roles_if": {"DL.2": {"legal_counsel": "regulated_statement"}},
        "add_controls": {"DL.4": ["CC6.1", "CC8.1"]},
        "add_gates": [
            {
                "id": "G-SC-1",
                "text": "DL.1 cannot complete before SC.1.3 has a result.",
                "message": "Scan the submitted text first.",
                "when": [{"operation": "step.complete", "step": "DL.1"}],
                "unless": 'actions["SC.1.3"].done',
                "names": {"actions": ["SC.1.3"]},
                "source": "X",
            }
        ],
        **overlay,
    }


def resolved(data: dict[str, Any], **more: dict[str, Any]) -> Playbook:
    files = {"base": shipped("playbooks/data-leakage.yaml"), "made": data, **more}
    found = load(files, shipped("common_actions.yaml"), shipped("gates.yaml")).get(data["slug"])
    assert found is not None
    return found


BASE = load(
    {"base": shipped("playbooks/data-leakage.yaml")}, shipped("common_actions.yaml"), shipped("gates.yaml")
).list()[0]
MADE = resolved(variant())


def test_steps_keep_their_order_and_inserted_ones_come_first() -> None:
    assert [s.id for s in MADE.steps] == ["SC.1", "DL.1", "DL.2", "DL.3", "DL.4", "DL.5"]
    assert [s.position for s in MADE.steps] == [1, 2, 3, 4, 5, 6]
    assert (MADE.steps[0].sla.kind, MADE.steps[0].sla.value) == ("immediate", None)


def test_nothing_of_the_base_is_lost() -> None:
    for action in BASE.actions.values():
        if action.id.startswith("DL."):
            mine = MADE.actions[action.id]
            assert (mine.text, mine.source, mine.required_if, mine.inputs) == (
                action.text,
                action.source,
                action.required_if,
                action.inputs,
            )
    assert {g.id for g in BASE.gates} <= {g.id for g in MADE.gates}
    assert all(MADE.step(s.id).sla == s.sla for s in BASE.steps)


def test_added_actions_stand_where_they_were_asked_for() -> None:
    ids = [a.id for a in MADE.step("DL.1").actions]
    assert ids[2:5] == ["DL.1.3", "SC.1.3", "DL.1.4"]
    assert [a.position for a in MADE.step("DL.1").actions] == list(range(1, len(ids) + 1))


def test_roles_and_controls_are_added_behind_the_inherited_ones() -> None:
    assert MADE.step("DL.1").owner_roles == ("reporting_staff", "it_security")
    assert MADE.step("DL.2").owner_roles_if == {"legal_counsel": "regulated_statement"}
    assert MADE.step("DL.4").controls == ("CC6.1", "CC8.1")
    assert BASE.step("DL.4").controls == ()


def test_common_actions_follow_the_resolved_steps() -> None:
    assert [a.id for a in MADE.step("SC.1").actions] == ["SC.1.1", "CO.1"]
    assert MADE.satisfied == {"CO.2": "DL.1.3", "CO.3": "SC.5.2"}
    moved = resolved(variant(common_in={"CO.1": "DL.1"}))
    assert moved.actions["CO.1"].step_id == "DL.1"


def test_added_gates_speak_beside_the_inherited_ones() -> None:
    asked = {"kind": "step.complete", "step": "DL.1"}
    assert [g.id for g in MADE.gates_on(asked)] == ["G-DL-2", "G-SC-1"]
    assert "SC.1.3" in MADE.unskippable
    assert "SC.1.3" not in BASE.unskippable


def test_an_inserted_first_step_decides_who_may_declare() -> None:
    assert BASE.first_step_open_to_all
    assert not MADE.first_step_open_to_all


def test_the_hash_tells_variants_and_their_changes_apart() -> None:
    changed = variant()
    changed["add_actions"][0]["text"] = "Scan it twice"
    assert len({BASE.hash, MADE.hash, resolved(changed).hash}) == 3
    assert resolved(variant()).hash == MADE.hash


def test_the_newest_version_is_the_default_one() -> None:
    base = shipped("playbooks/data-leakage.yaml")
    newer, newest = deepcopy(base), deepcopy(base)
    newer["version"], newest["version"] = "1.9.0", "1.10.0"
    found = load({"a": base, "b": newest, "c": newer}, shipped("common_actions.yaml"), shipped("gates.yaml"))
    assert [p.version for p in found.list()] == ["1.0.0", "1.9.0", "1.10.0"]
    latest, first = found.get("data-leakage"), found.get("data-leakage", "1.0.0")
    assert latest is not None
    assert first is not None
    assert (latest.version, first.hash) == ("1.10.0", BASE.hash)


def test_a_variant_can_pin_the_version_of_its_base() -> None:
    newer = deepcopy(shipped("playbooks/data-leakage.yaml"))
    newer["version"], newer["steps"][0]["title"] = "1.1.0", "Contain at once"
    assert resolved(variant(), newer=newer).step("DL.1").title == "Contain at once"
    assert resolved(variant(extends_version="1.0.0"), newer=newer).hash == MADE.hash


def own(**changed: Any) -> dict[str, Any]:
    return {**deepcopy(shipped("playbooks/data-leakage.yaml")), "slug": "another", **changed}


def with_action(**changed: Any) -> dict[str, Any]:
    data = own()
    data["steps"][0]["actions"][0].update(changed)
    return data


def with_gate(**changed: Any) -> dict[str, Any]:
    data = own()
    data["gates"][0].update(changed)
    return data


FAULTY = {
    "an unknown base": variant(extends="nothing"),
    "an unknown version of its base": variant(extends_version="7.0.0"),
    "the same version twice": {**own(slug="data-leakage")},
    "an overlay on an unknown step": variant(add_roles={"DL.9": ["hr"]}),
    "an unknown place": variant(add_actions=[{**variant()["add_actions"][0], "before": "DL.2.1"}]),
    "an id used twice": variant(add_actions=[{**variant()["add_actions"][0], "id": "DL.1.4"}]),
    "a restated step": variant(steps=own()["steps"]),
    "no steps": own(steps=[]),
    "an overlay without a base": own(add_roles={"DL.1": ["hr"]}),
    "an unknown member": own(colour="red"),
    "a common action in no step": own(common_in={"CO.1": "DL.9"}),
    "an unknown role": own(steps=[{**own()["steps"][0], "owner_roles": ["boss"]}]),
    "an unknown item": with_action(fills=["D13"]),
    "an unknown type": with_action(type="wish"),
    "outcomes of a task": with_action(outcomes=["yes"]),
    "a decision without outcomes": with_action(type="decision"),
    "a record without inputs": with_action(type="record"),
    "an unknown fact": with_action(inputs=[{"name": "moon", "title": "?", "fact": "moon", "schema": {}}]),
    "a derived item": with_action(inputs=[{"name": "done", "title": "?", "document": "D06"}]),
    "an input without a schema": with_action(inputs=[{"name": "note", "title": "?"}]),
    "a condition that does not parse": with_action(required_if="credentials_exposed &&"),
    "a condition over an unknown name": with_action(required_if="moon_is_full"),
    "a condition over an unknown action": with_action(required_if='actions["DL.7.7"].done'),
    "a gate over an unknown step": with_gate(unless='steps["DL.8"].completed'),
    "a gate that listens to an unknown operation": with_gate(when=[{"operation": "incident.dance"}]),
    "a gate that names an unknown action": with_gate(names={"actions": ["DL.9.9"]}),
    "a gate that nobody decides": with_gate(when=[], unless=None),
    "a gate that two decide": with_gate(enforced_by="segregation"),
    "kinds of messages for a task": with_action(kinds=["vendor"]),
    "leave to send a message inside early": with_action(
        type="notify_internal", ahead_of_approval={"reason": "in_a_hurry", "roles": ["risk_owner"]}
    ),
    "raising a fact that no input writes": with_action(raises=["credentials_exposed"]),
    "evidence shared by a task": with_action(evidence_of=["DL.1.2"]),
    "evidence of an unknown action": with_action(type="evidence", evidence_of=["DL.9.9"]),
    "a duration for an immediate step": own(
        steps=[{**own()["steps"][0], "sla": {"kind": "immediate", "value": "PT1H"}}]
    ),
}


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in FAULTY.items()])
def test_a_faulty_file_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(FaultyPlaybook):
        resolved(data)
