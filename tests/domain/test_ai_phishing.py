"""AI phishing: what the source says of it, contact broken off before any paperwork, and a warning that cannot wait."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from domain.changes import TenantSettings
from domain.evidence import NewEvidence, attach_evidence, check_removal
from domain.playbooks import Playbook
from domain.refusals import GateRefused, Invalid, Refusal
from tests.domain import engine
from tests.domain.engine import ADA, BEN, DAN, FAY, MINUTE, NORTH, START, WHY, Story, declared

STEPS = {
    "PH.1": ("immediate", "Break off contact", ("any_staff",), "immediate", None, ()),
    "PH.2": (
        "escalate",
        "Report to the security lead and IT",
        ("security_lead", "it_security"),
        "duration",
        "PT1H",
        ("CC6.8",),
    ),
    "PH.3": ("contain", "Block and assess the damage", ("security_lead",), "duration", "PT4H", ("CC7.3",)),
    "PH.4": (
        "post_incident",
        "Warn staff, strengthen defences",
        ("risk_owner", "security_lead"),
        "duration",
        "P7D",
        ("CC1.4", "CC4.2"),
    ),
}
ACTIONS = {
    "PH.1.1": ("prohibition", None, ""),
    "PH.1.2": ("task", "credentials_exposed", "D06 D09"),
    "PH.1.3": ("task", "payment_initiated", "D06 D07"),
    "PH.1.4": ("evidence", None, "D06"),
    "PH.2.1": ("evidence", 'channel == "email"', "D06"),
    "PH.2.2": ("record", 'channel in ["voice", "video"]', "D02 D06"),
    "PH.2.3": ("record", None, "D04 D05"),
    "PH.2.4": ("record", None, "D05"),
    "PH.3.1": ("task", 'channel == "email"', "D06 D09"),
    "PH.3.2": ("decision", None, "D04"),
    "PH.3.3": ("task", None, "D06"),
    "PH.3.4": ("notify_external", "client_impersonated", "D07"),
    "PH.4.1": ("notify_internal", None, "D07"),
    "PH.4.2": ("task", None, "D12"),
    "PH.4.3": ("task", None, "D09 D12"),
    "PH.4.4": ("task", None, "D10"),
}


def book() -> Playbook:
    return engine.playbook("ai-phishing")


def test_it_has_the_steps_and_actions_of_its_source() -> None:
    found = {s.id: (s.phase, s.title, s.owner_roles, s.sla.kind, s.sla.value, s.controls) for s in book().steps}
    assert found == STEPS
    own = [a for a in book().actions.values() if a.id.startswith("PH.")]
    assert {a.id: (a.type, a.required_if, " ".join(a.fills)) for a in own} == ACTIONS
    assert {a.source for a in own} == {"S"}
    assert (book().primary_risk, book().severity_floor, book().first_step_open_to_all) == ("AR-004", "SEV3", True)


def test_recording_the_tool_waits_until_contact_is_broken_off() -> None:
    where = {a.id: a.step_id for a in book().actions.values() if a.id.startswith("CO.")}
    assert where == {"CO.1": "PH.1", "CO.2": "PH.2", **dict.fromkeys(["CO.3", "CO.4", "CO.5", "CO.6", "CO.7"], "PH.4")}


def phished(**facts: Any) -> Story:
    """Dan, who got the message, reports it."""
    known = {"channel": "email", "credentials_exposed": False, "payment_initiated": False, **facts}
    return declared(by=DAN, slug="ai-phishing", title="A mail that asked for a password", facts=known)


def keep(story: Story, kind: str = "email_original", action_id: str = "PH.1.4", who: Any = DAN) -> Any:
    item = NewEvidence(
        id=story.new_id(),
        sha256="b" * 64,
        size=9,
        media_type="message/rfc822",
        filename="mail.eml",
        kind=kind,
        action_id=action_id,
    )
    story.do(who, lambda change: attach_evidence(change, item))
    return item


def break_off(story: Story, kind: str = "email_original") -> Story:
    item = keep(story, kind)
    story.act(DAN, "PH.1.1")
    story.act(DAN, "PH.1.4", evidence_ids=[item.id])
    story.finish(DAN, "PH.1")
    return story


def report_it(story: Story, *, impersonated: bool = False) -> Story:
    if story.action("PH.2.1").requirement == "required":
        item = keep(story, action_id="PH.2.1", who=BEN)
        story.act(BEN, "PH.2.1", evidence_ids=[item.id])
    story.act(FAY, "PH.2.3", inputs={"scope": "many"})
    entries = [{"kind": "client", "client_id": str(NORTH.id)}]
    told = {"impacted_parties": {"entries": entries}, "client_impersonated": impersonated}
    story.act(BEN, "PH.2.4", inputs=told)
    reason = "The tool that wrote the message is not known, as is usual here."
    story.act(BEN, "CO.2", inputs={"ai_systems": {"entries": [{"identification": "unknown", "reason": reason}]}})
    story.finish(FAY, "PH.2")
    return story


def assess(story: Story) -> Story:
    if story.action("PH.3.1").requirement == "required":
        story.act(FAY, "PH.3.1")
    none = {"none": True, "reason": "Nobody answered and nothing was given away."}
    story.act(FAY, "PH.3.2", outcome="nothing", inputs={"affected_data": none, "rationale": "The logs show no click."})
    story.act(FAY, "PH.3.3")
    return story


def gate_of(apply: Any) -> str | None:
    with pytest.raises(GateRefused) as refused:
        apply()
    return refused.value.gate


def test_an_immediate_step_is_breached_only_past_its_grace() -> None:
    story = phished()
    step = story.step("PH.1")
    assert (step.due_at, step.breach_at) == (START, START + 15 * MINUTE)
    story.now += 15 * MINUTE
    assert (break_off(story).step("PH.1").first_result or {})["state"] == "met"
    late = phished()
    late.now += 15 * MINUTE + timedelta(seconds=1)
    assert (break_off(late).step("PH.1").first_result or {})["state"] == "met_late"


def test_the_grace_is_the_tenants_and_says_when_it_is_announced() -> None:
    story = Story()
    story.settings = TenantSettings(grace=5 * MINUTE)
    story.report(DAN, book(), title="A mail that asked for a password")
    step = story.step("PH.1")
    assert (step.at_risk_at, step.due_at, step.breach_at) == (START, START, START + 5 * MINUTE)
    assert story.incident.next_alarm_at == START


@pytest.mark.parametrize(
    ("facts", "open_action"),
    [({"credentials_exposed": True}, "PH.1.2"), ({"payment_initiated": True}, "PH.1.3")],
)
def test_contact_is_not_broken_off_while_a_credential_or_a_payment_is_open(
    facts: dict[str, Any], open_action: str
) -> None:
    story = phished(**facts)
    item = keep(story)
    story.act(DAN, "PH.1.1")
    story.act(DAN, "PH.1.4", evidence_ids=[item.id])
    with pytest.raises(GateRefused) as refused:
        story.finish(DAN, "PH.1")
    assert (refused.value.gate, [m.ref for m in refused.value.missing]) == ("G-PH-2", [open_action])
    with pytest.raises(GateRefused):
        story.act(ADA, open_action, "skip", reason=WHY)
    story.act(DAN, open_action)
    assert story.finish(DAN, "PH.1").status == "completed"


def test_the_original_that_is_kept_is_what_it_gets_forwarded() -> None:
    story = break_off(phished())
    (original,) = story.record.evidence.values()
    run = story.act(BEN, "PH.2.1", evidence_ids=[original.id])
    assert run.evidence_ids == [original.id]
    assert [e.action_id for e in story.record.evidence.values()] == ["PH.1.4"]
    item = keep(story, action_id="PH.2.1", who=BEN)
    story.act(ADA, "PH.1.4", "reopen", reason=WHY)
    with pytest.raises(Invalid):  # not the other way round
        story.act(DAN, "PH.1.4", evidence_ids=[item.id])


def test_what_nobody_knows_yet_holds_the_step_and_not_the_acknowledgement() -> None:
    story = declared(by=DAN, slug="ai-phishing")
    story.act(DAN, "PH.1.1")
    assert story.action("PH.1.2").status == story.action("PH.1.3").status == "pending_fact"
    assert story.step("PH.1").status == "blocked"
    story.act(DAN, "PH.1.1", "reopen", reason=WHY)
    story.act(DAN, "PH.1.1", inputs={"channel": "voice", "credentials_exposed": False, "payment_initiated": True})
    assert (story.action("PH.1.2").status, story.action("PH.1.3").status) == ("not_applicable", "pending")
    required = {run.id for run in story.record.actions.values() if run.requirement == "required"}
    assert required >= {"PH.2.2"}
    assert not required & {"PH.2.1", "PH.3.1"}


def test_credentials_found_later_reopen_the_first_step() -> None:
    story = report_it(break_off(phished()))
    story.act(
        FAY,
        "PH.3.2",
        outcome="given_away",
        inputs={
            "affected_data": {"entries": [{"data_type": "credentials_user", "count_precision": "exact"}]},
            "rationale": "The password was typed on the page behind the link.",
        },
    )
    assert story.action("PH.1.2").status == "pending"
    assert (story.step("PH.1").status, story.step("PH.1").reopened_by) == ("blocked", "fact_change")


def removal(story: Story) -> None:
    story.do(ADA, check_removal)


def test_nothing_is_taken_from_the_evidence_before_the_original_is_kept() -> None:
    story = phished()
    keep(story, "screenshot", "PH.2.1")
    assert gate_of(lambda: removal(story)) == "G-PH-1"
    item = keep(story, "screenshot")
    story.act(DAN, "PH.1.4", evidence_ids=[item.id])
    assert gate_of(lambda: removal(story)) == "G-PH-1"  # an e-mail is kept whole, not as a picture of it
    keep(story, "email_original")
    removal(story)


def test_of_a_call_a_description_is_the_original() -> None:
    story = phished(channel="voice")
    item = keep(story, "note")
    assert gate_of(lambda: removal(story)) == "G-PH-1"
    story.act(DAN, "PH.1.4", evidence_ids=[item.id])
    removal(story)


def test_an_original_that_is_lost_counts_once_that_is_approved() -> None:
    story = phished()
    story.act(DAN, "PH.1.4", "unavailable", reason=WHY)
    assert gate_of(lambda: removal(story)) == "G-PH-1"
    story.act(ADA, "PH.1.4", "approve")
    removal(story)


def test_what_was_no_incident_keeps_nothing_back() -> None:
    story = phished()
    story.write("D02", {"discovered_by": str(DAN.id), "discovery_method": "self_report"})
    story.move(ADA, "reject", disposition="false_positive", reason=WHY)
    removal(story)


def harden(story: Story) -> Story:
    """PH.4 up to the sign-off."""
    alert = story.draft(FAY, kind="briefing", action_id="PH.4.1", subject="Calls in our name", body="Hang up.")
    story.tell(alert, "record_sent", FAY)
    story.act(FAY, "PH.4.2")
    story.act(FAY, "PH.4.3")
    engine.revise(story)
    story.act(FAY, "PH.4.4")
    story.act(ADA, "CO.3", inputs={"root_cause": engine.CAUSE})
    story.act(ADA, "CO.4", inputs={"remediation": {"entries": [engine.done_by(FAY, ADA)]}})
    story.act(ADA, "CO.5", inputs={"none": {"reason": WHY}})
    answers = {target: {"answer": "no_change_needed", "reason": WHY} for target in engine.TARGETS}
    story.act(ADA, "CO.6", outcome="answered", inputs=answers)
    story.write("D02", {"discovered_by": str(DAN.id), "discovery_method": "self_report"})
    story.concern("none")
    engine.settle_duties(story)
    return story


def test_an_alert_to_staff_names_no_victim() -> None:
    story = assess(report_it(break_off(phished())))
    story.finish(FAY, "PH.3")
    told = {"kind": "briefing", "action_id": "PH.4.1", "subject": "Beware", "body": "Mr Field nearly paid."}
    assert gate_of(lambda: story.draft(FAY, **told)) == "G-ALL-5"
    with pytest.raises(Invalid):
        story.draft(FAY, **{**told, "kind": "internal", "body": "Beware."})


def test_it_closes_only_with_the_original_message() -> None:
    story = harden(_closing("screenshot"))
    with pytest.raises(Refusal) as refused:
        story.sign()
    assert (refused.value.gate, refused.value.code) == ("G-PH-1", "documentation-incomplete")
    keep(story, "email_original")
    assert story.sign()


def _closing(kind: str) -> Story:
    story = assess(report_it(break_off(phished(), kind)))
    story.finish(FAY, "PH.3")
    return story


@pytest.mark.parametrize(
    ("facts", "level", "harm", "floors"),
    [
        ({}, "SEV3", 1, ["F11"]),
        (
            {"payment_initiated": True, "payment_recovered": False, "channel": "voice"},
            "SEV2",
            3,
            ["F6", "F11"],
        ),  # a deepfake call, money gone
        ({"payment_initiated": True, "payment_recovered": True}, "SEV3", 2, ["F11"]),
        ({"client_impersonated": True}, "SEV2", 1, ["F7", "F11"]),  # a wave in our name, nobody answered
    ],
)
def test_its_severity_follows_money_and_impersonation(
    facts: dict[str, Any], level: str, harm: int, floors: list[str]
) -> None:
    basis = phished(**facts).incident.severity_basis
    assert (basis["level"], basis["H"], basis["floors"]) == (level, harm, floors)
    assert basis["E"] == 1  # unknown exposure counts as limited
