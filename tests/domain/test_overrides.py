"""Overrides: each lifts the one gate it names, takes the role, leaves an exception, and never reaches further."""

from __future__ import annotations

from typing import Any

import pytest

from domain.overrides import Override
from domain.refusals import Conflict, Forbidden, GateRefused, Invalid
from tests.domain import engine
from tests.domain.engine import ADA, BEN, CLEO, WHY, Story, declared


def over(gate: str, reason: str = WHY) -> list[Override]:
    return [Override(gate=gate, reason=reason)]


def refusing(story: Story, who: Any, step_id: str, *gates: str) -> str | None:
    """The gate that still refuses the completion."""
    with pytest.raises(GateRefused) as refused:
        story.finish(who, step_id, overrides=[one for gate in gates for one in over(gate)])
    return refused.value.gate


def worked_ahead() -> Story:
    """DL.1 is open, all the work of DL.2 is done."""
    story = declared()
    story.tell(story.draft(BEN, action_id="DL.2.1"), "record_sent")
    story.act(BEN, "DL.2.2", inputs={"retention": "30 days", "breach_notice": "at once"})
    story.act(BEN, "DL.2.3", inputs={"opt_out_available": "yes"})
    story.act(BEN, "DL.2.4")
    return story


def test_the_order_of_steps_is_overridden_by_risk_owner_alone() -> None:
    story = worked_ahead()
    assert refusing(story, BEN, "DL.2", "G-ALL-1") == "G-ALL-1"
    with pytest.raises(Invalid):
        story.finish(ADA, "DL.2", overrides=over("G-ALL-1", "too short"))
    assert story.finish(ADA, "DL.2", overrides=over("G-ALL-1")).status == "completed"
    (exception,) = story.exceptions("override")
    assert (exception.gate, exception.step_id, exception.person_id) == ("G-ALL-1", "DL.2", ADA.id)
    assert "gate.overridden" in story.kinds()
    assert story.step("DL.1").status != "completed"


def test_overriding_the_order_does_not_excuse_open_work() -> None:
    story = declared()
    assert refusing(story, ADA, "DL.2", "G-ALL-1") == "G-ALL-4"
    assert story.exceptions("override") == []


def test_no_override_passes_a_gate_that_has_none() -> None:
    story = declared()
    story.write("D04", {"entries": [engine.LIST]})
    story.act(ADA, "DL.3.1", outcome="applies", inputs={"rationale": "It may."})
    gate = refusing(story, ADA, "DL.3", "G-ALL-1", "G-ALL-4", "G-DL-3")
    assert gate == "G-DL-3"
    assert story.step("DL.3").status == "locked"


def test_required_work_left_undone_is_skipped_by_name() -> None:
    story = engine.contain(declared())
    story.tell(story.draft(BEN, action_id="DL.2.1"), "record_sent")
    assert refusing(story, BEN, "DL.2", "G-ALL-4") == "G-ALL-4"
    assert story.finish(ADA, "DL.2", overrides=over("G-ALL-4")).status == "completed"
    assert {story.action(a).status for a in ("DL.2.2", "DL.2.3", "DL.2.4")} == {"skipped"}
    assert len(story.exceptions("override")) == 1
    assert not {m["ref"] for m in story.record.documents["D06"].missing} & {"DL.2.2", "DL.2.3", "DL.2.4"}


def test_evidence_is_never_overridden_away() -> None:
    story = declared()
    story.fact("credentials_exposed", False)
    assert refusing(story, ADA, "DL.1", "G-ALL-4") == "G-ALL-3"
    with pytest.raises(GateRefused) as refused:
        story.finish(ADA, "DL.1", "skip", reason=WHY)
    assert refused.value.gate == "G-ALL-3"


def test_an_exposed_credential_is_never_overridden_away() -> None:
    story = declared()
    story.fact("credentials_exposed", True)
    story.act(BEN, "DL.1.2", "unavailable", reason=WHY)
    story.act(ADA, "DL.1.2", "approve")
    assert refusing(story, ADA, "DL.1", "G-ALL-4", "G-DL-2") == "G-DL-2"
    for skip in (lambda: story.act(ADA, "DL.1.6", "skip", reason=WHY), lambda: story.finish(ADA, "DL.1", "skip")):
        with pytest.raises((GateRefused, Conflict)):
            skip()


def test_a_gate_that_does_not_exist_is_an_error_of_the_input() -> None:
    with pytest.raises(Invalid):
        worked_ahead().finish(ADA, "DL.2", overrides=over("G-XX-9"))


def test_an_override_that_was_not_needed_leaves_no_exception() -> None:
    story = engine.contain(worked_ahead())
    story.finish(ADA, "DL.2", overrides=over("G-ALL-1"))
    assert story.exceptions("override") == []


def test_an_action_is_skipped_by_risk_owner_with_a_reason() -> None:
    story = declared()
    for who in (BEN, CLEO):
        with pytest.raises(Forbidden):
            story.act(who, "DL.4.1", "skip", reason=WHY)
    with pytest.raises(Invalid):
        story.act(ADA, "DL.4.1", "skip", reason="too short")
    assert story.act(ADA, "DL.4.1", "skip", reason=WHY).status == "skipped"
    (exception,) = story.exceptions("skip")
    assert (exception.gate, exception.action_id) == ("G-ALL-4", "DL.4.1")
