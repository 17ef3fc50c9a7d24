"""`prompt-injection`: evidence before clearing, a replay before the return, and the status of the workflow."""

from typing import Any

import pytest

from domain.refusals import GateRefused
from tests.domain.engine import ADA, BEN, FAY, LIST, NOBODY, TEAM, TOOL, WHY, Story, declared, person

BO = person(7, "Bo Owner", "business_owner")
INPUTS: dict[str, Any] = {"connected_tools": ["mail"], "data_sources": ["inbox"], "credentials_exposed": False}
SCOPE: dict[str, Any] = {
    "actions_taken": [{"action": "forwarded a message", "authorised": False}],
    "affected_data": {"entries": [LIST]},
    "impacted_parties": NOBODY,
}


def injected(**facts: Any) -> Story:
    return declared(*TEAM, BO, slug="prompt-injection", facts=facts)


def replayed(story: Story, holds: bool = True) -> None:
    shot = story.attach("PI.4.2")
    story.act(BEN, "PI.4.2", evidence_ids=[shot.id], inputs={"fix_holds": holds})


def approved(story: Story, outcome: str) -> None:
    story.act(FAY, "PI.4.3", "approve", outcome=outcome, inputs={"rationale": "The replay was stopped."})
    story.act(BO, "PI.4.3", "approve", outcome=outcome)


def test_poisoned_content_is_not_cleared_before_it_is_preserved() -> None:
    story = injected()
    with pytest.raises(GateRefused) as refused:
        story.act(BEN, "PI.3.2")
    assert (refused.value.gate, [m.ref for m in refused.value.missing]) == ("G-PI-1", ["PI.1.2"])
    story.attach("PI.1.2")
    assert story.act(BEN, "PI.3.2").status == "done"


def test_the_return_waits_for_a_replay_that_the_fix_withstands() -> None:
    story = injected()
    for prepare in (lambda: None, lambda: replayed(story, holds=False)):
        prepare()
        with pytest.raises(GateRefused) as refused:
            approved(story, "return")
        assert refused.value.gate == "G-PI-2"
    story.act(BEN, "PI.4.2", "reopen", reason=WHY)
    replayed(story)
    approved(story, "return")
    assert story.action("PI.4.3").status == "done"


@pytest.mark.parametrize(
    ("outcome", "status"), [("return", "in_service"), ("return_restricted", "restricted"), ("retire", "retired")]
)
def test_the_workflow_stays_suspended_until_it_is_decided(outcome: str, status: str) -> None:
    story = injected()
    assert story.incident.workflow_status == "running"
    story.act(BEN, "PI.1.1")
    assert story.incident.workflow_status == "suspended"
    replayed(story)
    story.act(FAY, "PI.4.3", "approve", outcome=outcome, inputs={"rationale": "It holds."})
    assert story.incident.workflow_status == "suspended"
    story.act(BO, "PI.4.3", "approve", outcome=outcome)
    assert story.incident.workflow_status == status
    story.act(BEN, "PI.4.3", "reopen", reason=WHY)
    assert story.incident.workflow_status == "suspended"
    assert story.kinds().count("incident.workflow_changed") == 4


def test_it_has_no_status_where_the_playbook_knows_no_workflow() -> None:
    story = injected()
    story.move(ADA, "reclassify", slug="data-leakage", reason=WHY)
    assert story.incident.workflow_status is None


def test_stopping_replaying_and_approving_the_return_cannot_be_skipped() -> None:
    story = injected()
    for action in ("PI.1.1", "PI.4.2", "PI.4.3"):
        with pytest.raises(GateRefused):
            story.act(ADA, action, "skip", reason=WHY)


@pytest.mark.parametrize(
    ("count", "left", "acted_on", "required"),
    [
        (0, False, False, set()),
        (2, False, False, {"PI.3.3"}),
        (1, True, False, {"PI.3.3", "PI.3.4"}),
        (1, True, True, {"PI.3.3", "PI.3.4", "PI.3.6"}),
    ],
)
def test_what_the_workflow_did_decides_what_is_asked(
    count: int, left: bool, acted_on: bool, required: set[str]
) -> None:
    story = injected()
    facts = {"unauthorised_actions": count, "data_exfiltrated": left, "client_system_acted_on": acted_on}
    inputs = {**SCOPE, "affected_data": {"none": True, "reason": WHY}, **facts}
    story.act(FAY, "PI.2.3", inputs=inputs)
    asked = {a: story.action(a).requirement for a in ("PI.3.3", "PI.3.4", "PI.3.6")}
    assert asked == {a: "required" if a in required else "not_applicable" for a in asked}
    assert (story.incident.severity == "SEV2") == (count >= 1)  # floor F8


def test_credentials_that_turn_out_exposed_reopen_the_first_step() -> None:
    story = injected()
    story.act(BEN, "PI.1.1")
    shot = story.attach("PI.1.2")
    story.act(BEN, "PI.1.2", evidence_ids=[shot.id])
    story.act(BEN, "PI.1.3", inputs={"ai_systems": {"entries": [TOOL]}, **INPUTS})
    assert story.finish(BEN, "PI.1").status == "completed"
    story.fact("credentials_exposed", True)
    assert (story.step("PI.1").status, story.action("PI.1.4").status) == ("in_progress", "pending")
