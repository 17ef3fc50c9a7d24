"""An incident of data leakage from report to signed close, through the generated client alone.

Two things are no part of the graph: a file goes over HTTP, and so does the token by which a person without a
credential gets one. `console_client` is written when the tests run; there it is checked that this is typed by it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import console_client as made  # type: ignore[import-not-found]
import httpx
from websockets.exceptions import ConnectionClosed

WHY = "A sentence of a reason that an auditor can read."
TARGETS = ("technical_controls", "vendor_review", "tool_list", "training", "policy")
TOOL = {"name": "ExampleChat", "url": "https://chat.example.com", "identification": "identified"}
CONTACTS = {"data_type": "contact_data", "record_count": 40, "individuals_count": 40, "fields": ["name", "e-mail"]}
LIST = [{**CONTACTS, "count_precision": "exact", "encrypted": False}]
NOBODY = {"none": True, "reason": "Neither clients nor private persons were touched, it was our own list."}
CAUSE = {
    "category": "policy_not_followed",
    "statement": "The policy forbids it and the person was in a hurry that night.",
    "method": "five_whys",
    "contributing": [],
    "confidence": "high",
}


class Follower:
    """Follows an incident from process to process, and keeps each message that it gets."""

    def __init__(self, incident: str) -> None:
        self.incident = incident
        self.events: list[made.FollowIncidentChanged] = []
        self.begun: list[int] = []
        self.last = 0
        self._news = asyncio.Event()

    async def follow(self, client: made.Client) -> None:
        """Until the socket is gone; from the last event on, where there was one."""
        try:
            async for told in client.follow(id=self.incident, after=self.last or None):
                self._keep(told.incidentChanged)
        except ConnectionClosed:
            pass

    def _keep(self, told: made.FollowIncidentChanged) -> None:
        if told.resync:
            self.begun.append(told.seq)
        else:
            self.events.append(told)
        self.last = told.seq
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def until(self, reached: Callable[[], bool], seconds: float = 20) -> None:
        """Wait for something that is to be told."""
        async with asyncio.timeout(seconds):
            while not reached():
                await self._news.wait()

    def saw(self, kind: str, step: str) -> bool:
        """Whether the event of a step was told, with the step as it is."""
        return any(one.kind == kind and one.step is not None and one.step.key == step for one in self.events)


class Worker:
    """One person's doings on one incident."""

    def __init__(self, client: made.Client, incident: str) -> None:
        self.client, self.incident = client, incident

    async def try_act(self, action: str, **more: Any) -> Any:
        given = made.TransitionActionInput(transition="complete", **more)
        return (await self.client.act(incident=self.incident, action=action, input=given)).transitionAction

    async def act(self, action: str, **more: Any) -> None:
        told = await self.try_act(action, **more)
        assert isinstance(told, made.ActTransitionActionSuccess), told
        assert told.action is not None
        assert (told.action.key, told.action.status) == (action, "done")

    async def try_step(self, step: str) -> Any:
        given = made.TransitionStepInput(transition="complete")
        return (await self.client.move_step(incident=self.incident, step=step, input=given)).transitionStep

    async def step(self, step: str) -> None:
        told = await self.try_step(step)
        assert isinstance(told, made.MoveStepTransitionStepSuccess), told
        assert told.step is not None
        assert told.step.status == "completed"

    async def draft(self, kind: Any, action: str | None, **more: Any) -> str:
        words: dict[str, Any] = {
            "audience": "those concerned",
            "channel": "e-mail",
            "recipients": ["security@msp.example"],
            "subject": "Data in a public chatbot",
            "body": "Contact data was entered into a public AI service. Containment is under way.",
        }
        given = made.DraftNotificationInput(kind=kind, actionId=action, **(words | more))
        told = (await self.client.draft(incident=self.incident, input=given)).draftNotification
        assert isinstance(told, made.DraftDraftNotificationSuccess), told
        assert told.notification is not None
        return str(told.notification.id)

    async def try_move(self, notification: str, transition: Any) -> Any:
        given = made.TransitionNotificationInput(transition=transition)
        moved = await self.client.move_notification(incident=self.incident, notification=notification, input=given)
        return moved.transitionNotification

    async def move(self, notification: str, transition: Any) -> str:
        told = await self.try_move(notification, transition)
        assert isinstance(told, made.MoveNotificationTransitionNotificationSuccess), told
        assert told.notification is not None
        return str(told.notification.status)

    async def attach(self, action: str) -> str:
        """A file, over HTTP; its id."""
        path = f"/v1/incidents/{self.incident}/evidence?filename=prompt.txt&kind=screenshot&action_id={action}"
        headers = {"Content-Type": "text/plain"}
        answer = await self.client.http.post(path, content=b"what was typed in", headers=headers)
        return str(answer.raise_for_status().json()["id"])

    async def overview(self) -> made.OverviewIncident:
        found = (await self.client.overview(id=self.incident)).incident
        assert found is not None
        return found

    async def sign(self) -> Any:
        given = made.SignOffInput(statement="All is done and documented.")
        return (await self.client.sign_off(incident=self.incident, input=given)).signOff


async def colleague(me: made.Client, name: str, roles: list[Any]) -> tuple[made.Client, str]:
    """Somebody else of the tenant, with a key of their own, and their id."""
    given = made.AddPersonInput(name=name, email=f"{name.split()[0].lower()}@msp.example", roles=roles)
    told = (await me.add_person(input=given)).addPerson
    assert isinstance(told, made.AddPersonAddPersonSuccess), told
    assert told.person is not None
    enrolled = (await me.enrol(id=told.person.id)).enrolPerson
    assert isinstance(enrolled, made.EnrolEnrolPersonSuccess), enrolled
    assert enrolled.answer is not None
    async with httpx.AsyncClient(base_url=me.address, trust_env=False) as nobody:
        redeemed = await nobody.post("/v1/enrolments/redeem", json={"token": enrolled.answer["token"]})
    return made.Client(me.address, redeemed.raise_for_status().json()["key"]), told.person.id.removeprefix("Person:")


async def report(me: made.Client) -> str:
    """A declared incident of a client; its global id."""
    client = (await me.add_client(input=made.AddClientInput(name="North Dental"), key="a-client")).addClient
    assert isinstance(client, made.AddClientAddClientSuccess), client
    assert client.client is not None
    given = made.ReportIncidentInput(
        title="A list in a chatbot", playbook="data-leakage", clientIds=[client.client.id.removeprefix("Client:")]
    )
    told = (await me.report(input=given, key="a-report")).reportIncident
    assert isinstance(told, made.ReportReportIncidentSuccess), told
    assert told.incident is not None
    again = (await me.report(input=given, key="a-report")).reportIncident
    assert isinstance(again, made.ReportReportIncidentSuccess), again
    assert again.incident is not None
    assert again.incident.id == told.incident.id, "a repeated key reports once"
    return str(told.incident.id)


async def refusals(me: Worker, her: Worker) -> list[Any]:
    """What is refused right after the report, one of each kind but the gate's."""
    hold = made.TransitionIncidentInput(transition="hold")
    twice = made.AddClientInput(name="Another client by the same key")
    await me.act("DL.1.1")
    return [
        await her.try_act("DL.1.3"),  # she has no part in it yet
        await me.try_act("DL.1.1"),
        (await me.client.hold(incident="INC-999999", input=hold)).transitionIncident,
        (await me.client.hold(incident=me.incident, input=hold)).transitionIncident,
        (await me.client.add_client(input=twice, key="a-client")).addClient,
    ]


async def contain(her: Worker) -> Any:
    """The first step, which a gate stops once; that refusal."""
    await her.act("DL.1.2", evidenceIds=[await her.attach("DL.1.2")])
    await her.act("DL.1.3", inputs={"ai_systems": {"entries": [TOOL]}})
    await her.act("DL.1.4", inputs={"affected_data": {"entries": LIST}, "credentials_exposed": True})
    await her.act("DL.1.5", inputs={"impacted_parties": NOBODY})
    refused = await her.try_step("DL.1")
    await her.act("DL.1.6")
    await her.step("DL.1")
    return refused


async def assess(me: Worker) -> None:
    """The second step, and all of the third but its end."""
    assert await me.move(await me.draft("internal", "DL.2.1"), "record_sent") == "sent"
    await me.act("DL.2.2", inputs={"retention": "30 days", "breach_notice": "within 72 hours"})
    await me.act("DL.2.3", inputs={"opt_out_available": "yes"})
    await me.act("DL.2.4")
    await me.step("DL.2")
    await me.act("DL.3.1", outcome="does_not_apply", inputs={"rationale": "40 persons are fewer than 500."})
    vendor = {"vendor_retained": "yes", "vendor_trained_on": "no", "vendor_access_known": "unknown"}
    await me.act("DL.3.5", inputs=vendor)
    await me.act("DL.3.6", outcome="reviewed", inputs={"rationale": "The rules ran over the facts; see the duties."})


async def decide(me: Worker) -> None:
    """Every open duty gets a person's decision."""
    given = made.DecideObligationInput(decision="not_required", rationale="Our own list; no duty to tell outside.")
    for duty in (await me.overview()).obligations:
        if duty.decision == "open":
            told = await me.client.decide(incident=me.incident, obligation=duty.id, input=given)
            assert isinstance(told.decideObligation, made.DecideDecideObligationSuccess), told


async def tell_client(her: Worker, him: Worker) -> None:
    """A client's notice: who wrote it may not approve it."""
    notice = await her.draft("client_notice", None)
    assert await her.move(notice, "submit") == "in_review"
    refused = await her.try_move(notice, "approve")
    assert isinstance(refused, made.MoveNotificationGateRefused), refused
    assert await him.move(notice, "approve") == "approved"
    assert await her.move(notice, "record_sent") == "sent"


async def raise_severity(me: Worker) -> None:
    """So that two persons have to sign."""
    given = made.EditIncidentInput(severity="SEV2", reason=WHY)
    told = (await me.client.edit(incident=me.incident, input=given)).editIncident
    assert isinstance(told, made.EditEditIncidentSuccess), told


async def remedy(me: Worker, her: Worker) -> None:
    """The fourth step."""
    await her.act("DL.4.1")
    await her.act("DL.4.4")
    await her.act("DL.4.5", inputs={"vendor_answer": "Deleted on the same day.", "deletion_confirmed": "yes"})
    risk = (await me.overview()).primaryRisk
    assert risk is not None
    given = made.ReviseRiskInput(decision="no_change", reason=WHY, incidentId=me.incident.removeprefix("Incident:"))
    revised = (await me.client.revise(ref=risk, input=given)).reviseRisk
    assert isinstance(revised, made.ReviseReviseRiskSuccess), revised
    await me.act("DL.4.3")
    await me.step("DL.4")


async def review(me: Worker, her_id: str, his_id: str) -> None:
    """The last step and the documents, up to the signatures."""
    briefing = await me.draft("briefing", "DL.5.1", subject="A reminder", body="Keep client data out of chatbots.")
    assert await me.move(briefing, "record_sent") == "sent"
    filtered = {"rationale": "The gateway filters it.", "policy_gap_found": False}
    await me.act("DL.5.2", outcome="not_needed", inputs=filtered)
    await me.act("CO.3", inputs={"root_cause": CAUSE})
    rotated = {"description": "The credential was rotated and the chat deleted.", "done_at": "2026-11-22T02:00:00Z"}
    await me.act("CO.4", inputs={"remediation": {"entries": [{**rotated, "done_by": her_id, "verified_by": his_id}]}})
    await me.act("CO.5", inputs={"none": {"reason": WHY}})
    answers = {target: {"answer": "no_change_needed", "reason": WHY} for target in TARGETS}
    await me.act("CO.6", outcome="answered", inputs=answers)
    discovery = {"discovered_by": her_id, "discovery_method": "self_report"}
    written = await me.client.write_document(incident=me.incident, item="D02", input=discovery)
    assert isinstance(written.writeDocument, made.WriteDocumentWriteDocumentSuccess), written
    concerned = made.EditIncidentInput(personConcerned="none")
    edited = await me.client.edit(incident=me.incident, input=concerned)
    assert isinstance(edited.editIncident, made.EditEditIncidentSuccess), edited


async def timeline(me: Worker) -> list[tuple[int, str]]:
    """Every event, page by page."""
    found, after = list[tuple[int, str]](), None
    while True:
        page = (await me.client.timeline(id=me.incident, after=after)).timeline
        found += [(one.seq, one.kind) for one in page.nodes]
        after = page.pageInfo.endCursor
        if not page.pageInfo.hasNextPage:
            return found
