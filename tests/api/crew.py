"""The people of a provider, each calling with a key of their own, and the last steps that every course ends with."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx

from app.database import Database
from tests.api.test_walk import TARGETS, WHY, Caller
from tests.people import Somebody, add_person


@dataclass(frozen=True)
class Crew:
    """Who works for the tenant, by a short name, and how each calls."""

    people: dict[str, Somebody]
    calls: dict[str, httpx.AsyncClient]

    def id_of(self, name: str) -> str:
        return str(self.people[name].id)

    def on(self, number: str) -> dict[str, Caller]:
        """Everybody's calls on one incident."""
        return {name: Caller(http, number) for name, http in self.calls.items()}


@contextlib.asynccontextmanager
async def crew(server: str, database: Database, tenant_id: UUID, **roles: tuple[str, ...]) -> AsyncIterator[Crew]:
    """People with these roles; each full name is the short one with a family name behind it."""
    async with contextlib.AsyncExitStack() as stack:
        people, calls = {}, {}
        for name, held in roles.items():
            person = await add_person(database, tenant_id, *held, name=f"{name.title()} Person")
            http = httpx.AsyncClient(base_url=server, headers=person.headers, timeout=30, trust_env=False)
            people[name], calls[name] = person, await stack.enter_async_context(http)
        yield Crew(people, calls)


async def attach(me: Caller, action: str | None, kind: str, media_type: str = "text/plain") -> str:
    """A preserved file; its id."""
    query = f"filename=kept.txt&kind={kind}" + (f"&action_id={action}" if action else "")
    made = await me.http.post(
        f"{me.base}/evidence?{query}", content=f"{kind} of {action}".encode(), headers={"Content-Type": media_type}
    )
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def draft(me: Caller, kind: str, action: str | None, **more: Any) -> str:
    """A message that is not sent yet; its id."""
    told = {
        "kind": kind,
        "audience": "those concerned",
        "channel": "e-mail",
        "recipients": ["team@msp.example"],
        "subject": "What happened today",
        "body": "Mind what comes in, and ask before you answer.",
        "action_id": action,
        **more,
    }
    return str((await me.ok("POST", "/notifications", told, 201))["id"])


async def move(me: Caller, notification_id: str, transition: str, **more: Any) -> dict[str, Any]:
    return await me.ok("POST", f"/notifications/{notification_id}/transitions", {"transition": transition, **more})


async def stopped(me: Caller, notification_id: str, transition: str, **more: Any) -> dict[str, Any]:
    return await me.refused("POST", f"/notifications/{notification_id}/transitions", {"transition": transition, **more})


async def tell(me: Caller, kind: str, action: str | None, **more: Any) -> str:
    """A message to inside, or to a vendor: drafted and sent."""
    made = await draft(me, kind, action, **more)
    await move(me, made, "record_sent")
    return made


async def gate_at_step(me: Caller, step: str, **more: Any) -> str:
    """The gate that refuses to complete the step."""
    refused = await me.refused("POST", f"/steps/{step}/transitions", {"transition": "complete", **more})
    return str(refused["gate"])


async def decide_duties(me: Caller) -> None:
    """Every open duty is decided against, with a reason."""
    duties = await me.http.get(f"{me.base}/obligations")
    assert duties.status_code == 200, duties.text
    for duty in duties.json():
        if duty["decision"] == "open":
            body = {"decision": "not_required", "rationale": WHY}
            await me.ok("POST", f"/obligations/{duty['id']}/decision", body)


async def revise(me: Caller, risk: str) -> None:
    """The register takes note: nothing changes, for a reason."""
    body = {"incident_id": me.base.rpartition("/")[2], "decision": "no_change", "reason": WHY}
    made = await me.http.post(f"/v1/risks/{risk}/revisions", json=body)
    assert made.status_code == 201, made.text


async def wrap_up(me: Caller, doer: str, verifier: str, *, cause: bool = True) -> None:
    """Root cause, remediation, follow-ups, improvements, discovery and the person concerned."""
    if cause:
        told = {"category": "malicious_external", "statement": "Somebody outside wrote to us with a generated text."}
        await me.act("CO.3", inputs={"root_cause": told})
    done = {"description": "What stood open was closed.", "done_at": "2026-11-22T02:00:00Z"}
    entries = [{**done, "done_by": doer, "verified_by": verifier}]
    await me.act("CO.4", inputs={"remediation": {"entries": entries}})
    await me.act("CO.5", inputs={"none": {"reason": WHY}})
    answers = {target: {"answer": "no_change_needed", "reason": WHY} for target in TARGETS}
    await me.act("CO.6", outcome="answered", inputs=answers)
    await me.ok("PUT", "/documentation/D02", {"discovered_by": doer, "discovery_method": "self_report"})
    await me.ok("PATCH", "", {"person_concerned": "none"})


async def exceptions(me: Caller) -> list[tuple[str, str | None]]:
    """What the auditor sees: kind and gate of every deviation."""
    answer = await me.http.get(f"{me.base}/exceptions")
    assert answer.status_code == 200, answer.text
    return [(entry["kind"], entry["gate"]) for entry in answer.json()]


async def refusals(me: Caller) -> set[str]:
    """The gates whose refusals the timeline holds."""
    found: set[str] = set()
    url: str | None = f"{me.base}/timeline?limit=200"
    while url:
        page = await me.http.get(url)
        assert page.status_code == 200, page.text
        found |= {event["data"]["gate"] for event in page.json()["items"] if event["kind"] == "gate.refused"}
        cursor = page.json()["next_cursor"]
        url = f"{me.base}/timeline?limit=200&cursor={cursor}" if cursor else None
    return found
