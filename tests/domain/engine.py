"""An incident in memory: the whole engine without a database, on a clock that tests wind by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from domain.actions import ActionCommand, transition_action
from domain.actors import Actor
from domain.changes import Change, Event, Person, Surroundings, TenantSettings
from domain.closing import sign_off
from domain.documentation import write_document
from domain.duties import DutyDecision, decide_duty
from domain.evidence import NewEvidence, attach_evidence
from domain.incidents import HeaderEdit, IncidentCommand, edit_header, transition_incident
from domain.notifications import Message, NotificationCommand, transition_notification, write_notification
from domain.obligations import ClientProfile
from domain.overrides import Override
from domain.participants import name_person_concerned
from domain.playbooks import Playbook, catalogue
from domain.record import ActionRun, Evidence, Incident, Notification, Record, StepRun
from domain.reporting import Intake, Report, name_incident, open_report
from domain.risk_updates import Citation, record_risk_update
from domain.risks import Revision, Risk
from domain.settling import settle
from domain.steps import StepCommand, transition_step

START = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)  # a Friday
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
WHY = "A sentence of a reason that an auditor can read."
TARGETS = ("technical_controls", "vendor_review", "tool_list", "training", "policy")
LIST = {"data_type": "contact_data", "record_count": 40, "individuals_count": 40, "count_precision": "exact"}
TOOL = {"name": "ExampleChat", "url": "https://chat.example.com", "identification": "identified"}
NOBODY = {"none": True, "reason": "Neither clients nor private persons were touched, it was our own list."}
CAUSE = {
    "category": "policy_not_followed",
    "statement": "The policy forbids it and the person was in a hurry that night.",
}


def numbered(number: int) -> UUID:
    """An id that reads well in a failure."""
    return UUID(int=number)


def person(number: int, name: str, *roles: str, **more: Any) -> Person:
    """Somebody of the tenant."""
    return Person(id=numbered(number), name=name, roles=frozenset(roles), **more)


ADA = person(1, "Ada Moreno", "risk_owner", email="ada@msp.example", user_name="amoreno")
BEN = person(2, "Ben Okafor", "it_security", email="ben@msp.example", manager_id=numbered(1))
CLEO = person(3, "Cleo Varga", "legal_counsel", "executive_leadership", email="cleo@msp.example")
DAN = person(4, "Dan Field", email="dan@msp.example", user_name="dfield", manager_id=numbered(5))
EVE = person(5, "Eve Stone", "account_owner", email="eve@msp.example")
FAY = person(6, "Fay Lindt", "risk_owner", "security_lead", email="fay@msp.example")
TEAM = (ADA, BEN, CLEO, DAN, EVE, FAY)
NORTH = ClientProfile(id=numbered(101), name="North Dental")
SOUTH = ClientProfile(id=numbered(102), name="South Legal")


def playbook(slug: str = "data-leakage") -> Playbook:
    """A shipped playbook."""
    found = catalogue().get(slug)
    assert found is not None
    return found


def as_stored(record: Record) -> Record:
    """The record as it comes back from the database."""
    return _decode(_encode(record))


_encode, _decode = msgspec.json.Encoder().encode, msgspec.json.Decoder(Record).decode


class Story:
    """One incident and what people do to it. `now` is the clock; every call settles as the write path does."""

    def __init__(self, *people: Person, clients: tuple[ClientProfile, ...] = (NORTH, SOUTH)) -> None:
        self.now = START
        self.people = {p.id: p for p in people or TEAM}
        self.clients = {c.id: c for c in clients}
        self.settings = TenantSettings()
        self.children_open = 0
        self.events: list[Event] = []
        self.playbook: Playbook | None = None
        self.ids = 1000

    def new_id(self) -> UUID:
        self.ids += 1
        return numbered(self.ids)

    def around(self) -> Surroundings:
        return Surroundings(
            settings=self.settings,
            people=self.people,
            clients=self.clients,
            children_open=self.children_open,
            head_hash=f"{len(self.events):064x}",
        )

    def actor(self, who: Person | Actor) -> Actor:
        return who if isinstance(who, Actor) else Actor(kind="person", id=who.id, roles=who.roles)

    def report(self, who: Person | Actor = ADA, pinned: Playbook | None = None, **told: Any) -> Story:
        """Report; declared when a playbook is pinned that the reporter may declare."""
        report = Report(**{"title": "A list in a chatbot", **told})
        intake = Intake(id=numbered(500), playbook=pinned)
        change = open_report(report, intake, self.actor(who), self.now, self.around(), self.new_id)
        self.record = change.record
        self._finish(change)
        name_incident(change, "INC-1001")
        return self

    def do(self, who: Person | Actor, apply: Callable[[Change], Any]) -> Any:
        """One change by one person, settled and kept; a refusal leaves nothing behind."""
        record = as_stored(self.record)
        change = Change(record, self.playbook, self.actor(who), self.now, self.around(), self.new_id)
        result = apply(change)
        self.record = record
        self._finish(change)
        self.record = as_stored(record)
        return result

    def _finish(self, change: Change) -> None:
        settle(change)
        if change.events:
            self.record.incident.version += 1
        self.last = change.events
        self.events += change.events
        self.playbook = change.playbook

    @property
    def incident(self) -> Incident:
        return self.record.incident

    def step(self, step_id: str) -> StepRun:
        return self.record.steps[step_id]

    def action(self, action_id: str) -> ActionRun:
        return self.record.actions[action_id]

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def exceptions(self, kind: str) -> list[Any]:
        return [e for e in self.record.exceptions.values() if e.kind == kind]

    def move(self, who: Person | Actor, transition: str, **more: Any) -> None:
        slug = more.pop("slug", None)
        command = IncidentCommand(transition=transition, playbook=playbook(slug) if slug else None, **more)
        self.do(who, lambda change: transition_incident(change, command))

    def act(self, who: Person | Actor, action_id: str, transition: str = "complete", **more: Any) -> ActionRun:
        command = ActionCommand(transition=transition, **more)
        self.do(who, lambda change: transition_action(change, action_id, command))
        return self.action(action_id)

    def finish(self, who: Person | Actor, step_id: str, transition: str = "complete", **more: Any) -> StepRun:
        command = StepCommand(transition=transition, **more)
        self.do(who, lambda change: transition_step(change, step_id, command))
        return self.step(step_id)

    def edit(self, who: Person | Actor = ADA, **header: Any) -> None:
        self.do(who, lambda change: edit_header(change, HeaderEdit(**header)))

    def fact(self, name: str, value: Any, who: Person | Actor = ADA) -> None:
        self.edit(who, facts={name: value})

    def write(self, item: str, value: dict[str, Any], who: Person | Actor = ADA) -> None:
        self.do(who, lambda change: write_document(change, item, value))

    def concern(self, who: str = "none", concerned: UUID | None = None, by: Person = ADA, **more: Any) -> None:
        note, reason = more.get("note"), more.get("reason")
        self.do(by, lambda change: name_person_concerned(change, who, concerned, note, reason))

    def attach(self, action_id: str | None = "DL.1.2", who: Person | Actor = BEN) -> Evidence:
        item = NewEvidence(
            id=self.new_id(),
            sha256="a" * 64,
            size=3,
            media_type="text/plain",
            filename="prompt.txt",
            kind="screenshot",
            action_id=action_id,
        )
        made: Evidence = self.do(who, lambda change: attach_evidence(change, item))
        return self.record.evidence[str(made.id)]

    def draft(self, who: Person | Actor = BEN, **said: Any) -> Notification:
        whole = {
            "kind": "internal",
            "audience": "risk management",
            "channel": "e-mail",
            "recipients": ["security@msp.example"],
            "subject": "Data in a public chatbot",
            "body": "Contact data was entered into a public AI service.",
            **said,
        }
        made = self.do(who, lambda change: write_notification(change, Message(**whole)))
        return self.record.notifications[str(made.id)]

    def tell(self, made: Notification, transition: str, who: Person | Actor = BEN, **more: Any) -> Notification:
        command = NotificationCommand(transition=transition, **more)
        self.do(who, lambda change: transition_notification(change, str(made.id), command))
        return self.record.notifications[str(made.id)]

    def decide(self, duty: Any, decision: str = "not_required", who: Person = ADA, **more: Any) -> Any:
        told = {"rationale": WHY, **more}
        self.do(who, lambda change: decide_duty(change, str(duty.id), DutyDecision(decision=decision, **told)))
        return self.record.obligations[str(duty.id)]

    def sign(self, who: Person = ADA, *overrides: Override) -> bool:
        closed: bool = self.do(who, lambda change: sign_off(change, "All is done and documented.", overrides))
        return closed


def alone(**more: Any) -> Override:
    """What rule C13 asks for."""
    told = {"gate": "G-ALL-11", "reason": WHY, "outside_reviewer": "Grace of a peer provider", **more}
    told.setdefault("review_due_at", START + 60 * DAY)
    return Override(**told)


def reported(*people: Person, by: Person = ADA, **told: Any) -> Story:
    """A report that nobody has evaluated."""
    return Story(*people).report(by, **told)


def declared(*people: Person, by: Person = BEN, slug: str = "data-leakage", **told: Any) -> Story:
    """A declared incident, reported and declared by Ben."""
    return Story(*people).report(by, playbook(slug), **told)


def contain(story: Story, who: Person = BEN, *, data: dict[str, Any] | None = None, exposed: Any = False) -> Story:
    """DL.1, complete."""
    shot = story.attach("DL.1.2", who)
    story.act(who, "DL.1.1")
    story.act(who, "DL.1.2", evidence_ids=[shot.id])
    story.act(who, "DL.1.3", inputs={"ai_systems": {"entries": [TOOL]}})
    inputs = {"affected_data": {"entries": [data or LIST]}, "credentials_exposed": exposed}
    story.act(who, "DL.1.4", inputs=inputs)
    story.act(who, "DL.1.5", inputs={"impacted_parties": NOBODY})
    if exposed is True:
        story.act(who, "DL.1.6")
    story.finish(who, "DL.1")
    return story


def escalate(story: Story, who: Person = BEN) -> Story:
    """DL.2, complete."""
    story.tell(story.draft(who, action_id="DL.2.1"), "record_sent", who)
    story.act(who, "DL.2.2", inputs={"retention": "30 days", "breach_notice": "within 72 hours"})
    story.act(who, "DL.2.3", inputs={"opt_out_available": "yes"})
    story.act(who, "DL.2.4")
    story.finish(who, "DL.2")
    return story


def assess(story: Story, who: Person = ADA) -> Story:
    """DL.3, complete, with every duty decided against."""
    for action in ("DL.3.1", "DL.3.2", "DL.3.3"):
        if story.action(action).status == "pending":
            story.act(who, action, outcome="does_not_apply", inputs={"rationale": "Too few persons."})
    vendor = {"vendor_retained": "yes", "vendor_trained_on": "no", "vendor_access_known": "unknown"}
    story.act(who, "DL.3.5", inputs=vendor)
    story.act(who, "DL.3.6", outcome="reviewed", inputs={"rationale": "The rules ran over the facts."})
    settle_duties(story, who)
    story.finish(who, "DL.3")
    return story


def settle_duties(story: Story, who: Person = ADA) -> None:
    """Decide every open duty against notifying."""
    for duty in list(story.record.obligations.values()):
        if duty.outcome != "not_triggered" and duty.decision == "open":
            story.decide(duty, who=who)


def remedy(story: Story, who: Person = BEN, owner: Person = ADA) -> Story:
    """DL.4, complete."""
    story.act(who, "DL.4.1")
    revise(story, owner)
    story.act(who, "DL.4.3")
    story.act(who, "DL.4.4")
    story.act(who, "DL.4.5", inputs={"vendor_answer": "Deleted.", "deletion_confirmed": "yes"})
    settle_duties(story, owner)
    story.finish(who, "DL.4")
    return story


def revise(story: Story, who: Person = ADA) -> None:
    """The register takes note of the incident."""
    risk = Risk(
        ref=story.incident.primary_risk or "AR-001",
        title="Disclosure",
        likelihood=3,
        impact=3,
        residual_likelihood=2,
        residual_impact=2,
    )
    revision = Revision(
        decision="no_change", status="accepted", before=risk, after=risk, changes={}, reason=WHY, cause="incident"
    )
    cited = Citation(revision_id=story.new_id(), revision=revision, person_id=who.id, at=story.now)
    story.do(who, lambda change: record_risk_update(change, cited))


def done_by(doer: Person, verifier: Person) -> dict[str, Any]:
    """One line of D09."""
    return {
        "description": "The chat was deleted.",
        "done_at": "2026-11-20T02:30:00Z",
        "done_by": str(doer.id),
        "verified_by": str(verifier.id),
    }


def review(story: Story, who: Person = ADA, doer: Person = BEN, **more: Any) -> Story:
    """DL.5 up to the sign-off, person concerned and discovery included."""
    briefing = story.draft(who, kind="briefing", action_id="DL.5.1", body="Keep client data out of chatbots.")
    story.tell(briefing, "record_sent", who)
    story.act(who, "DL.5.2", outcome="not_needed", inputs={"rationale": "Filtered.", "policy_gap_found": False})
    story.act(who, "CO.3", inputs={"root_cause": CAUSE})
    story.act(who, "CO.4", inputs={"remediation": {"entries": [done_by(doer, who)]}}, **more)
    story.act(who, "CO.5", inputs={"none": {"reason": WHY}})
    answers = {target: {"answer": "no_change_needed", "reason": WHY} for target in TARGETS}
    story.act(who, "CO.6", outcome="answered", inputs=answers)
    story.write("D02", {"discovered_by": str(doer.id), "discovery_method": "self_report"}, who)
    story.concern("none", by=who)
    for notice in list(story.record.notifications.values()):
        if notice.kind == "escalation" and notice.status == "draft":
            story.tell(notice, "record_sent", who)
    return story


def ready(story: Story | None = None, **more: Any) -> Story:
    """Everything done, waiting for signatures."""
    story = story or declared()
    contain(story, **more)
    escalate(story)
    assess(story)
    remedy(story)
    return review(story)
