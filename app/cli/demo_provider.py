"""The provider of the demo: its people, clients and sources, and what has become of each of its incidents."""

import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from app.cli.demo_calls import Calls, Member
from app.cli.demo_story import Answers, instant
from app.cli.demo_walk import Walk

FIRST_ROLES = ("tenant_admin", "risk_owner", "it_security")


class Kept:
    """What the demo has made so far, in a file that its owner alone may read: it holds keys."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.made: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        self.changed = 0

    def part(self, name: str) -> dict[str, Any]:
        """What was made of one kind, by name."""
        found: dict[str, Any] = self.made.setdefault(name, {})
        return found

    def add(self, part: str, name: str, value: Any) -> None:
        """Keep one more thing. The file is whole at any instant."""
        self.part(part)[name] = value
        self.changed += 1
        self.save()

    def save(self) -> None:
        """Write the file."""
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(self.made, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(self.path)


@dataclass(frozen=True)
class Case:
    """One incident of the demo: what it is called, of which playbook it is, and how far it is taken."""

    ref: str
    playbook: str
    stage: dict[str, Any]
    title: str
    client: str
    tool: str
    turn: int


def cases(story: dict[str, Any], playbooks: list[str]) -> Iterator[Case]:
    """Every stage of each playbook."""
    clients, tools = [client["name"] for client in story["clients"]], story["tools"]
    for row, (playbook, titles) in enumerate(story["headlines"].items()):
        for column, (stage, title) in enumerate(zip(story["stages"], titles, strict=True)):
            if playbook in playbooks:
                tool = tools[(row * len(titles) + column) % len(tools)]
                client = clients[(row + column) % len(clients)]
                yield Case(f"{playbook}-{stage['name']}", playbook, stage, title, client, tool, row + column)


class Provider:
    """Makes what is not there yet; what is there stays as it is, whatever has become of it since."""

    def __init__(self, calls: Calls, kept: Kept, story: dict[str, Any]) -> None:
        self.calls, self.kept, self.story = calls, kept, story
        self.key: str = kept.made["key"]
        self.began_at = datetime.fromisoformat(kept.made["began_at"])
        self._books: dict[str, Any] = {}

    def ask(self, method: str, path: str, body: Any = None, *, once: str | None = None) -> Any:
        """A call of the provider's first person, who administers."""
        return self.calls.ask(self.key, method, path, body, once=once)

    def lead(self, method: str, path: str, body: Any = None, *, once: str | None = None) -> Any:
        """A call of whoever leads the work on incidents."""
        return self.calls.ask(self.members()[0].key, method, path, body, once=once)

    def make_people(self) -> None:
        """Everybody, with a key of their own."""
        first = {"id": self.kept.made["person_id"], "roles": FIRST_ROLES, "key": self.key}
        if not self.kept.part("people"):
            self.kept.add("people", self.story["first_person"]["name"], first)
        for number, told in enumerate(self.story["people"], 1):
            name = told["name"]
            if name in self.kept.part("people"):
                continue
            email = f"{name.split()[0].lower()}@larkspur.example"
            made = self.ask("POST", "/v1/people", {**told, "email": email}, once=f"demo-person-{number}")
            token = self.ask("POST", f"/v1/people/{made['id']}/enrolment")["token"]
            headers = {"Content-Type": "application/json"}
            redeemed = self.calls.send("POST", "/v1/enrolments/redeem", json.dumps({"token": token}).encode(), headers)
            self.kept.add("people", name, {"id": made["id"], "roles": told["roles"], "key": redeemed["key"]})

    def make_clients(self) -> None:
        """Each client, found again by its number in the ticket system."""
        for number, told in enumerate(self.story["clients"], 1):
            if told["name"] not in self.kept.part("clients"):
                made = self.ask("PUT", f"/v1/clients/by-reference/service-desk/-/{number}", told)
                self.kept.add("clients", told["name"], made["id"])

    def make_sources(self) -> None:
        """The systems that send webhooks, each with a secret to sign with."""
        clients = self.kept.part("clients")
        for number, told in enumerate(self.story["sources"], 1):
            if told["name"] not in self.kept.part("sources"):
                secret = self.kept.made.setdefault("secrets", {}).setdefault(told["name"], secrets.token_urlsafe(24))
                self.kept.save()  # the same secret is sent again after an interruption
                body = {**told, "secret": secret, "client_map": clients}
                made = self.ask("POST", "/v1/sources", body, once=f"demo-source-{number}")
                self.kept.add("sources", told["name"], {"hook_url": made["hook_url"], "secret": secret})

    def is_done(self, case: Case) -> bool:
        """Whether the incident has been taken where it should be; it is never touched again."""
        return bool(self.kept.part("incidents").get(case.ref, {}).get("done"))

    def make_incident(self, case: Case) -> None:
        """Report the incident and take it to its stage, going on where an interrupted demo left it."""
        kept = self.kept.part("incidents").get(case.ref)
        if kept is None:
            kept = {"number": self._hooked(case) if case.stage["door"] == "hook" else self._reported(case)}
            self.kept.add("incidents", case.ref, kept)
        path, until, then = f"/v1/incidents/{kept['number']}", case.stage.get("until"), case.stage.get("then")
        if then and self.lead("GET", path)["status"] == case.stage["name"]:
            until = then = None  # it was interrupted after the last transition
        if until is not None:
            self._declare(path, case)
        if until or then:
            self._say_who_discovered(path)
        if until:
            self._walk(case, kept["number"], until)
        if then:
            if "again" in case.stage:
                then = {**then, "action_ids": self._filling(case.playbook, case.stage["again"])}
            self.lead("POST", f"{path}/transitions", then, once=f"demo-{case.ref}-{then['transition']}")
        self.kept.add("incidents", case.ref, {**kept, "done": True})

    def _reported(self, case: Case) -> str:
        discovered = instant(case.stage["discovered"], self.began_at).isoformat()
        told = {
            "title": case.title,
            "discovered_at": discovered,
            "client_ids": [self.kept.part("clients")[case.client]],
            "external_references": [{"system": "service-desk", "id": case.ref}],
            **self._declared(case),
        }
        return str(self.lead("POST", "/v1/incidents", told, once=f"demo-{case.ref}")["number"])

    def _hooked(self, case: Case) -> str:
        """Told by a system instead of a person: a signed webhook, which suggests the playbook and declares nothing."""
        told = {
            "event_action": "trigger",
            "dedup_key": case.ref,
            "title": case.title,
            "occurred_at": instant(case.stage["discovered"], self.began_at).isoformat(),
            "company": {"id": case.client, "name": case.client},
            "playbook_hint": case.playbook,
        }
        sources = list(self.kept.part("sources").values())
        source = sources[len(case.ref) % len(sources)]
        return str(self.calls.hook(source["hook_url"], source["secret"], told)["incident"]["number"])

    def _declared(self, case: Case) -> dict[str, Any]:
        risk = {} if self.book(case.playbook).get("primary_risk") else {"primary_risk": "AR-001"}
        return {"playbook": case.playbook, **risk}

    def _declare(self, path: str, case: Case) -> None:
        if self.lead("GET", path)["status"] in ("reported", "triage"):
            self.lead("POST", f"{path}/transitions", {"transition": "declare", **self._declared(case)})

    def _say_who_discovered(self, path: str) -> None:
        record = self.lead("GET", path)
        if record["status"] not in ("closed", "rejected") and record["person_concerned"] is None:
            discovery = {"discovered_by": self.members()[0].id, "discovery_method": "self_report"}
            self.lead("PUT", f"{path}/documentation/D02", discovery)
            self.lead("PATCH", path, {"person_concerned": "none"})

    def _walk(self, case: Case, number: str, until: int | str) -> None:
        people, grave = self.members(), case.stage.get("grave", False)
        answers = Answers(
            self.story, tool=case.tool, doer=people[0].id, verifier=people[1].id, turn=case.turn, grave=grave
        )
        Walk(self.calls, people, number, self.book(case.playbook), answers).take_to(until)

    def _filling(self, slug: str, item: str) -> list[str]:
        """The actions of a playbook that fill a documentation item by what is put into them."""
        actions = [action for step in self.book(slug)["steps"] for action in step["actions"]]
        return [a["id"] for a in actions if any(wanted["document"] == item for wanted in a.get("inputs", ()))]

    def members(self) -> list[Member]:
        """Who works on incidents. The first person does not: four eyes count her and whom she made as one."""
        people = list(self.kept.part("people").items())[1:]
        found = [Member(name, one["id"], tuple(one["roles"]), one["key"]) for name, one in people]
        return [one for one in found if set(one.roles) - {"auditor"}]

    def book(self, slug: str) -> dict[str, Any]:
        """A playbook as a caller reads it."""
        if slug not in self._books:
            self._books[slug] = self.ask("GET", f"/v1/playbooks/{slug}")["resolved"]
        found: dict[str, Any] = self._books[slug]
        return found
