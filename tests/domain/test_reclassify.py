"""Reclassifying between any two playbooks keeps what both ask for, and starts the rest anew from the discovery."""

from itertools import permutations
from typing import Any

import pytest

from domain.playbooks import Action, catalogue
from domain.refusals import Forbidden, Invalid
from tests.domain.engine import ADA, BEN, LIST, NOBODY, START, WHY, Story, declared, playbook

SLUGS = catalogue().slugs()
PAIRS = list(permutations(SLUGS, 2))


def root(action: Action) -> str:
    """By which actions of two playbooks are the same."""
    return action.same_as or action.id


def rests_on_a_person(action: Action) -> bool:
    """Done by a person alone, not by a message, a document, a text or a link that has to exist."""
    derived = action.type.startswith("notify_") or action.fulfilled_by is not None or action.drafts or action.reviews
    return not derived and not action.closing and action.opens is None and not any(w.one_per for w in action.inputs)


def worked(slug: str) -> Story:
    """An incident of that playbook with evidence, documents, and every action that rests on a person done."""
    story = declared(slug=slug, primary_risk="AR-001")
    story.attach(None)
    story.write("D04", {"entries": [LIST]})
    story.write("D05", NOBODY)
    for run in story.record.actions.values():
        if rests_on_a_person(playbook(slug).actions[run.id]):
            run.status, run.recorded_by, run.recorded_at, run.note = "done", BEN.id, START, f"as {run.id}"
    return story


def belongings(story: Story) -> tuple[Any, ...]:
    return dict(story.record.evidence), {d.id: d.value for d in story.record.documents.values()}


def due(story: Story) -> dict[str, Any]:
    return {step.id: step.due_at for step in story.record.steps.values()}


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_it_keeps_what_both_ask_for_and_recomputes_the_rest(before: str, after: str) -> None:
    story, fresh = worked(before), declared(slug=after, primary_risk="AR-001")
    whole = belongings(story)
    expected = {o.id for o in story.record.occurrences.values() if o.purpose != "triage"}
    runs = [run for run in story.record.actions.values() if run.status == "done"]
    done = {root(playbook(before).actions[run.id]): run for run in runs}

    story.move(ADA, "reclassify", slug=after, reason=WHY, primary_risk="AR-001")

    header = story.incident
    assert (header.number, header.generation, header.playbook_slug) == ("INC-1001", 2, after)
    assert belongings(story) == whole
    for run in story.record.actions.values():
        action = playbook(after).actions[run.id]
        if rests_on_a_person(action):
            kept = done.get(root(action))
            assert run.note == (kept.note if kept else None), run.id
            assert (run.status == "done") == (kept is not None), run.id
    assert due(story) == due(fresh)
    assert {o.id for o in story.record.occurrences.values() if o.voided_at is not None} == expected
    live = sorted((o.control, o.step_id or "") for o in story.record.occurrences.values() if o.voided_at is None)
    assert live == sorted((o.control, o.step_id or "") for o in fresh.record.occurrences.values())


@pytest.mark.parametrize("slug", SLUGS)
def test_there_and_back_loses_nothing_that_both_ask_for(slug: str) -> None:
    other = "generic-ai-incident" if slug != "generic-ai-incident" else "data-leakage"
    story = worked(slug)
    shared = {root(a) for a in playbook(slug).actions.values()} & {root(a) for a in playbook(other).actions.values()}
    notes = {run.id: run.note for run in story.record.actions.values()}
    for there in (other, slug):
        story.move(ADA, "reclassify", slug=there, reason=WHY, primary_risk="AR-001")
    for run in story.record.actions.values():
        action = playbook(slug).actions[run.id]
        if rests_on_a_person(action):
            assert (run.note is not None) == (root(action) in shared and notes[run.id] is not None), run.id


def test_it_takes_a_leader_and_a_reason() -> None:
    story = declared()
    with pytest.raises(Forbidden):
        story.move(BEN, "reclassify", slug="prompt-injection", reason=WHY)
    with pytest.raises(Invalid):
        story.move(ADA, "reclassify", slug="prompt-injection", reason="Because.")
