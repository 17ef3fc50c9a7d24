"""Messages: four eyes, what may be said, through which channel, and what has to come first."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pytest

from domain.actors import Actor
from domain.notifications import Message, edit_notification
from domain.participants import set_participant
from domain.refusals import Conflict, Forbidden, GateRefused, Invalid
from tests.domain import engine
from tests.domain.engine import ADA, BEN, CLEO, DAN, EVE, FAY, NORTH, WHY, Story, alone, declared, numbered, person

CLIENT = {"kind": "client_notice", "action_id": "DL.4.2", "client_id": NORTH.id, "audience": "North Dental"}


@cache
def _assessed() -> Story:
    story = engine.assess(engine.escalate(engine.contain(declared())))
    story.edit(client_ids=[NORTH.id])
    return story


def assessed() -> Story:
    """DL.3 is done and North Dental is a client of the incident."""
    return copy.deepcopy(_assessed())


def gate_of(apply: Any) -> str | None:
    with pytest.raises(GateRefused) as refused:
        apply()
    return refused.value.gate


def edit(story: Story, made: Any, who: Any = BEN, **said: Any) -> Any:
    story.do(who, lambda change: edit_notification(change, str(made.id), Message(**said)))
    return story.record.notifications[str(made.id)]


def test_a_client_notice_takes_another_person_before_it_is_sent() -> None:
    story = assessed()
    made = story.draft(BEN, **CLIENT)
    with pytest.raises(Conflict):
        story.tell(made, "record_sent")
    assert story.tell(made, "submit").status == "in_review"
    with pytest.raises(Forbidden):
        story.tell(made, "approve", EVE)
    approved = story.tell(made, "approve", CLEO)
    assert (approved.status, approved.approved_by) == ("approved", CLEO.id)
    sent = story.tell(made, "record_sent")
    assert (sent.status, len(sent.content_hash or "")) == ("sent", 64)


def test_the_author_does_not_approve_with_a_second_key() -> None:
    story = assessed()
    made = story.draft(ADA, **CLIENT)
    story.tell(made, "submit", ADA)
    other_key = Actor(kind="person", id=ADA.id, roles=ADA.roles, key_id=numbered(900))
    assert gate_of(lambda: story.tell(made, "approve", other_key)) == "G-ALL-11"
    assert story.record.notifications[str(made.id)].status == "in_review"
    story.tell(made, "approve", FAY)


def test_a_service_account_never_approves() -> None:
    story = assessed()
    made = story.draft(BEN, **CLIENT)
    story.tell(made, "submit")
    machine = Actor(kind="service_account", id=numbered(901), roles=frozenset({"risk_owner"}))
    with pytest.raises(Forbidden):
        story.tell(made, "approve", machine)


def test_the_recorded_manager_of_the_author_approves() -> None:
    boss = person(7, "Gil Boss")
    story = assessed()
    story.people[boss.id] = boss
    story.people[BEN.id] = person(2, "Ben Okafor", "it_security", manager_id=boss.id)
    made = story.draft(BEN, **CLIENT)
    story.tell(made, "submit")
    assert story.tell(made, "approve", boss).status == "approved"


def test_whoever_was_made_by_the_author_does_not_approve() -> None:
    puppet = person(8, "Hal Puppet", "risk_owner", created_by=BEN.id)
    story = assessed()
    story.people[puppet.id] = puppet
    made = story.draft(BEN, **CLIENT)
    story.tell(made, "submit")
    assert gate_of(lambda: story.tell(made, "approve", puppet)) == "G-ALL-11"
    story.tell(made, "approve", CLEO)


def test_c13_where_nobody_else_is_active_the_author_approves_by_exception() -> None:
    story = assessed()
    made = story.draft(ADA, **CLIENT)
    story.tell(made, "submit", ADA)
    assert gate_of(lambda: story.tell(made, "approve", ADA, overrides=[alone()])) == "G-ALL-11"
    story.people = {ADA.id: ADA}
    assert story.tell(made, "approve", ADA, overrides=[alone()]).status == "approved"
    (exception,) = story.exceptions("override")
    assert exception.details["notification_id"] == str(made.id)
    assert exception.details["transition"] == "approve"


def test_editing_returns_it_to_draft_and_every_writer_stays_barred() -> None:
    story = assessed()
    made = story.draft(BEN, **CLIENT)
    story.tell(made, "submit")
    story.tell(made, "approve", CLEO)
    edited = edit(story, made, ADA, body="We found out what happened.")
    assert (edited.status, edited.approved_by, edited.approved_at) == ("draft", None, None)
    with pytest.raises(Conflict):
        story.tell(made, "record_sent")
    story.tell(made, "submit")
    assert gate_of(lambda: story.tell(made, "approve", ADA)) == "G-ALL-11"
    story.tell(made, "approve", FAY)


def test_a_sent_message_is_not_edited() -> None:
    story = declared()
    made = story.draft(BEN, action_id="DL.2.1")
    story.tell(made, "record_sent")
    with pytest.raises(Conflict):
        edit(story, made, body="Other words.")


def test_a_failed_one_goes_back_to_draft_when_edited() -> None:
    story = declared()
    made = story.draft(BEN, action_id="DL.2.1")
    story.tell(made, "record_sent")
    story.tell(made, "record_failed", reason=WHY)
    assert edit(story, made, channel="chat").status == "draft"


def test_changes_are_requested_with_a_reason() -> None:
    story = assessed()
    made = story.draft(BEN, **CLIENT)
    story.tell(made, "submit")
    with pytest.raises(Invalid):
        story.tell(made, "request_changes", CLEO)
    assert story.tell(made, "request_changes", CLEO, reason=WHY).status == "draft"


@pytest.mark.parametrize("kind", ["client_notice", "correction", "regulator"])
def test_nobody_outside_is_told_before_the_assessment(kind: str) -> None:
    story = engine.contain(declared())
    story.edit(client_ids=[NORTH.id])
    made = story.draft(ADA, kind=kind)
    story.tell(made, "submit", ADA)
    story.tell(made, "approve", CLEO)
    assert gate_of(lambda: story.tell(made, "record_sent", ADA)) == "G-DL-1"
    assert story.record.notifications[str(made.id)].status == "approved"


def test_g_dl_1_asks_for_the_actions_of_dl_3_and_not_for_paperwork_before() -> None:
    story = declared()
    story.write("D04", {"entries": [engine.LIST]})
    story.write("D05", engine.NOBODY)
    story.act(ADA, "DL.3.1", outcome="does_not_apply", inputs={"rationale": "Too few."})
    vendor = {"vendor_retained": "yes", "vendor_trained_on": "no", "vendor_access_known": "unknown"}
    story.act(ADA, "DL.3.5", inputs=vendor)
    story.act(ADA, "DL.3.6", outcome="reviewed", inputs={"rationale": "The rules ran."})
    made = story.draft(ADA, kind="regulator")
    story.tell(made, "submit", ADA)
    story.tell(made, "approve", CLEO)
    assert story.step("DL.3").status == "locked"
    assert story.tell(made, "record_sent", ADA).status == "sent"


def test_g_dl_4_a_duty_that_stands_is_not_set_aside() -> None:
    story = assessed()
    made = story.draft(BEN, **CLIENT)
    story.fact("client_harm", False)
    story.write("D04", {"entries": [engine.LIST | {"individuals_count": 640, "record_count": 640}]})
    duty = next(d for d in story.record.obligations.values() if d.outcome != "not_triggered" and d.toward != "counsel")
    story.decide(duty, "notify")
    assert gate_of(lambda: story.tell(made, "not_required", ADA, reason=WHY)) == "G-DL-4"


def test_g_dl_4_set_aside_by_risk_owner_with_an_outcome_that_supports_it() -> None:
    story = assessed()
    made = story.draft(BEN, **CLIENT)
    with pytest.raises(Forbidden):
        story.tell(made, "not_required", BEN, reason=WHY)
    with pytest.raises(Invalid):
        story.tell(made, "not_required", ADA)
    aside = story.tell(made, "not_required", ADA, reason=WHY)
    assert (aside.status, aside.approved_by) == ("not_required", ADA.id)


def test_g_dl_4_not_before_the_assessment() -> None:
    story = engine.contain(declared())
    made = story.draft(BEN, kind="regulator", action_id="DL.4.2")
    assert gate_of(lambda: story.tell(made, "not_required", ADA, reason=WHY)) == "G-DL-4"


INVOLVED = person(11, "Mara de Witt", email="mara@msp.example", user_name="mwitt")


def briefed(involvement: str) -> Story:
    story = declared(*engine.TEAM, INVOLVED)
    if involvement == "concerned":
        story.concern("person", INVOLVED.id)
    else:
        story.do(ADA, lambda change: set_participant(change, INVOLVED.id, [], involvement))
    return story


@pytest.mark.parametrize("involvement", ["concerned", "subject", "victim", "reporter", "responder", "witness"])
@pytest.mark.parametrize(
    ("text", "naming"),
    [
        ("Please thank Mara de Witt for the report.", "full"),
        ("Ask mara@msp.example what happened.", "full"),
        ("The account mwitt was locked.", "full"),
        ("As Witt said, it happens.", "family"),
        ("Mara was in a hurry.", "no"),
        ("The twitt and the half-witted.", "no"),
        ("A witt of it.", "no"),
        ("MWITT and MARA DE WITT", "no"),
        ("mwitt2 and amwitt", "no"),
        ("Keep client data out of chatbots.", "no"),
    ],
)
def test_g_all_5_a_briefing_names_nobody(involvement: str, text: str, naming: str) -> None:
    story = briefed(involvement)
    refused = naming == "full" or (naming == "family" and involvement in ("concerned", "subject", "victim", "reporter"))
    said = {"kind": "briefing", "body": text, "action_id": "DL.5.1"}
    if refused:
        assert gate_of(lambda: story.draft(ADA, **said)) == "G-ALL-5"
    else:
        story.draft(ADA, **said)


def test_g_all_5_covers_the_reporter_the_subject_line_and_later_edits() -> None:
    story = declared(by=DAN)
    assert gate_of(lambda: story.draft(ADA, kind="briefing", subject="What Field did", body="Read.")) == "G-ALL-5"
    made = story.draft(ADA, kind="briefing", body="Read.")
    assert gate_of(lambda: edit(story, made, ADA, body="Dan Field again.")) == "G-ALL-5"


def test_g_all_5_is_asked_again_when_it_is_sent() -> None:
    story = declared(*engine.TEAM, INVOLVED)
    made = story.draft(ADA, kind="briefing", body="Thanks to Mara de Witt.")
    story.concern("person", INVOLVED.id)
    assert gate_of(lambda: story.tell(made, "record_sent", ADA)) == "G-ALL-5"


def test_g_all_5_leaves_other_kinds_alone() -> None:
    briefed("concerned").draft(BEN, action_id="DL.2.1", body="Mara de Witt reported it.")


@pytest.mark.parametrize(
    ("url", "channel", "recipients", "refused"),
    [
        ("https://chat.example.com", "ExampleChat", ["a@msp.example"], True),
        ("https://chat.example.com", "examplechat room", ["a@msp.example"], True),
        ("https://chat.example.com", "e-mail", ["bot@chat.example.com"], True),
        ("https://www.chat.example.com/x", "https://chat.example.com/room", [], True),
        ("chat.example.com", "e-mail", ["bot@chat.example.com"], True),
        ("https://chat.example.com", "e-mail", ["a@msp.example"], False),
        ("https://chat.example.com", "myexamplechatter", [], False),
        ("https://x.ai", "e-mail", ["team@apex.ai"], False),
        ("https://x.ai", "e-mail", ["bot@mail.x.ai"], True),
        ("http://[", "e-mail", ["a@msp.example"], False),
    ],
)
def test_g_all_9_never_through_the_tool_concerned(url: str, channel: str, recipients: list[str], refused: bool) -> None:
    story = declared()
    story.write("D03", {"entries": [engine.TOOL | {"url": url}]})
    said = {"channel": channel, "recipients": recipients, "action_id": "DL.2.1"}
    if refused:
        assert gate_of(lambda: story.draft(BEN, **said)) == "G-ALL-9"
        made = story.draft(BEN, action_id="DL.2.1")
        assert gate_of(lambda: edit(story, made, channel=channel, recipients=recipients)) == "G-ALL-9"
    else:
        story.draft(BEN, **said)


def test_g_all_9_an_unknown_tool_bars_no_channel() -> None:
    story = declared()
    entry = {"name": "chat", "identification": "unknown", "reason": "The attacker's tool is not known to us."}
    story.write("D03", {"entries": [entry]})
    story.draft(BEN, channel="chat", action_id="DL.2.1")


def test_a_message_belongs_where_it_says() -> None:
    story = declared()
    wrong: list[dict[str, Any]] = [
        {"action_id": "DL.9.9"},
        {"action_id": "DL.1.1"},
        {"action_id": "DL.4.2", "kind": "internal"},
        {"action_id": "DL.2.1", "kind": "client_notice"},
        {"action_id": "DL.5.1", "kind": "internal"},
        {"kind": "client_notice", "client_id": NORTH.id},
        {"obligation_id": numbered(404)},
        {"corrects_evidence_id": numbered(404)},
        {"subject": "  "},
        {"body": ""},
    ]
    for said in wrong:
        with pytest.raises(Invalid):
            story.draft(ADA, **said)


def test_only_those_who_have_a_part_write() -> None:
    story = declared()
    with pytest.raises(Forbidden):
        story.draft(DAN, action_id="DL.2.1")
    with pytest.raises(Forbidden):
        story.draft(BEN, action_id=None)  # no step asks for it
    story.draft(FAY, action_id=None)


def test_an_outside_party_is_told_about_declared_incidents_only() -> None:
    story = engine.reported()
    made = story.draft(ADA, kind="regulator")
    for transition in ("submit", "approve", "record_sent"):
        with pytest.raises(Conflict):
            story.tell(made, transition, ADA)


def test_a_letter_to_the_vendor_is_no_notice_to_the_client() -> None:
    story = assessed()
    with pytest.raises(Invalid):
        story.draft(BEN, kind="vendor", action_id="DL.4.2")
    story.tell(story.draft(ADA, kind="vendor"), "record_sent", ADA)
