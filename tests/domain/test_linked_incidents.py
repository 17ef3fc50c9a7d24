"""An action may open a linked incident, or tie one that exists: done while the tie stands."""

from typing import Any

import pytest

from domain.actions import ActionCommand, transition_action
from domain.changes import Change
from domain.links import add_link, release_link
from domain.openings import open_linked
from domain.playbooks import FaultyPlaybook
from domain.refusals import Invalid
from tests.domain.engine import BEN, NORTH, TOOL, WHY, Story, numbered, playbook
from tests.domain.made_up import an_action, made_up, running

OPENS = {"opens": {"playbook": "generic-ai-incident"}}
CHOICE = {"outcomes": ["nothing", "left"], "opens": {"playbook": "generic-ai-incident", "outcomes": ["left"]}}


def complete(story: Story, **more: Any) -> Change:
    """The change that completes XC.1.1, with what it calls for."""
    kept: list[Change] = []

    def apply(change: Change) -> None:
        kept.append(change)
        transition_action(change, "XC.1.1", ActionCommand(transition="complete", **more))

    story.do(BEN, apply)
    return kept[0]


def ties(story: Story) -> list[tuple[Any, ...]]:
    links = story.record.links.values()
    return [(link.linked_incident_id, link.type, link.action_id, link.released_at) for link in links]


def test_it_calls_for_a_new_incident_and_ties_it() -> None:
    story = running(an_action("XC.1.1", **OPENS))
    change = complete(story)
    opening = change.openings[0]
    assert (opening.playbook, opening.action_id) == ("generic-ai-incident", "XC.1.1")
    assert ties(story) == [(opening.id, "related", "XC.1.1", None)]
    assert story.action("XC.1.1").status == "done"


def test_it_opens_no_second_one_while_the_first_is_tied() -> None:
    story = running(an_action("XC.1.1", **OPENS))
    complete(story)
    story.act(BEN, "XC.1.1", "reopen", reason=WHY)
    assert complete(story).openings == []
    assert len(story.record.links) == 1


def test_it_ties_an_incident_that_exists() -> None:
    story = running(an_action("XC.1.1", **OPENS))
    assert complete(story, linked_incident_id=numbered(77)).openings == []
    assert ties(story) == [(numbered(77), "related", "XC.1.1", None)]


def test_it_takes_over_a_link_that_stands() -> None:
    story = running(an_action("XC.1.1", **OPENS))
    story.do(BEN, lambda change: add_link(change, numbered(77), "related", None))
    complete(story, linked_incident_id=numbered(77))
    assert ties(story) == [(numbered(77), "related", "XC.1.1", None)]


def test_the_action_is_open_again_when_its_tie_is_released() -> None:
    story = running(an_action("XC.1.1", "decision", **CHOICE))
    complete(story, outcome="left", inputs={"rationale": "It went out."}, linked_incident_id=numbered(77))
    link = next(iter(story.record.links))
    story.do(BEN, lambda change: release_link(change, link, WHY))
    assert (story.action("XC.1.1").status, story.action("XC.1.1").outcome) == ("pending", None)
    assert story.kinds()[-1] == "action.reopened"


def test_only_the_outcomes_named_open_one() -> None:
    story = running(an_action("XC.1.1", "decision", **CHOICE))
    with pytest.raises(Invalid, match="ties no incident"):
        complete(story, outcome="nothing", inputs={"rationale": "Nothing left."}, linked_incident_id=numbered(77))
    assert complete(story, outcome="nothing", inputs={"rationale": "Nothing left."}).openings == []
    assert story.action("XC.1.1").status == "done"
    story.act(BEN, "XC.1.1", "reopen", reason=WHY)
    assert len(complete(story, outcome="left", inputs={"rationale": "It went out."}).openings) == 1


@pytest.mark.parametrize("exercise", [False, True])
def test_the_new_one_carries_clients_systems_and_discovery(exercise: bool) -> None:
    story = running(an_action("XC.1.1", **OPENS))
    story.edit(client_ids=[NORTH.id])
    story.act(BEN, "CO.2", inputs={"ai_systems": {"entries": [TOOL]}})
    story.incident.exercise = exercise
    opening = complete(story).openings[0]
    leak = playbook("data-leakage")
    change = open_linked(story.record, opening, leak, story.actor(BEN), story.now, story.around(), story.new_id)
    made, origin = change.record.incident, story.incident
    assert (made.id, made.status, made.playbook_slug) == (opening.id, "in_progress", "data-leakage")
    assert (made.discovered_at, made.discovered_at_precision) == (origin.discovered_at, origin.discovered_at_precision)
    assert (made.discovered_by_id, made.discovery_confirmed) == (BEN.id, origin.discovery_confirmed)
    assert (made.client_ids, made.exercise) == ([NORTH.id], exercise)
    assert change.record.documents["D03"].value == {"entries": [TOOL]}
    link = next(iter(change.record.links.values()))
    assert (link.linked_incident_id, link.type, link.action_id) == (origin.id, "related", None)


@pytest.mark.parametrize(
    "more",
    [
        {"opens": {"playbook": "no-such-playbook"}},
        {"opens": {"playbook": "generic-ai-incident", "outcomes": ["left"]}},
        {**OPENS, "approvals_from": ["risk_owner"]},
    ],
)
def test_a_file_that_opens_what_cannot_be_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(FaultyPlaybook):
        made_up(an_action("XC.1.1", **more))
