"""Walks any playbook over HTTP by reading it: which actions, inputs, messages, approvals and duties it asks for.

Nothing here knows a playbook. What to fill in comes from the schemas of the inputs and from the catalogue of facts; who
may do what, from `allowed_transitions` as each person reads them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from domain.facts import FACTS
from tests.api.crew import attach, revise
from tests.api.test_walk import WHY, Caller
from tests.api.tool_calls import GOOD

QUIET: dict[str, Any] = {"boolean": False, "count": 0}
LOUD: dict[str, Any] = {"boolean": True, "count": 2}
NOW = datetime.now(UTC).isoformat()
IN_A_YEAR = (datetime.now(UTC) + timedelta(days=300)).isoformat()
DONE = ("done", "not_applicable", "skipped")
MESSAGES = {"notify_internal": "internal", "notify_external": "client_notice"}

Probe = Callable[["Walker"], Any]
Offers = Callable[[dict[str, Any]], list[dict[str, Any]]]


class Walker:
    """One incident of one playbook, walked by several people. `loud` answers yes to every fact, else no.

    `outcomes` names the outcome of single actions, the first one is taken elsewhere.
    """

    def __init__(
        self,
        people: list[httpx.AsyncClient],
        ids: list[str],
        book: dict[str, Any],
        *,
        loud: bool = False,
        outcomes: dict[str, str] | None = None,
    ) -> None:
        self.people, self.ids, self.book = people, ids, book
        self.yes, self.outcomes = LOUD if loud else QUIET, outcomes or {}
        self.loud = loud
        self.number = ""
        self.register = {
            **{f"checks.{check}": answer for check, answer in GOOD.items()},
            "owner_id": ids[0],
            "blocked_domains": ["ai.example.com"],
            "review_due_at": IN_A_YEAR,
        }
        self.probe: Probe | None = None
        self.actions = {action["id"]: action for step in book["steps"] for action in step["actions"]}

    @property
    def all(self) -> list[Caller]:
        """Everybody's calls on the incident."""
        return [Caller(http, self.number) for http in self.people]

    async def report(self, http: httpx.AsyncClient, **more: Any) -> None:
        told = {"title": f"A case of {self.book['slug']}", "playbook": self.book["slug"], **more}
        if self.book.get("primary_risk") is None:
            told["primary_risk"] = "AR-001"
        made = await http.post("/v1/incidents", json=told)
        assert made.status_code == 201, made.text
        assert made.json()["status"] == "in_progress", "whoever reports it may declare it"
        self.number = made.json()["number"]
        discovery = {"discovered_by": self.ids[0], "discovery_method": "self_report"}
        await self.all[0].ok("PUT", "/documentation/D02", discovery)
        await self.all[0].ok("PATCH", "", {"person_concerned": "none"})

    async def walk(self) -> dict[str, Any]:
        """From the first step to the signed close; the record as it stands then."""
        *before, last = self.book["steps"]
        for step in before:
            await self.work(step["id"])
            await self.decide_duties()
            await self.work(step["id"])  # what a decision or a message has asked for since
            await self.tried()
            await self.send([n for n in await self.messages() if n["status"] == "sent"], ("approve",))
            await self.by_anyone(f"/steps/{step['id']}/transitions", "complete", offers_of_step(step["id"]))
        await self.work(last["id"])
        await self.decide_duties()
        await revise(self.all[0], (await self.read())["primary_risk"])
        await self.send_what_waits()
        await self.tried()
        for me in reversed(self.all):
            signed = await me.http.post(f"{me.base}/sign-off", json={"statement": "All is done and documented."})
            assert signed.status_code == 200, signed.text
            if signed.json()["status"] == "closed":
                break
        return await self.read()

    async def tried(self) -> None:
        if self.probe is not None:
            await self.probe(self)

    async def work(self, step_id: str) -> None:
        """Do every required action of a step, in order, and again while doing one asks for another."""
        tries: Counter[str] = Counter()
        while True:
            record = await self.read()
            open_ones = [a["id"] for a in actions_in(record) if a["step"] == step_id and is_open(a)]
            if not open_ones:
                return
            action_id = min(open_ones, key=lambda a: (self.held_by(a), tries[a]))
            tries[action_id] += 1
            assert tries[action_id] <= 6, f"{step_id} is left with {open_ones}"
            await self.tried()
            await self.do(self.actions[action_id], record)

    def held_by(self, action_id: str) -> int:
        """Which gate of a step waits for the action, 0 for none: such actions come last, so that each gate speaks."""
        holding = [g for g in self.book["gates"] if any(w["operation"] == "step.complete" for w in g.get("when", ()))]
        return next((n for n, gate in enumerate(holding, 1) if action_id in gate.get("names_actions", ())), 0)

    async def read(self, who: int = 0) -> dict[str, Any]:
        return await self.all[who].ok("GET", "")

    async def do(self, action: dict[str, Any], record: dict[str, Any]) -> None:
        """One action, in the way of its type. `record` is as it was read before."""
        if run_of(record, action)["status"] == "pending_fact":
            await self.answer_facts(action["required_if"])
        elif action["type"] in MESSAGES:
            await self.tell(action)
        elif action.get("drafts"):
            for other in self.actions.values():
                if action["drafts"] in other.get("kinds", ()) and is_open(run_of(record, other)):
                    await self.draft(other)
        elif action.get("reviews"):
            await self.send([n for n in await self.messages() if n["kind"] == action["reviews"]], ("approve", "submit"))
        elif action.get("fulfilled_by") is None or action.get("inputs"):
            await self.fill(action, record)

    async def fill(self, action: dict[str, Any], record: dict[str, Any]) -> None:
        """Complete an action with what its schemas ask for, or have it approved by everybody it takes."""
        if any(wanted.get("one_per") for wanted in action.get("inputs", ())):
            record = await self.read()
        body = await self.filled(action, record)
        path, offers = f"/actions/{action['id']}/transitions", offers_of_action(action)
        when, roles = action.get("approvals_when", ()), action.get("approvals_from", ())
        if not roles or (when and body.get("outcome") not in when):
            await self.by_anyone(path, "complete", offers, None if "evidence_ids" in body else record, **body)
            return
        for _ in roles:
            if (await self.by_anyone(path, "approve", offers, **body))["status"] == "done":
                return

    async def filled(self, action: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
        """What completing the action takes: inputs, an outcome, evidence of the kind that a gate looks for."""
        body: dict[str, Any] = {"inputs": {i["name"]: self.value(i, record) for i in action.get("inputs", ())}}
        if action.get("outcomes"):
            body["outcome"] = self.outcomes.get(action["id"], action["outcomes"][0])
        if action["type"] == "evidence":
            body["evidence_ids"] = [await attach(self.all[0], action["id"], self.evidence_kind(action["id"]))]
        return body

    def evidence_kind(self, action_id: str) -> str:
        """The kind of file that a gate looks for in the evidence of an action."""
        looked_for = rf'"(\w+)" in evidence_kinds\["{re.escape(action_id)}"\]'
        kinds = re.findall(looked_for, " ".join(gate.get("unless") or "" for gate in self.book["gates"]))
        return str((*kinds, "document")[0])

    def value(self, wanted: dict[str, Any], record: dict[str, Any]) -> Any:
        """Something that fits an input: a document as all write it, a fact as the walk is, else by its schema."""
        if wanted["fact"] is not None:
            return self.fact(wanted["fact"])
        if wanted["document"] is not None:
            return self.document(wanted)
        if wanted.get("tool") in self.register:
            return self.register[wanted["tool"]]
        if wanted.get("one_per"):
            asked, item = wanted["one_per"], wanted["schema"]["items"]
            answered = run_of(record, self.actions[asked["action"]])["values"][asked["input"]]
            return [{**sample(item, "entry"), asked["key"]: entry[asked["key"]]} for entry in answered]
        return sample(wanted["schema"], wanted["name"])

    def document(self, wanted: dict[str, Any]) -> Any:
        """The value of a documentation item, the same in every playbook."""
        name, member = wanted["document"], wanted["member"]
        if member is not None:
            return sample(wanted["schema"], name)
        tool = {"name": "ExampleChat", "url": "https://ai.example.com", "identification": "identified"}
        record = {"data_type": "phi" if self.loud else "contact_data", "count_precision": "exact", "encrypted": False}
        counts = {"record_count": 40, "individuals_count": 40, "fields": ["name"]}
        people = {"done_by": self.ids[0], "verified_by": self.ids[1]}
        return {
            "D03": {"entries": [tool]},
            "D04": {"entries": [{**record, **counts}]},
            "D05": {"none": True, "reason": "It was a list of our own that nobody else is in."},
            "D08": {"category": "human_error", "statement": "Nobody had looked at what the tool does with it."},
            "D09": {"entries": [{"description": "What stood open was closed.", "done_at": NOW, **people}]},
        }[name]

    def fact(self, name: str) -> Any:
        """Yes or no as the walk is; of a choice, the first value."""
        kind, values = FACTS[name].type, list(FACTS[name].values)
        if kind == "instant":
            return NOW
        if kind in self.yes:
            return self.yes[kind]
        if set(values) == {"yes", "no"}:
            return "yes" if self.loud else "no"
        return values[0]

    async def answer_facts(self, condition: str) -> None:
        """Say what is known about the facts that a condition reads."""
        named = [n for n in re.findall(r"[a-z_]+", condition) if n in FACTS and FACTS[n].derived is None]
        await self.all[0].ok("PATCH", "", {"facts": {name: self.fact(name) for name in named}})

    async def tell(self, action: dict[str, Any]) -> None:
        """See that every message of the action is out; write one where there is none."""
        of_it = [n for n in await self.messages() if n["action_id"] == action["id"]]
        if not of_it:
            await self.draft(action)
            of_it = [n for n in await self.messages() if n["action_id"] == action["id"]]
        await self.tried()
        await self.send(of_it, ("record_sent", "approve", "submit"))

    async def draft(self, action: dict[str, Any]) -> None:
        """Write the message an action asks for; where its kind does not fit, one that the refusal names."""
        told = {
            "kind": (action.get("kinds") or [MESSAGES[action["type"]]])[0],
            "audience": "those concerned",
            "channel": "e-mail",
            "recipients": ["team@msp.example"],
            "subject": "What happened today",
            "body": "Mind what comes in, and ask before you answer.",
            "action_id": action["id"],
        }
        me = self.all[0]
        made = await me.http.post(f"{me.base}/notifications", json=told)
        if made.status_code == 422:
            told["kind"] = made.json()["errors"][0]["reason"].rpartition("use one of: ")[2].split(", ")[0]
            made = await me.http.post(f"{me.base}/notifications", json=told)
        assert made.status_code == 201, made.text

    async def messages(self, who: int = 0) -> list[dict[str, Any]]:
        answer = await self.people[who].get(f"/v1/incidents/{self.number}/notifications")
        assert answer.status_code == 200, answer.text
        return list(answer.json())

    async def send(self, messages: list[dict[str, Any]], wanted: tuple[str, ...]) -> None:
        """Move messages on by whoever may, preferring the transitions named first."""
        for message in messages:
            while await self._move(message["id"], wanted) not in (None, "record_sent"):
                await self.tried()

    async def _move(self, message_id: str, wanted: tuple[str, ...]) -> str | None:
        for who, me in enumerate(self.all):
            message = next(n for n in await self.messages(who) if n["id"] == message_id)
            offered = permits(message["allowed_transitions"])
            transition = next((name for name in wanted if offered.get(name) == "allowed"), None)
            if transition is not None:
                await me.ok("POST", f"/notifications/{message_id}/transitions", {"transition": transition})
                return transition
        return None

    async def send_what_waits(self) -> None:
        """Messages that the rules drafted by themselves, and what no action asks for any more."""
        waiting = [n for n in await self.messages() if n["status"] in ("draft", "in_review", "approved")]
        await self.send(waiting, ("record_sent", "approve", "submit"))

    async def decide_duties(self) -> None:
        """Every open duty is decided against, with a reason."""
        me = self.all[0]
        answer = await me.http.get(f"{me.base}/obligations")
        assert answer.status_code == 200, answer.text
        duties = answer.json()
        for duty in duties if isinstance(duties, list) else duties["items"]:
            if duty["decision"] == "open":
                body = {"decision": "not_required", "rationale": WHY}
                await me.ok("POST", f"/obligations/{duty['id']}/decision", body)

    async def by_anyone(
        self, path: str, transition: str, offers_of: Offers, record: dict[str, Any] | None = None, **body: Any
    ) -> dict[str, Any]:
        """Let the first person do it who is offered it, and hold the service to its offer."""
        offers = []
        for who, me in enumerate(self.all):
            offers.append(offers_of(record if who == 0 and record is not None else await self.read(who)))
            if permits(offers[-1]).get(transition) == "allowed":
                return await me.ok("POST", path, {"transition": transition, **body})
        if record is not None:  # it was read before something that this waits for
            return await self.by_anyone(path, transition, offers_of, **body)
        raise AssertionError(f"nobody is offered {transition} at {path}: {offers}")


def actions_in(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Every action run of a record, with its step."""
    return [{**action, "step": step["id"]} for step in record["steps"] for action in step["actions"]]


def run_of(record: dict[str, Any], action: dict[str, Any]) -> dict[str, Any]:
    """The run of an action."""
    return next(run for run in actions_in(record) if run["id"] == action["id"])


def is_open(run: dict[str, Any]) -> bool:
    """Whether something is still asked of the action by anything but the sign-off."""
    return run["status"] not in DONE and not run["closing"]


def offers_of_action(action: dict[str, Any]) -> Offers:
    """Where a record holds the verdicts on an action."""
    return lambda record: run_of(record, action)["allowed_transitions"]


def offers_of_step(step_id: str) -> Offers:
    """Where a record holds the verdicts on a step."""
    return lambda record: next(s["allowed_transitions"] for s in record["steps"] if s["id"] == step_id)


def permits(offers: list[dict[str, Any]]) -> dict[str, str]:
    """What each transition would answer."""
    return {offer["transition"]: offer["permit"] for offer in offers}


def sample(schema: dict[str, Any], name: str) -> Any:
    """The plainest value that fits a schema; its `examples` are taken where there are some."""
    if schema.get("examples"):
        return schema["examples"][0]
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for part in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        if part.get("type") != "null" and "type" in part:
            return sample(part, name)
    kind = schema.get("type", "string")
    if isinstance(kind, list):
        kind = kind[0]
    if kind == "object":
        wanted = schema.get("required", ())
        return {key: sample(schema["properties"][key], key) for key in wanted}
    if kind == "array":
        return [sample(schema["items"], name) for _ in range(max(1, schema.get("minItems", 0)))]
    if kind == "boolean":
        return True
    if kind in ("integer", "number"):
        return schema.get("minimum", 0)
    return text_for(schema, name)


def text_for(schema: dict[str, Any], name: str) -> str:
    """A text in the format that a schema asks for; texts of different names differ."""
    formats = {"date-time": NOW, "date": NOW[:10], "uri": "https://example.com/page", "email": "someone@msp.example"}
    if schema.get("format") in formats:
        return formats[schema["format"]]
    return f"What was asked for as {name}, in one sentence."[: schema.get("maxLength", 2000)]
