"""The shipped playbooks: what the sources demand is there, and it can be worked with."""

from collections import Counter
from typing import Any

import jsonschema_rs
import pytest

from domain.expressions import Scope, compile_expression
from domain.facts import FACTS, check_fact
from domain.items import documentation_items
from domain.playbooks import Playbook, catalogue, gate_rule, playbook_of, suggest


def playbook(slug: str = "data-leakage") -> Playbook:
    found = catalogue().get(slug)
    assert found is not None
    return found


EVERY = [pytest.param(p, id=p.slug) for p in catalogue().list()]

STEPS = {
    "DL.1": ("immediate", "Contain and identify", ("reporting_staff",), "PT15M", ()),
    "DL.2": ("escalate", "Inform risk management and IT security", ("it_security", "risk_owner"), "PT1H", ("CC7.3",)),
    "DL.3": ("assess", "Determine the notification obligation", ("risk_owner", "legal_counsel"), "PT4H", ("CC2.3",)),
    "DL.4": ("remediate", "Request deletion and notify if required", ("it_security", "risk_owner"), "PT24H", ()),
    "DL.5": ("post_incident", "Review; stop it happening again", ("risk_owner",), "P14D", ("CC7.4", "CC4.2")),
}


def test_data_leakage_has_the_steps_of_its_source() -> None:
    found = {s.id: (s.phase, s.title, s.owner_roles, s.sla.value, s.controls) for s in playbook().steps}
    assert found == STEPS
    assert {s.sla.kind for s in playbook().steps} == {"duration"}
    assert {s.sla.clock_start for s in playbook().steps} == {"discovered_at"}
    assert [s.position for s in playbook().steps] == [1, 2, 3, 4, 5]


ACTIONS = {
    "DL.1.1": ("task", "S", "D06"),
    "DL.1.2": ("evidence", "S", "D06"),
    "DL.1.3": ("record", "S", "D03"),
    "DL.1.4": ("record", "S", "D04"),
    "DL.1.5": ("record", "S", "D05"),
    "DL.1.6": ("task", "S", "D06 D09"),
    "DL.2.1": ("notify_internal", "S", "D07"),
    "DL.2.2": ("record", "S", "D06"),
    "DL.2.3": ("record", "S", "D06"),
    "DL.2.4": ("prohibition", "S", ""),
    "DL.3.1": ("decision", "S", "D07"),
    "DL.3.2": ("decision", "S", "D07"),
    "DL.3.3": ("decision", "S", "D07"),
    "DL.3.4": ("task", "S", "D06 D07"),
    "DL.3.5": ("record", "A", "D04 D08"),
    "DL.3.6": ("decision", "X", "D07"),
    "DL.4.1": ("task", "S", "D06 D09"),
    "DL.4.2": ("notify_external", "S", "D07"),
    "DL.4.3": ("task", "S", "D10"),
    "DL.4.4": ("task", "S", "D01 D02 D03 D04 D05 D06 D07 D08 D09"),
    "DL.4.5": ("record", "X", "D09 D12"),
    "DL.5.1": ("notify_internal", "S", "D06"),
    "DL.5.2": ("decision", "S", "D12"),
    "DL.5.3": ("task", "S", "D09"),
    "DL.5.4": ("task", "S", "D08 D09 D11"),
}


def test_data_leakage_has_the_actions_of_its_source_with_their_marks() -> None:
    own = [a for a in playbook().actions.values() if a.id.startswith("DL.")]
    assert {a.id: (a.type, a.source, " ".join(a.fills)) for a in own} == ACTIONS
    assert [a.id for a in own] == list(ACTIONS)
    assert Counter(a.source for a in own) == {"S": 22, "A": 1, "X": 2}
    assert all(a.basis for a in own if a.source == "X")


def test_only_the_conditional_actions_have_a_condition() -> None:
    conditional = {a.id for a in playbook().actions.values() if a.required_if}
    assert conditional == {"DL.1.6", "DL.3.1", "DL.3.2", "DL.3.3", "DL.3.4", "DL.4.2", "DL.5.3"}


def test_the_fields_of_data_leakage() -> None:
    it = playbook()
    assert (it.title, it.prefix, it.version) == ("Sensitive Data Entered into a Public AI Tool", "DL", "1.0.0")
    assert (it.primary_risk, it.severity_floor, it.sources[0]["mark"]) == ("AR-001", "SEV3", "S")
    assert it.first_step_open_to_all
    assert (it.last_step.id, it.post_incident_step.id) == ("DL.5", "DL.5")


# fmt: off
GENERIC = ["1.1", "1.2", "1.4", "1.5", "1.6", "2.1", "2.4", "3.1", "3.2", "3.3", "3.4", "3.6", "4.2", "4.4", "5.1",
           "5.3", "5.4"]
# fmt: on


def test_the_generic_playbook_follows_data_leakage_without_its_tool_specific_actions() -> None:
    generic, model = playbook("generic-ai-incident"), playbook()
    own = {a.id: a for a in generic.actions.values() if a.id.startswith("GE.")}
    assert list(own) == [f"GE.{number}" for number in GENERIC]
    for number in GENERIC:
        mine, its = own[f"GE.{number}"], model.actions[f"DL.{number}"]
        assert (mine.text, mine.type, mine.fills, mine.outcomes) == (its.text, its.type, its.fills, its.outcomes)
        assert (mine.inputs, mine.closing, mine.fulfilled_by) == (its.inputs, its.closing, its.fulfilled_by)
        assert (mine.required_if or "").replace("GE.", "DL.") == (its.required_if or "")
        assert mine.same_as == its.id
    for mine, its in zip(generic.steps, model.steps, strict=True):
        assert (mine.phase, mine.owner_roles, mine.sla, mine.controls) == (
            its.phase,
            its.owner_roles,
            its.sla,
            its.controls,
        )
    assert generic.primary_risk is None
    assert [g.id for g in generic.gates if g.id.startswith("G-GE")] == ["G-GE-1", "G-GE-2", "G-GE-3"]


def test_common_actions_are_attached_where_nothing_else_does_their_work() -> None:
    where = {a.id: a.step_id for a in playbook().actions.values() if a.id.startswith("CO.")}
    last = dict.fromkeys(["CO.3", "CO.4", "CO.5", "CO.6", "CO.7"], "DL.5")
    assert where == {"CO.1": "DL.1", **last}
    assert playbook().satisfied == {"CO.2": "DL.1.3"}
    generic = playbook("generic-ai-incident")
    assert {a.id for a in generic.actions.values() if a.id.startswith("CO.")} == {f"CO.{n}" for n in range(1, 8)}
    assert generic.actions["CO.2"].step_id == "GE.1"


def test_closing_actions_are_fulfilled_by_the_sign_off_and_intake_never_blocks() -> None:
    actions = playbook().actions
    assert {a.id for a in actions.values() if a.closing} == {"CO.7", "DL.5.4"}
    assert all(a.fulfilled_by == ("D11",) and a.step_id == "DL.5" for a in actions.values() if a.closing)
    assert {a.id for a in actions.values() if not a.blocks_step} == {"CO.1"}
    assert actions["CO.1"].fulfilled_by == ("D01", "D02")
    assert {a.id for a in actions.values() if a.fulfilled_by} == {"CO.1", "CO.7", "DL.5.4"}


@pytest.mark.parametrize("book", EVERY)
def test_every_item_is_fed(book: Playbook) -> None:
    fed = {item for action in book.actions.values() for item in action.fills}
    derived = {item.id for item in documentation_items().values() if item.derived == "fully"}
    assert set(documentation_items()) <= fed | derived
    assert {i.document for a in book.actions.values() for i in a.inputs if i.document} >= {
        "D01", "D02", "D03", "D04", "D05", "D08", "D09", "D12",
    }  # fmt: skip


@pytest.mark.parametrize("book", EVERY)
def test_every_record_and_decision_declares_inputs_that_are_sound_schemas(book: Playbook) -> None:
    for action in book.actions.values():
        if action.type in ("record", "decision") and not action.closing and action.reviews is None:
            assert action.inputs, action.id
        assert bool(action.outcomes) == (action.type == "decision"), action.id
        for wanted in action.inputs:
            jsonschema_rs.meta.validate(wanted.schema)
            assert_bounded(wanted.schema, f"{action.id} {wanted.name}")
            if wanted.fact is not None:
                assert not FACTS[wanted.fact].derived
                one = {"count": 1, "instant": "2026-11-20T02:00:00Z"}.get(FACTS[wanted.fact].type, "unknown")
                for value in wanted.schema.get("enum", (one, "unknown")):
                    check_fact(wanted.fact, value)


def assert_bounded(schema: dict[str, Any], where: str) -> None:
    kinds = schema.get("type", ())
    if "string" in kinds:
        assert "maxLength" in schema, where
    if "array" in kinds:
        assert "maxItems" in schema, where
        assert_bounded(schema["items"], where)
    if "object" in kinds:
        assert "additionalProperties" in schema, where
        assert schema["additionalProperties"] is False or "maxProperties" in schema, where
        for name, part in schema.get("properties", {}).items():
            assert_bounded(part, f"{where}.{name}")
    if "integer" in kinds:
        assert "maximum" in schema, where
    for part in schema.get("anyOf", ()):
        assert_bounded(part, where)


GATES = {f"G-ALL-{n}" for n in range(1, 12)} | {"G-DL-1", "G-DL-2", "G-DL-3", "G-DL-4"}


def test_every_gate_is_there_and_only_three_can_be_overridden() -> None:
    gates = {gate.id: gate for gate in playbook().gates}
    assert set(gates) == GATES
    overridable = {gate.id: gate.override_role for gate in gates.values() if gate.override_role}
    assert overridable == {"G-ALL-1": "risk_owner", "G-ALL-4": "risk_owner", "G-ALL-11": "risk_owner"}
    assert gates["G-ALL-11"].override_rule == "C13"
    assert all((gate.unless is None) != (gate.enforced_by is None) for gate in gates.values())
    assert gates["G-DL-4"].approver_role == "risk_owner"


def test_actions_that_a_gate_without_override_names_cannot_be_skipped() -> None:
    named = {"DL.1.2", "DL.1.6", "DL.4.2"} | {f"DL.3.{n}" for n in range(1, 7)}
    assert playbook().unskippable == named


def event(kind: str, **parts: Any) -> dict[str, Any]:
    return {"kind": kind, "step": "", "action": "", "notification": {}, **parts}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (event("notification.send", notification={"kind": "client_notice", "action_id": "DL.4.2"}), ["G-DL-1"]),
        (event("notification.send", notification={"kind": "regulator"}), ["G-DL-1"]),
        (event("notification.send", notification={"kind": "correction"}), ["G-DL-1"]),
        (event("notification.send", notification={"kind": "internal"}), []),
        (event("notification.send", notification={"kind": "vendor"}), []),
        (event("notification.not_required", notification={"kind": "client_notice", "action_id": "DL.4.2"}), ["G-DL-4"]),
        (event("notification.not_required", notification={"kind": "internal", "action_id": "DL.2.1"}), []),
        (event("step.complete", step="DL.1"), ["G-DL-2"]),
        (event("step.complete", step="DL.3"), ["G-DL-3"]),
        (event("step.complete", step="DL.4"), []),
    ],
)
def test_gates_listen_to_their_operations(asked: dict[str, Any], expected: list[str]) -> None:
    assert [gate.id for gate in playbook().gates_on(asked)] == expected


def view(book: Playbook, *, facts: dict[str, Any] | None = None, **changed: Any) -> Scope:
    """What conditions see of an untouched incident, with some parts changed."""
    actions = {
        a.id: {"status": "pending", "outcome": "", "requirement": "required", "done": False, "approved_by": []}
        for a in book.actions.values()
    }
    for action_id, parts in changed.pop("actions", {}).items():
        actions[action_id].update(parts)
    steps = {s.id: {"status": "ready", "completed": False, "started": True, "required_done": False} for s in book.steps}
    for step_id, parts in changed.pop("steps", {}).items():
        steps[step_id].update(parts)
    parts = {"documents": {}, "notifications": [], "obligations": [], "evidence": {}, "event": {}, **changed}
    known = {**(facts or {}), **parts, "steps": steps, "actions": actions}
    return Scope(known, unknown=set(FACTS) - set(facts or {}))


def duty(toward: str = "client", outcome: str = "required", decision: str = "open") -> dict[str, str]:
    return {"rule": "OB-S-3", "toward": toward, "outcome": outcome, "decision": decision, "client_id": ""}


@pytest.mark.parametrize(
    ("action_id", "seen", "expected"),
    [
        ("DL.1.6", {}, None),
        ("DL.1.6", {"facts": {"credentials_exposed": True}}, True),
        ("DL.1.6", {"facts": {"credentials_exposed": False}}, False),
        ("DL.3.1", {}, None),
        ("DL.3.1", {"facts": {"personal_data": True}}, True),
        ("DL.3.2", {"facts": {"phi": False}}, False),
        ("DL.3.3", {}, None),
        ("DL.3.3", {"facts": {"clients_affected": []}}, False),
        ("DL.3.3", {"facts": {"clients_affected": ["a"]}}, True),
        ("DL.3.4", {}, False),
        ("DL.3.4", {"actions": {"DL.3.1": {"outcome": "applies"}}}, True),
        ("DL.3.4", {"actions": {"DL.3.2": {"outcome": "unclear"}}}, True),
        ("DL.3.4", {"actions": {"DL.3.3": {"outcome": "does_not_apply"}}}, False),
        ("DL.4.2", {}, False),
        ("DL.4.2", {"obligations": [duty()]}, True),
        ("DL.4.2", {"obligations": [duty(decision="not_required")]}, False),
        ("DL.4.2", {"obligations": [duty(outcome="likely")]}, False),
        ("DL.4.2", {"obligations": [duty(outcome="likely", decision="notify")]}, True),
        ("DL.4.2", {"obligations": [duty(toward="counsel", decision="notify")]}, False),
        ("DL.5.3", {}, None),
        ("DL.5.3", {"facts": {"policy_gap_found": True}}, True),
    ],
)
def test_conditions_say_when_an_action_is_required(action_id: str, seen: dict[str, Any], expected: bool | None) -> None:
    condition = playbook().actions[action_id].required_if
    assert condition is not None
    assert compile_expression(condition, shipped=True).holds(view(playbook(), **seen)) is expected


DONE = {"done": True, "status": "done"}


@pytest.mark.parametrize(
    ("gate_id", "seen", "passes"),
    [
        ("G-DL-1", {}, False),
        ("G-DL-1", {"steps": {"DL.3": {"required_done": True}}}, True),
        ("G-DL-1", {"steps": {"DL.1": {"completed": True}, "DL.2": {"completed": True}}}, False),
        ("G-DL-2", {}, False),
        ("G-DL-2", {"facts": {"credentials_exposed": True}}, False),
        ("G-DL-2", {"facts": {"credentials_exposed": True}, "actions": {"DL.1.6": DONE}}, True),
        ("G-DL-2", {"actions": {"DL.1.6": DONE}}, True),
        ("G-DL-2", {"facts": {"credentials_exposed": False}}, True),
        ("G-DL-3", {}, False),
        ("G-DL-3", {"actions": {"DL.3.4": DONE}}, True),
        ("G-DL-3", {"actions": {"DL.3.4": {"requirement": "not_applicable"}}}, True),
        ("G-DL-3", {"actions": {"DL.3.4": {"status": "skipped"}}}, False),
        ("G-DL-4", {}, False),
        ("G-DL-4", {"steps": {"DL.3": {"required_done": True}}}, True),
        ("G-DL-4", {"steps": {"DL.3": {"required_done": True}}, "obligations": [duty()]}, False),
        ("G-DL-4", {"steps": {"DL.3": {"required_done": True}}, "obligations": [duty(decision="not_required")]}, True),
    ],
)
def test_gates_hold_until_their_condition_is_met(gate_id: str, seen: dict[str, Any], passes: bool) -> None:
    gate = playbook().gate(gate_id)
    assert gate is not None
    assert gate.unless is not None
    assert (compile_expression(gate.unless, shipped=True).holds(view(playbook(), **seen)) is True) is passes


def test_gate_rules_of_all_playbooks_are_known_before_a_playbook_is() -> None:
    found = gate_rule(None, "G-ALL-11")
    assert found is not None
    assert found.enforced_by == "segregation"
    assert gate_rule(None, "G-DL-1") is None
    assert gate_rule(playbook(), "G-DL-1") is not None


@pytest.mark.parametrize("book", EVERY)
def test_a_stored_playbook_comes_back_as_it_was(book: Playbook) -> None:
    again = playbook_of(book.resolved())
    assert again == book
    assert (again.hash, len(again.hash)) == (book.hash, 64)
    assert catalogue().by_hash(book.hash) is book
    assert playbook_of({**book.resolved(), "title": "Another"}).hash != book.hash


PUBLISHED = {
    ("ai-phishing", "1.0.0"): "5839c1fb2f6ceb970527c7d9ecdf924495683401b6115a9d0901c2e998687994",
    ("bad-output", "1.0.0"): "f47f37a787a267d5fb31128f2ed630c485438409d5ea7e5eaab50c823af4cb29",
    ("ai-misinformation", "1.0.0"): "9ae1335095030177b4188a63a03f4d78ad3eb765bcddd76b480edcabd4bce6c3",
    ("ai-vendor-breach", "1.0.0"): "10c763800372c7d0318df1722d1ce17f229dc4a9aa28b6b5382df7038922d807",
    ("source-code-exposure", "1.0.0"): "159aa17c1cf512628614a097197fbb553d939d52d9ae55138bf89169d62921a2",
    ("data-leakage", "1.0.0"): "781ef24c6322a0128624d86406c29dc4deabe6780c131125d2cb9d802282927a",
    ("generic-ai-incident", "1.0.0"): "94ac50d662ed1ef8c32fbd4408767dff4dafcaf800bfbd3b3f0a428c0da5edff",
    ("high-impact-ai-use", "1.0.0"): "d39d0e35587b5602384356f5063d597eb583b14409fa5a48c7ce00b88bc1c50b",
    ("prompt-injection", "1.0.0"): "b5e099d1feb9e5161b990a382a85ff5b3a0e2b73463b3478a7dadb39022ba111",
    ("shadow-ai", "1.0.0"): "4638db78198d4d436bd6ad5cf2e92943345ff920381cdc57f7e63fdd142445cd",
    ("ai-browser-extension", "1.0.0"): "78e809f4c9e0f87456fcc939be7dc2d4e76d3f840429b53e666ad5562b32b1f5",
}


def test_a_published_version_never_changes() -> None:
    """Incidents pin these hashes: whoever changes the content publishes a new version beside the old one."""
    assert {(p.slug, p.version): p.hash for p in catalogue().list()} == PUBLISHED


def test_callers_see_every_key_of_an_input() -> None:
    wanted = playbook().resolved()["steps"][0]["actions"][3]["inputs"][1]
    assert wanted == {
        "name": "credentials_exposed",
        "title": "Were passwords, keys, tokens or MFA codes among it?",
        "schema": {"enum": [True, False, "unknown"]},
        "required": False,
        "document": None,
        "member": None,
        "fact": "credentials_exposed",
    }


def test_unknown_names_are_absent() -> None:
    assert catalogue().get("no-such-playbook") is None
    assert catalogue().get("data-leakage", "9.9.9") is None
    assert catalogue().by_hash("0" * 64) is None
    assert playbook().action("DL.9.9") is None
    assert not playbook().has_step("DL.9")


@pytest.mark.parametrize(
    ("report", "slug"),
    [
        ({"title": "Client contact list pasted into ChatGPT"}, "data-leakage"),
        ({"title": "DLP alert", "summary": "Upload of PII to generative AI service blocked"}, "data-leakage"),
        ({"title": "Zugangsdaten", "summary": "password sent as PROMPT"}, "data-leakage"),
        ({"title": "Deepfake call asked to upload the customer list"}, "ai-phishing"),
        ({"title": "AI-written phishing mail", "summary": "Asked for the password of a customer"}, "ai-phishing"),
        ({"title": "Source code pasted into ChatGPT"}, "source-code-exposure"),
        ({"title": "Our repository, with a password, went to an AI assistant"}, "source-code-exposure"),
        ({"title": "OpenAI breach exposed our data"}, "ai-vendor-breach"),
        ({"title": "The supplier told us of a security incident"}, "ai-vendor-breach"),
        ({"summary": "The caller used a cloned voice of our director"}, "ai-phishing"),
        ({"title": "Robot arm moved oddly"}, "generic-ai-incident"),
        ({"title": None, "labels": ["leakage"]}, "data-leakage"),
        ({}, "generic-ai-incident"),
    ],
)
def test_a_report_suggests_a_playbook_with_the_reason(report: dict[str, Any], slug: str) -> None:
    found = suggest(report)
    assert found.slug == slug
    assert found.because.endswith(".")
