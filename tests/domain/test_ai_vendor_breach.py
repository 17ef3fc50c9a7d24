"""AI vendor breach: the facts lie with a third party, and no notice ever waits for its answer."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pytest

from domain.actions import ActionCommand, transition_action
from domain.closing import closing_gaps
from domain.playbooks import FaultyPlaybook, Playbook, load
from domain.refusals import Forbidden, GateRefused, Invalid
from domain.shipped import shipped
from domain.tools import Entry, Tool
from tests.domain import engine
from tests.domain.engine import ADA, BEN, CLEO, EVE, FAY, NORTH, Story, declared, numbered, person

ATTACK = "attack_in_progress"
STEPS = {
    "VB.1": ("immediate", ("vendor_management", "it_security"), "PT1H", ("CC7.3", "CC9.2")),
    "VB.2": ("escalate", ("risk_owner", "vendor_management"), "PT4H", ("CC9.2", "CC2.2")),
    "VB.3": ("contain", ("security_lead", "it_security"), "PT24H", ("CC6.1", "CC7.4")),
    "VB.4": ("assess_and_notify", ("risk_owner", "legal_counsel", "privacy"), "PT48H", ("CC2.3", "CC7.3")),
    "VB.5": ("post_incident", ("risk_owner", "vendor_management"), "P14D", ("CC9.2", "CC4.2", "CC8.1")),
}
ACTIONS = {
    "VB.1.1": ("evidence", "D01 D02"),
    "VB.1.2": ("record", "D03"),
    "VB.1.3": ("record", "D04"),
    "VB.1.4": ("record", "D05"),
    "VB.1.5": ("task", "D06 D09"),
    "VB.2.1": ("notify_internal", "D07"),
    "VB.2.2": ("notify_external", "D06"),
    "VB.2.3": ("decision", "D07"),
    "VB.2.4": ("prohibition", ""),
    "VB.3.1": ("task", "D06 D09"),
    "VB.3.2": ("task", "D06"),
    "VB.3.3": ("decision", "D06"),
    "VB.4.1": ("decision", "D07"),
    "VB.4.2": ("notify_external", "D07"),
    "VB.4.3": ("task", "D09"),
    "VB.5.1": ("record", "D08"),
    "VB.5.2": ("decision", "D09"),
    "VB.5.3": ("task", "D10 D12"),
}


def book() -> Playbook:
    return engine.playbook("ai-vendor-breach")


def test_it_has_the_steps_and_actions_of_its_table() -> None:
    assert {s.id: (s.phase, s.owner_roles, s.sla.value, s.controls) for s in book().steps} == STEPS
    own = [a for a in book().actions.values() if a.id.startswith("VB.")]
    assert {a.id: (a.type, " ".join(a.fills)) for a in own} == ACTIONS
    assert {a.source for a in own} == {"X"}
    assert all(a.basis for a in own)
    assert {a.id for a in own if a.required_if} == {"VB.1.5", "VB.4.2"}
    assert (book().primary_risk, book().severity_floor, book().first_step_open_to_all) == ("AR-006", "SEV3", False)
    assert book().satisfied == {"CO.2": "VB.1.2", "CO.3": "VB.5.1"}


def told() -> Story:
    """Ben keeps the vendor's notice; North Dental's data may be among it."""
    story = declared(slug="ai-vendor-breach", title="The vendor tells of a breach", client_ids=[NORTH.id])
    shot = story.attach("VB.1.1")
    story.act(BEN, "VB.1.1", evidence_ids=[shot.id], inputs={"notified_by_vendor_at": "2026-11-20T02:00:00Z"})
    return story


def test_the_instant_of_the_vendors_notice_is_a_clock_that_is_typed_once() -> None:
    story = declared(slug="ai-vendor-breach")
    shot = story.attach("VB.1.1")
    with pytest.raises(Invalid):
        story.act(BEN, "VB.1.1", evidence_ids=[shot.id], inputs={"notified_by_vendor_at": "yesterday"})
    inputs = {"notified_by_vendor_at": "2026-11-20T03:00:00+01:00"}
    story.act(BEN, "VB.1.1", evidence_ids=[shot.id], inputs=inputs)
    fact = story.incident.facts["notified_by_vendor_at"]
    assert (fact["value"], fact["set_by"]) == ("2026-11-20T02:00:00.000000Z", str(BEN.id))


@cache
def _cut() -> Story:
    story = told()
    story.act(BEN, "VB.1.2", inputs={"ai_systems": {"entries": [engine.TOOL]}, "integrations": "One API key."})
    inputs = {"affected_data": {"entries": [engine.LIST]}, "credentials_exposed": False}
    story.act(BEN, "VB.1.3", inputs=inputs)
    story.act(BEN, "VB.1.4", inputs={"impacted_parties": engine.NOBODY})
    story.finish(BEN, "VB.1")
    story.tell(story.draft(ADA, action_id="VB.2.1"), "record_sent", ADA)
    story.tell(question(story), "record_sent", ADA)
    rationale = {"rationale": "The data processing agreement, section 9."}
    story.act(ADA, "VB.2.3", outcome="duty_to_clients", inputs={**rationale, "audit_right": "yes"})
    story.act(ADA, "VB.2.4")
    story.finish(ADA, "VB.2")
    story.act(BEN, "VB.3.1")
    story.act(BEN, "VB.3.2")
    story.act(FAY, "VB.3.3", outcome="suspend", inputs=rationale)
    story.finish(FAY, "VB.3")
    return story


def cut() -> Story:
    """The integration is cut off; what is owed to whom is not yet determined."""
    return copy.deepcopy(_cut())


def question(story: Story, **said: Any) -> Any:
    asked = {"kind": "vendor", "action_id": "VB.2.2", "audience": "The vendor", "body": "What was accessed, and when?"}
    return story.draft(ADA, **{**asked, **said})


def notice(story: Story, who: Any = ADA, **said: Any) -> Any:
    whole = {
        "kind": "client_notice",
        "action_id": "VB.4.2",
        "client_id": NORTH.id,
        "audience": "North Dental",
        "subject": "A breach at a vendor of ours",
        "body": "A vendor of ours was breached. What was taken is not known yet; we will write again.",
        **said,
    }
    return story.draft(who, **whole)


def approved(story: Story) -> Any:
    made = notice(story)
    story.tell(made, "submit", ADA)
    return story.tell(made, "approve", CLEO)


def gate_of(apply: Any) -> str | None:
    with pytest.raises(GateRefused) as refused:
        apply()
    return refused.value.gate


def run_rules(story: Story) -> None:
    inputs = {"rationale": "We are the processor of North Dental."}
    story.act(CLEO, "VB.4.1", outcome="reviewed", inputs=inputs)


def test_no_client_is_told_before_the_obligation_rules_were_run() -> None:
    story = cut()
    made = approved(story)
    assert gate_of(lambda: story.tell(made, "record_sent", ADA)) == "G-VB-1"
    run_rules(story)
    assert story.tell(made, "record_sent", ADA).status == "sent"
    assert story.exceptions("sent_ahead_of_approval") == []


@pytest.mark.parametrize("kind", ["regulator", "correction"])
def test_an_attack_lifts_the_hold_for_clients_alone(kind: str) -> None:
    story = cut()
    if kind == "correction":
        with pytest.raises(Invalid):
            notice(story, kind=kind)
        return
    made = notice(story, kind=kind, client_id=None)
    assert gate_of(lambda: story.tell(made, "record_sent", ADA, reason=ATTACK)) == "G-VB-1"


def test_an_attack_in_progress_lets_the_notice_out_and_the_approval_is_owed() -> None:
    story = cut()
    made = notice(story, FAY)  # the security lead, who is no actor of VB.4
    with pytest.raises(Forbidden):
        story.tell(made, "record_sent", CLEO, reason=ATTACK)
    assert story.tell(made, "record_sent", FAY, reason=ATTACK).status == "sent"
    (exception,) = story.exceptions("sent_ahead_of_approval")
    assert (exception.action_id, exception.person_id) == ("VB.4.2", FAY.id)
    run_rules(story)
    story.act(ADA, "VB.4.3")
    engine.settle_duties(story)
    assert gate_of(lambda: story.finish(ADA, "VB.4")) == "G-VB-1"
    assert gate_of(lambda: story.tell(made, "approve", FAY)) == "G-ALL-11"
    story.tell(made, "approve", CLEO)
    assert story.finish(ADA, "VB.4").status == "completed"


def test_an_approved_notice_that_an_attack_forces_out_is_an_exception_too() -> None:
    story = cut()
    made = approved(story)
    story.tell(made, "record_sent", FAY, reason=ATTACK)
    (exception,) = story.exceptions("sent_ahead_of_approval")
    assert exception.details["approved"] is True
    run_rules(story)
    story.act(ADA, "VB.4.3")
    engine.settle_duties(story)
    assert story.finish(ADA, "VB.4").status == "completed"


def test_a_notice_never_waits_for_the_vendor() -> None:
    story = told()  # nothing is asked yet, and nothing is answered
    made = approved(story)
    run_rules(story)
    assert story.action("VB.2.2").status == "pending"
    assert story.step("VB.1").status != "completed"
    assert story.tell(made, "record_sent", ADA).status == "sent"


@pytest.mark.parametrize(
    "unless",
    ['actions["VB.2.2"].done', 'steps["VB.2"].required_done', 'vendor_retained == "no"', 'actions["VB.5.1"].done'],
)
def test_a_gate_that_makes_the_notice_wait_for_the_vendor_does_not_load(unless: str) -> None:
    data = copy.deepcopy(shipped("playbooks/ai-vendor-breach.yaml"))
    send = {"operation": "notification.send", "kinds": ["client_notice"]}
    data["gates"].append({**GATE, "when": [send], "unless": unless})
    with pytest.raises(FaultyPlaybook, match="G-VB-2"):
        load({"it": data}, shipped("common_actions.yaml"), shipped("gates.yaml"))
    data["gates"][-1]["when"] = [{"operation": "step.complete", "step": "VB.5"}]  # what is no notice may wait
    load({"it": data}, shipped("common_actions.yaml"), shipped("gates.yaml"))


GATE = {"id": "G-VB-9", "text": "Wait.", "message": "Wait for it.", "source": "X", "basis": "impatience"}


def test_the_vendor_is_asked_and_told_nothing_of_a_client() -> None:
    story = told()
    with pytest.raises(Invalid):
        question(story, kind="client_notice", client_id=NORTH.id)
    assert story.tell(question(story), "record_sent", ADA).status == "sent"
    assert story.action("VB.2.2").status == "done"


def test_the_vendor_is_written_to_at_its_own_address_and_not_through_its_tool() -> None:
    story = told()
    story.act(BEN, "VB.1.2", inputs={"ai_systems": {"entries": [engine.TOOL]}, "integrations": "One API key."})
    address = "security@chat.example.com"  # the host of the tool
    story.tell(question(story, recipients=[address]), "record_sent", ADA)
    assert gate_of(lambda: question(story, channel="ExampleChat")) == "G-ALL-9"
    assert gate_of(lambda: story.draft(ADA, action_id="VB.2.1", recipients=[address])) == "G-ALL-9"


def test_credentials_at_the_vendor_are_rotated() -> None:
    story = told()
    assert story.action("VB.1.5").status == "pending_fact"
    story.write("D04", {"entries": [{"data_type": "credentials_privileged", "count_precision": "exact"}]})
    assert story.action("VB.1.5").status == "pending"
    gate = next(g for g in book().gates if g.id == "G-ALL-7")
    assert gate.names_actions == ("VB.1.5",)


GOOD: dict[str, Any] = {
    "rationale": "The checklist of the vendor, answered again.",
    "soc_report": {"answer": "yes", "source": "page", "report_type": "type_2", "period_end": "2026-10-01"},
    "training": {"answer": "no", "source": "terms"},
    "agreement": {"answer": "yes", "source": "contract", "signed": True},
    "retention": {"answer": "yes", "source": "policy", "bounded": True, "deletion_on_request": True},
}
APPROVED = {"owner": str(ADA.id), "approved_uses": ["Meeting notes"], "approved_data_classes": ["generic_prompt"]}
TRAINS = {"training": {"answer": "yes", "source": "terms", "correctable": "no"}}
NOTES = numbered(700)


class Reviewed:
    """The vendor's tool on the register, and the decision on it."""

    def __init__(self) -> None:
        self.story = cut()
        tool = Tool(
            id=NOTES,
            name="ExampleChat",
            name_key="examplechat",
            domains=["chat.example.com"],
            status="approved",
            requested_by_kind="person",
            requested_by_id=BEN.id,
            created_at=engine.START,
            updated_at=engine.START,
        )
        self.entry = Entry(tool=tool)
        self.story.write("D03", {"entries": [{**engine.TOOL, "tool_id": str(NOTES)}]})

    def do(self, who: Any, apply: Any) -> Any:
        """One change that sees the register."""
        entry = copy.deepcopy(self.entry)

        def seeing(change: Any) -> Any:
            change.tools[NOTES] = entry
            return apply(change)

        result = self.story.do(who, seeing)
        self.entry = entry
        return result

    def decide(self, who: Any, outcome: str, transition: str = "complete", **inputs: Any) -> Any:
        return self._say(who, ActionCommand(transition=transition, outcome=outcome, inputs={**GOOD, **inputs}))

    def second(self, who: Any) -> Any:
        """The second approval; what the first one filled in is not typed again."""
        return self._say(who, ActionCommand(transition="approve", outcome="approve"))

    def _say(self, who: Any, command: ActionCommand) -> Any:
        self.do(who, lambda change: transition_action(change, "VB.5.2", command))
        return self.story.action("VB.5.2")

    def gaps(self) -> list[str]:
        """What the gate on the artifacts still lacks before a signature."""
        found = self.do(ADA, closing_gaps)
        return [gap.ref for gap in found if gap.ref in ("VB.5.2", "G-VB-3")]


def test_approving_the_vendor_again_takes_two_persons() -> None:
    review = Reviewed()
    with pytest.raises(Forbidden):
        review.decide(EVE, "approve", "approve", **APPROVED)
    with pytest.raises(Invalid):
        review.decide(ADA, "approve", **APPROVED)  # one person completes only what is not approved
    assert review.decide(BEN, "approve", "approve", **APPROVED).status == "pending"
    assert review.gaps() == ["VB.5.2"]
    assert review.second(ADA).status == "done"
    assert (review.entry.tool.status, review.entry.tool.approved_uses) == ("approved", ["Meeting notes"])
    assert review.gaps() == []


def test_one_person_with_both_roles_is_one_person() -> None:
    gus = person(9, "Gus Both", "it_security", "risk_owner")
    review = Reviewed()
    review.story.people = {**review.story.people, gus.id: gus}
    review.decide(gus, "approve", "approve", **APPROVED)
    assert gate_of(lambda: review.second(gus)) == "G-ALL-11"


def test_both_approve_the_same_entry() -> None:
    review = Reviewed()
    review.decide(BEN, "approve", "approve", **APPROVED)
    wider = {**APPROVED, "approved_data_classes": ["phi"]}
    assert review.decide(ADA, "approve", "approve", **wider).status == "pending"
    assert [a["person_id"] for a in review.story.action("VB.5.2").approvals] == [str(ADA.id)]
    with pytest.raises(Forbidden):
        review.second(ADA)  # the other role is still to be heard
    other_reason = {**GOOD, **wider, "rationale": "I have read the report as well."}
    assert review.decide(BEN, "approve", "approve", **other_reason).status == "done"
    assert review.entry.tool.approved_data_classes == ["phi"]


def test_a_vendor_that_fails_the_checklist_is_not_approved() -> None:
    review = Reviewed()
    review.decide(BEN, "approve", "approve", **APPROVED, **TRAINS)
    assert gate_of(lambda: review.second(ADA)) == "G-SA-2"
    assert review.decide(ADA, "conditional", **TRAINS).outcome == "conditional"
    assert review.entry.tool.conditions
    assert review.gaps() == []


def test_an_approved_entry_without_an_owner_is_none() -> None:
    review = Reviewed()
    review.decide(BEN, "approve", "approve")
    review.second(ADA)
    assert review.gaps() == ["G-VB-3"]


def test_blocking_it_says_when_it_was_asked_of_it() -> None:
    review = Reviewed()
    assert gate_of(lambda: review.decide(ADA, "block")) == "G-VB-3"
    review.decide(ADA, "block", block_requested_at="2026-11-20T02:00:00Z")
    assert (review.entry.tool.status, review.entry.tool.blocked_domains) == ("blocked", ["chat.example.com"])
    assert review.gaps() == []


def test_staff_are_told_of_each_outcome() -> None:
    review = Reviewed()
    review.decide(ADA, "conditional")
    (drafted,) = [n for n in review.story.record.notifications.values() if n.action_id == "VB.5.2"]
    assert (drafted.kind, drafted.status) == ("briefing", "draft")
    assert "ExampleChat may be used under conditions: No client data" in drafted.body
    review.story.now += engine.MINUTE
    again = ActionCommand(transition="reopen", reason=engine.WHY)
    review.do(ADA, lambda change: transition_action(change, "VB.5.2", again))
    review.decide(ADA, "block", block_requested_at="2026-11-20T02:01:00Z")
    subjects = [n.subject for n in review.story.record.notifications.values() if n.action_id == "VB.5.2"]
    assert subjects == ["An AI tool may be used under conditions", "An AI tool has been blocked"]
