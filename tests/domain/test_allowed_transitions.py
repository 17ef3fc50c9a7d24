"""What a caller is shown as allowed is what the call answers: over random courses, by random people."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.actions import offered
from domain.actors import Actor
from domain.duties import OFFERED, delay_duty, resume_duty
from domain.notifications import NAMES
from domain.obligation_delays import DelayRequest
from domain.refusals import Conflict, Forbidden, GateRefused, Invalid, Refusal
from domain.verdicts import Verdict, matches, shown
from tests.domain import engine
from tests.domain.closing_cases import grave, ready
from tests.domain.engine import (
    ADA,
    BEN,
    CLEO,
    DAN,
    EVE,
    FAY,
    NORTH,
    WHY,
    Story,
    as_stored,
    declared,
    numbered,
    reported,
)

MACHINE = Actor(kind="service_account", id=numbered(950), roles=frozenset({"service_account"}))
CALLERS: tuple[Any, ...] = (ADA, BEN, CLEO, DAN, EVE, FAY, MACHINE)
INCIDENT = ("acknowledge", "declare", "reclassify", "hold", "resume", "reject", "reopen")
TOLD: dict[str, dict[str, Any]] = {
    "declare": {"slug": "data-leakage"},
    "reclassify": {"slug": "generic-ai-incident", "primary_risk": "AR-001", "reason": WHY},
    "hold": {"reason": WHY, "waiting_for": "the vendor"},
    "reject": {"reason": WHY, "disposition": "test"},
    "reopen": {"reason": WHY, "action_ids": ["DL.4.1"]},
}


def stored(allowed: msgspec.Raw) -> list[Verdict]:
    """Verdicts as they come back from where they are stored."""
    found = msgspec.json.decode(allowed)
    return msgspec.convert(found["@"] if found else [], list[Verdict])


def answered(story: Story, apply: Any) -> str:
    """The permit that the call itself stands for. A fault of the input comes after every permission."""
    trial = copy.copy(story)
    trial.events = []
    try:
        apply(trial)
    except Forbidden:
        return "person"
    except GateRefused as refusal:
        return "person" if refusal.gate == "G-ALL-11" else "gate"
    except Conflict:
        return "state"
    except (Invalid, Refusal):
        return "allowed"
    return "allowed"


def permit(judged: Verdict, who: Any, story: Story) -> str:
    told: str = shown(judged, story.actor(who))["permit"]
    if judged.permit == "allowed":
        assert (told == "allowed") == matches(judged, story.actor(who))
    return told


def check(story: Story, who: Any) -> None:
    """Every transition of everything, asked by one caller."""
    wrong: list[tuple[str, str, str, str]] = []

    def compare(what: str, judged: Verdict, apply: Any) -> None:
        said, happened = permit(judged, who, story), answered(story, apply)
        if said != happened:
            wrong.append((what, judged.transition, said, happened))

    for judged in stored(story.incident.allowed):
        name = judged.transition
        compare("incident", judged, lambda t, n=name: t.move(who, n, **TOLD.get(n, {})))
    for step in story.record.steps.values():
        for judged in stored(step.allowed):
            name = judged.transition
            compare(step.id, judged, lambda t, s=step.id, n=name: t.finish(who, s, n, reason=WHY))
    for run in story.record.actions.values():
        for judged in stored(run.allowed):
            name = judged.transition
            compare(run.id, judged, lambda t, a=run.id, n=name: t.act(who, a, n, reason=WHY))
    for notice in story.record.notifications.values():
        for judged in stored(notice.allowed):
            name = judged.transition
            compare(notice.subject, judged, lambda t, m=notice, n=name: t.tell(m, n, who, reason=WHY))
    for duty in story.record.obligations.values():
        for judged in stored(duty.allowed):
            name = judged.transition
            compare(duty.rule_id, judged, lambda t, d=duty, n=name: handle(t, d, n, who))
    assert wrong == []


def handle(story: Story, duty: Any, name: str, who: Any) -> Any:
    """Decide an obligation, with a rationale that nobody gave before, or delay its notice."""
    if name == "delay":
        asked = DelayRequest(requested_by="the police", until=story.now + timedelta(days=3))
        return story.do(who, lambda change: delay_duty(change, str(duty.id), asked))
    if name == "lift_delay":
        return story.do(who, lambda change: resume_duty(change, str(duty.id)))
    more = {"rationale": f"{WHY} Once more: {len(duty.because)}.", "opinion_reference": f"OP-{len(duty.because)}"}
    return story.decide(duty, name, who, **more)


def courses() -> list[Story]:
    """Where random courses begin."""
    walked = engine.escalate(engine.contain(declared(by=DAN), who=DAN), BEN)
    closed = ready()
    closed.sign()
    return [reported(by=DAN), declared(), walked, ready(), grave(), closed]


STARTS = courses()

THINGS = ["fact", "incident", "step", "action", "draft", "notice", "duty", "evidence", "participant", "sign"]
doing = st.tuples(
    st.sampled_from(THINGS),
    st.integers(0, len(CALLERS) - 1),
    st.integers(0, 200),
    st.integers(0, 200),
)


def at(rows: Any, index: int) -> Any:
    found = list(rows)
    return found[index % len(found)] if found else None


def step_of(story: Story, command: tuple[str, int, int, int]) -> None:
    """One random command; a refusal is as good as a success."""
    kind, caller, first, second = command
    who = CALLERS[caller]
    if kind == "fact":
        name = at(("credentials_exposed", "client_harm", "policy_gap_found"), first)
        story.fact(name, at((True, False, "unknown"), second))
    elif kind == "incident":
        name = at(INCIDENT, first)
        story.move(who, name, **TOLD.get(name, {}))
    elif kind == "step" and story.record.steps:
        story.finish(who, at(story.record.steps, first), at(("complete", "skip"), second), reason=WHY)
    elif kind == "action" and story.record.actions and story.playbook is not None:
        run = at(story.record.actions.values(), first)
        action = story.playbook.action(run.id)
        names = offered(action) if action else ()
        outcome = action.outcomes[0] if action and action.outcomes else None
        story.act(who, run.id, at(names, second) or "complete", reason=WHY, outcome=outcome)
    elif kind == "draft":
        told = at(
            (
                {"action_id": "DL.2.1"},
                {"kind": "regulator", "action_id": "DL.4.2"},
                {"kind": "client_notice", "client_id": NORTH.id},
                {"kind": "briefing", "body": "Mind the data."},
            ),
            first,
        )
        story.draft(who, **told)
    elif kind == "notice" and story.record.notifications:
        story.tell(at(story.record.notifications.values(), first), at(NAMES, second), who, reason=WHY)
    elif kind == "duty" and story.record.obligations:
        handle(story, at(story.record.obligations.values(), first), at(OFFERED, second), who)
    elif kind == "evidence":
        story.attach("DL.1.2", who if who is not MACHINE else BEN)
    elif kind == "participant":
        story.concern("person", at((DAN.id, ADA.id), first), by=who if who is not MACHINE else ADA, reason=WHY)
    elif kind == "sign":
        story.sign(who)


@settings(
    max_examples=100,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.integers(0, len(STARTS) - 1), st.lists(doing, max_size=12), st.integers(0, len(CALLERS) - 1))
def test_what_is_shown_as_allowed_is_what_the_call_answers(
    start: int, commands: list[tuple[str, int, int, int]], caller: int
) -> None:
    story = copy.copy(STARTS[start])
    story.events = []
    for command in commands:
        before = as_stored(story.record)
        try:
            step_of(story, command)
        except Refusal:
            assert as_stored(story.record) == before  # a refusal changes nothing
    check(story, CALLERS[caller])


def test_it_agrees_for_everybody_at_the_start_of_each_course() -> None:
    for story in STARTS:
        for who in CALLERS:
            check(story, who)
