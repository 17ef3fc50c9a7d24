"""Every pair of a state and a transition is either the table's result or a refusal that changes nothing."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from domain import actions, duties, follow_ups, incidents, notifications, steps
from domain.follow_ups import FollowUpEdit, NewFollowUp, add_follow_up, edit_follow_up
from domain.glossary import ActionStatus, FollowUpStatus, IncidentStatus, NotificationStatus, StepStatus
from domain.playbooks import load
from domain.refusals import Conflict, GateRefused, Refusal
from domain.shipped import shipped
from tests.domain import engine
from tests.domain.engine import ADA, BEN, CLEO, DAY, START, WHY, Story, declared, ready, reported


def refused(story: Story, apply: Callable[[], Any]) -> Refusal:
    """The refusal, and nothing changed."""
    before, said = copy.deepcopy(story.record), len(story.events)
    with pytest.raises(Refusal) as found:
        apply()
    assert (story.record, len(story.events)) == (before, said)
    return found.value


def held(story: Story) -> Story:
    story.move(ADA, "hold", reason=WHY, waiting_for="the vendor")
    return story


def closed() -> Story:
    story = ready()
    story.sign()
    return story


def reopened() -> Story:
    story = closed()
    story.move(ADA, "reopen", reason=WHY, action_ids=["DL.4.1"])
    return story


def rejected() -> Story:
    story = reported()
    story.write("D02", {"discovered_by": str(BEN.id), "discovery_method": "self_report"})
    story.move(ADA, "reject", disposition="false_positive", reason=WHY)
    return story


def triaged() -> Story:
    story = reported()
    story.move(ADA, "acknowledge")
    return story


def contained() -> Story:
    return engine.remedy(engine.assess(engine.escalate(engine.contain(declared()))))


INCIDENTS: dict[str, Callable[[], Story]] = {
    "reported": reported,
    "triage": triaged,
    "in_progress": declared,
    "contained": contained,
    "post_incident": ready,
    "on_hold": lambda: held(declared()),
    "closed": closed,
    "reopened": reopened,
    "rejected": rejected,
}
STORIES = {name: make() for name, make in INCIDENTS.items()}
TOLD: dict[str, dict[str, Any]] = {
    "declare": {"slug": "data-leakage"},
    "reclassify": {"slug": "generic-ai-incident", "primary_risk": "AR-001", "reason": WHY},
    "hold": {"reason": WHY, "waiting_for": "the vendor"},
    "reject": {"reason": WHY, "disposition": "test"},
    "reopen": {"reason": WHY, "action_ids": ["DL.4.1"]},
}
MOVES = ("acknowledge", "declare", "reclassify", "hold", "resume", "reject", "reopen")


def a_copy(story: Story) -> Story:
    return copy.deepcopy(story)


def test_there_is_a_story_for_every_state() -> None:
    assert set(STORIES) == {status.value for status in IncidentStatus}
    assert {name: story.incident.status for name, story in STORIES.items()} == {name: name for name in STORIES}


@pytest.mark.parametrize("transition", MOVES)
@pytest.mark.parametrize("status", STORIES)
def test_an_incident_moves_as_its_table_says(status: str, transition: str) -> None:
    story = a_copy(STORIES[status])
    if transition == "reject" and status not in ("closed", "rejected"):
        story.write("D02", {"discovered_by": str(BEN.id), "discovery_method": "self_report"})
        if status == "reopened":  # the first change moves it on; the pair itself is judged below
            story.incident.status = "reopened"
    result = incidents.TRANSITIONS.get((status, transition))
    if result is None:
        refusal = refused(story, lambda: story.move(ADA, transition, **TOLD.get(transition, {})))
        assert isinstance(refusal, Conflict)
        assert refusal.current is not None
        assert refusal.current["status"] == status
        return
    story.move(ADA, transition, **TOLD.get(transition, {}))
    expected = {"(back)": "in_progress"}.get(result, result)
    assert story.incident.status == expected
    assert f"incident.{status}" not in {e.kind for e in story.last}


def test_rejecting_needs_to_know_who_found_it_and_how() -> None:
    story = declared()
    refusal = refused(story, lambda: story.move(ADA, "reject", reason=WHY, disposition="test"))
    assert isinstance(refusal, GateRefused)
    assert {m.ref for m in refusal.missing} == {"D02"}


def test_a_rejected_declared_incident_goes_on_where_it_was() -> None:
    story = held(declared())
    story.write("D02", {"discovered_by": str(BEN.id), "discovery_method": "self_report"})
    story.move(ADA, "reject", reason=WHY, disposition="duplicate")
    assert all(o.voided_at or o.met_at for o in story.record.occurrences.values())
    assert (story.incident.hold, story.incident.next_alarm_at) == (None, None)
    story.move(ADA, "reopen", reason=WHY)
    assert (story.incident.status, story.incident.disposition) == ("in_progress", None)
    assert not any(o.voided_at for o in story.record.occurrences.values())


def test_a_reopened_report_leaves_what_another_playbook_voided() -> None:
    story = declared()
    story.move(ADA, "reclassify", **TOLD["reclassify"])
    voided = {o.id for o in story.record.occurrences.values() if o.voided_at}
    assert voided
    story.write("D02", {"discovered_by": str(BEN.id), "discovery_method": "self_report"})
    story.now += DAY
    story.move(ADA, "reject", reason=WHY, disposition="duplicate")
    story.move(ADA, "reopen", reason=WHY)
    assert {o.id for o in story.record.occurrences.values() if o.voided_at} == voided


def test_a_reopened_incident_moves_on_with_its_first_change() -> None:
    story = a_copy(STORIES["reopened"])
    story.act(BEN, "DL.4.1")
    assert story.step("DL.4").status == "in_progress"
    assert story.incident.status == "in_progress"
    story.finish(BEN, "DL.4")
    assert story.incident.status == "post_incident"


@pytest.mark.parametrize("action_ids", [[], ["DL.9.9"], ["DL.1.6"], ["CO.7"], ["DL.2.1"]])
def test_only_what_was_done_by_hand_is_reopened(action_ids: list[str]) -> None:
    story = a_copy(STORIES["closed"])
    refused(story, lambda: story.move(ADA, "reopen", reason=WHY, action_ids=action_ids))


def with_step(status: str) -> tuple[Story, str]:
    """A story with a step in that state."""
    if status == "ready":
        return declared(), "DL.1"
    if status == "locked":
        return declared(), "DL.2"
    story = declared()
    if status == "in_progress":
        story = engine.contain(story)
        story.act(BEN, "DL.2.4")
        return story, "DL.2"
    if status == "blocked":
        story.fact("credentials_exposed", True)
        return story, "DL.1"
    if status == "completed":
        return engine.contain(story), "DL.1"
    story = engine.contain(story)
    story.finish(ADA, "DL.2", "skip", reason=WHY)
    return story, "DL.2"


@pytest.mark.parametrize("transition", ["complete", "skip"])
@pytest.mark.parametrize("status", [status.value for status in StepStatus])
def test_a_step_moves_as_its_table_says(status: str, transition: str) -> None:
    story, step_id = with_step(status)
    if status == "ready":  # nothing is known yet, so the fact comes first
        story.fact("credentials_exposed", False)
    assert story.step(step_id).status == status
    result = steps.TRANSITIONS.get((status, transition))
    if result is None:
        refusal = refused(story, lambda: story.finish(ADA, step_id, transition, reason=WHY))
        assert type(refusal) is Conflict
        return
    if (status, transition) == ("in_progress", "skip"):
        assert story.finish(ADA, step_id, "skip", reason=WHY).status == "skipped"
        return
    gate = refused(story, lambda: story.finish(ADA, step_id, transition, reason=WHY))
    assert isinstance(gate, GateRefused)  # open work, evidence, rotation or an earlier step, not the state


def with_action(status: str) -> tuple[Story, str]:
    story = declared()
    match status:
        case "pending":
            return story, "DL.1.1"
        case "pending_fact":
            return story, "DL.1.6"
        case "done":
            story.act(BEN, "DL.1.1")
            return story, "DL.1.1"
        case "not_applicable":
            story.fact("credentials_exposed", False)
            return story, "DL.1.6"
        case "skipped":
            story.act(ADA, "DL.4.1", "skip", reason=WHY)
            return story, "DL.4.1"
    story.act(BEN, "DL.1.2", "unavailable", reason=WHY)
    return story, "DL.1.2"


@pytest.mark.parametrize("transition", ["complete", "approve", "skip", "unavailable", "reopen"])
@pytest.mark.parametrize("status", [status.value for status in ActionStatus])
def test_an_action_moves_as_its_table_says(status: str, transition: str) -> None:
    story, action_id = with_action(status)
    assert story.action(action_id).status == status
    assert story.playbook is not None
    found = story.playbook.action(action_id)
    assert found is not None
    result = actions.TRANSITIONS.get((status, transition))
    if result is None or transition not in actions.offered(found):
        refusal = refused(story, lambda: story.act(ADA, action_id, transition, reason=WHY))
        assert type(refusal) is Conflict
        return
    assert story.act(ADA, action_id, transition, reason=WHY).status == result


ASSESSED = engine.assess(engine.escalate(engine.contain(declared())))


def with_notice(status: str, kind: str) -> tuple[Story, Any]:
    """A notice whose assessment is done, in that state."""
    story = a_copy(ASSESSED)
    inside = kind in notifications.INTERNAL_KINDS
    made = story.draft(BEN, kind=kind, action_id="DL.2.1" if inside else "DL.4.2")
    path = {
        "draft": (),
        "in_review": ("submit",),
        "approved": ("submit", "approve"),
        "sent": ("submit", "approve", "record_sent"),
        "acknowledged": ("submit", "approve", "record_sent", "acknowledge"),
        "failed": ("submit", "approve", "record_sent", "record_failed"),
        "not_required": ("not_required",),
    }[status]
    for transition in path:
        if inside and transition in ("submit", "approve"):
            continue
        story.tell(made, transition, ADA, reason=WHY)
    return story, story.record.notifications[str(made.id)]


@pytest.mark.parametrize("transition", notifications.NAMES)
@pytest.mark.parametrize("status", [s.value for s in NotificationStatus])
@pytest.mark.parametrize("kind", ["internal", "regulator"])
def test_a_notification_moves_as_its_table_says(kind: str, status: str, transition: str) -> None:
    if kind == "internal" and status in ("in_review", "approved"):
        pytest.skip("a message to inside needs no approval, so it never gets there")
    story, made = with_notice(status, kind)
    assert made.status == status
    result = notifications.TRANSITIONS.get((status, transition))
    if (kind, status, transition) == ("regulator", "draft", "record_sent"):
        result = None  # not without approval
    if (kind, transition) == ("internal", "submit"):
        result = None
    if result is None:
        assert type(refused(story, lambda: story.tell(made, transition, ADA, reason=WHY))) is Conflict
        return
    assert story.tell(made, transition, ADA, reason=WHY).status == result


@pytest.mark.parametrize("transition", ["start", "finish", "cancel", "reopen"])
@pytest.mark.parametrize("status", ["open", "in_progress", "done", "cancelled"])
def test_a_follow_up_moves_as_its_table_says(status: str, transition: str) -> None:
    assert {s.value for s in FollowUpStatus} == {"open", "in_progress", "done", "cancelled"}
    story = declared()
    wanted = NewFollowUp(title="Train the team", owner_id=BEN.id, due_at=START + DAY)
    made = story.do(ADA, lambda change: add_follow_up(change, wanted))
    for step in {"in_progress": ("start",), "done": ("finish",), "cancelled": ("cancel",)}.get(status, ()):
        story.do(ADA, lambda change: edit_follow_up(change, str(made.id), FollowUpEdit(transition=step, reason=WHY)))  # noqa: B023
    edit = FollowUpEdit(transition=transition, reason=WHY)
    result = follow_ups.TRANSITIONS.get((status, transition))
    if result is None:
        found = refused(story, lambda: story.do(ADA, lambda change: edit_follow_up(change, str(made.id), edit)))
        assert type(found) is Conflict
        return
    story.do(ADA, lambda change: edit_follow_up(change, str(made.id), edit))
    assert story.record.follow_ups[str(made.id)].status == result


@pytest.mark.parametrize("decision", ["notify", "not_required", "waived_by_counsel"])
@pytest.mark.parametrize("status", ["open", "notify", "not_required", "waived_by_counsel"])
def test_an_obligation_is_decided_as_its_table_says(status: str, decision: str) -> None:
    story = declared()
    story.write("D04", {"entries": [engine.LIST | {"individuals_count": 640, "record_count": 640}]})
    duty = next(d for d in story.record.obligations.values() if d.outcome != "not_triggered")

    def decided(wanted: str, rationale: str) -> Any:
        who = CLEO if wanted == "waived_by_counsel" else ADA
        return story.decide(duty, wanted, who, rationale=rationale, opinion_reference="Opinion 7")

    if status != "open":
        decided(status, WHY)
    assert (status, decision) in duties.TRANSITIONS
    assert decided(decision, WHY + " Decided once more.").decision == decision
    refused(story, lambda: decided(decision, WHY + " Decided once more."))


MADE_UP = {
    "slug": "spilled-coffee",
    "version": "1.0.0",
    "prefix": "XC",
    "title": "Coffee on the rack",
    "description": "A playbook that nobody shipped.",
    "sources": [{"mark": "X", "title": "A test"}],
    "primary_risk": "AR-001",
    "risks": ["AR-001"],
    "severity_floor": "SEV4",
    "standards": [],
    "steps": [
        {
            "id": f"XC.{n}",
            "order": n,
            "phase": phase,
            "title": title,
            "summary": title,
            "owner_roles": [role],
            "sla": {"kind": "duration", "value": value, "clock_start": "discovered_at"},
            "controls": [],
            "source": "X",
            "actions": [
                {"id": f"XC.{n}.1", "text": title, "type": "task", "fills": ["D06"], "source": "X", "basis": "x"}
            ],
        }
        for n, phase, title, role, value in [
            (1, "immediate", "Wipe", "any_staff", "PT5M"),
            (2, "post_incident", "Buy lids", "risk_owner", "P7D"),
        ]
    ],
    "gates": [
        {
            "id": "G-XC-1",
            "text": "No lids before the rack is dry.",
            "when": [{"operation": "action.complete", "action": "XC.2.1"}],
            "unless": 'actions["XC.1.1"].done',
            "message": "Wipe first.",
            "override_role": "risk_owner",
            "names": {"actions": ["XC.1.1"]},
            "source": "X",
        }
    ],
}


def test_a_playbook_is_only_data() -> None:
    made = load({"spilled-coffee.yaml": MADE_UP}, shipped("common_actions.yaml"), shipped("gates.yaml"))
    story = Story().report(BEN, made.get("spilled-coffee"))
    assert list(story.record.steps) == ["XC.1", "XC.2"]
    refusal = refused(story, lambda: story.act(ADA, "XC.2.1"))
    assert isinstance(refusal, GateRefused)
    assert refusal.gate == "G-XC-1"
    story.act(BEN, "XC.1.1")
    story.act(BEN, "CO.2", inputs={"ai_systems": {"entries": [engine.TOOL]}})
    assert story.finish(BEN, "XC.1").status == "completed"
    assert story.incident.status == "contained"
    story.act(ADA, "XC.2.1")
    assert story.incident.status == "post_incident"
