"""Gates may judge what a caller says: the outcome and the inputs of the action, once they fit."""

from copy import deepcopy
from typing import Any

import pytest
from msgspec import json

from domain.playbooks import Playbook, load
from domain.refusals import GateRefused, Invalid
from domain.shipped import shipped
from tests.domain.engine import ADA, BEN, Story

VENDOR = {"retention": "30 days", "breach_notice": "within 72 hours"}
GATE = {
    "id": "G-DL-9",
    "text": "An anonymous page is no source.",
    "message": "Name a page of the vendor.",
    "when": [{"operation": "action.complete", "action": "DL.2.2"}],
    "unless": '!has(event.inputs.source_url) || event.inputs.source_url.startsWith("https://vendor.example")',
    "source": "X",
}


def strict(**gate: Any) -> Playbook:
    data = deepcopy(shipped("playbooks/data-leakage.yaml"))
    data["gates"].append({**GATE, **gate})
    found = load({"made": data}, shipped("common_actions.yaml"), shipped("gates.yaml")).get("data-leakage")
    assert found is not None
    return found


def offered(story: Story, action_id: str) -> str:
    return next(v["permit"] for v in json.decode(story.action(action_id).allowed)["@"] if v["transition"] == "complete")


def test_what_is_said_is_judged_and_what_is_only_offered_is_not() -> None:
    story = Story().report(BEN, strict())
    assert offered(story, "DL.2.2") == "allowed"
    with pytest.raises(GateRefused) as refused:
        story.act(BEN, "DL.2.2", inputs={**VENDOR, "source_url": "https://somewhere.example"})
    assert refused.value.gate == "G-DL-9"
    assert story.action("DL.2.2").status == "pending"
    assert story.act(BEN, "DL.2.2", inputs={**VENDOR, "source_url": "https://vendor.example/policy"}).status == "done"


def test_what_does_not_fit_is_refused_as_such_before_a_gate_looks_at_it() -> None:
    story = Story().report(BEN, strict())
    with pytest.raises(Invalid):
        story.act(BEN, "DL.2.2", inputs={**VENDOR, "source_url": 7})
    with pytest.raises(Invalid):
        story.act(BEN, "DL.2.2", inputs={"source_url": "https://somewhere.example"})


def test_the_outcome_is_judged_too() -> None:
    when = [{"operation": "action.complete", "action": "DL.3.6"}]
    story = Story().report(BEN, strict(when=when, unless='event.outcome == "" || actions["DL.3.5"].done'))
    assert offered(story, "DL.3.6") == "allowed"
    with pytest.raises(GateRefused):
        story.act(ADA, "DL.3.6", outcome="reviewed", inputs={"rationale": "Looked at."})
