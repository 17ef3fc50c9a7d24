"""Works on an incident as the people of the demo would: who may do what is read from the service, never known here."""

from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from app.cli.demo_calls import Calls, DemoStopped, Member
from app.cli.demo_story import Answers, evidence_kind

DONE = ("done", "not_applicable", "skipped")
MESSAGES = {"notify_internal": "internal", "notify_external": "client_notice"}
ON_THE_WAY = ("draft", "in_review", "approved")
TRIES_MAX = 6
Offers = Callable[[dict[str, Any]], list[dict[str, Any]]]


class Walk:
    """One incident on its way. `lead` stands for those who may read it and own its risk."""

    def __init__(self, calls: Calls, people: list[Member], number: str, book: dict[str, Any], answers: Answers) -> None:
        self.calls, self.people, self.lead = calls, people, people[0]
        self.base, self.book, self.answers = f"/v1/incidents/{number}", book, answers
        self.actions = {action["id"]: action for step in book["steps"] for action in step["actions"]}
        self.owners = {step["id"]: set(step["owner_roles"]) for step in book["steps"]}

    def call(self, who: Member, method: str, path: str, body: Any = None) -> Any:
        """A person's call on the incident."""
        return self.calls.ask(who.key, method, self.base + path, body)

    def read(self, who: Member | None = None) -> dict[str, Any]:
        """The incident as a person reads it."""
        found: dict[str, Any] = self.call(who or self.lead, "GET", "")
        return found

    def take_to(self, until: int | str) -> None:
        """Complete so many steps; `last` is all but the last, `review` begins that, `close` signs the record off."""
        *before, last = self.book["steps"]
        for step in before if isinstance(until, str) else self.book["steps"][:until]:
            if _step(self.read(), step["id"])["status"] not in ("completed", "skipped"):
                self._complete(step["id"])
        if until == "review":
            self._review(last)
        elif until == "close":
            self._close(last)

    def _complete(self, step_id: str) -> None:
        self._work(step_id)
        self._decide_duties()
        self._work(step_id)  # what a decision or a message has asked for since
        self._send([n for n in self._messages() if n["status"] == "sent"], ("approve",))
        path = f"/steps/{step_id}/transitions"
        self._by_anyone(path, "complete", lambda record: list(_step(record, step_id)["allowed_transitions"]), step_id)

    def _review(self, last: dict[str, Any]) -> None:
        """Begin the last step with the first thing in it that counts as work."""
        for action in last["actions"]:
            record = self.read()
            if record["status"] != "contained":
                return
            if _is_open(_run(record, action["id"])):
                self._do(action, record)

    def _close(self, last: dict[str, Any]) -> None:
        self._work(last["id"])
        self._decide_duties()
        record = self.read()
        if record["status"] == "closed":
            return
        told = {"decision": "no_change", "reason": self.answers.texts["revision_reason"], "incident_id": record["id"]}
        risk = f"/v1/risks/{record['primary_risk']}/revisions"
        self.calls.ask(self.lead.key, "POST", risk, told, once=f"demo-{record['id']}-revision")
        self._send([n for n in self._messages() if n["status"] in ON_THE_WAY], ("record_sent", "approve", "submit"))
        for role in ("risk_owner", "executive_leadership", "legal_counsel"):
            signer = next(one for one in reversed(self.people) if role in one.roles)
            signed = self.call(signer, "POST", "/sign-off", {"statement": self.answers.texts["sign_off"]})
            if signed["status"] == "closed":
                return

    def _work(self, step_id: str) -> None:
        """Do every required action of a step, in order, and again while doing one asks for another."""
        tries: Counter[str] = Counter()
        while True:
            record = self.read()
            waiting = [run["id"] for run in _step(record, step_id)["actions"] if _is_open(run)]
            if not waiting:
                return
            action_id = min(waiting, key=lambda one: tries[one])
            tries[action_id] += 1
            if tries[action_id] > TRIES_MAX:
                raise DemoStopped(f"{self.base}: {step_id} is left with {', '.join(waiting)}.")
            self._do(self.actions[action_id], record)

    def _do(self, action: dict[str, Any], record: dict[str, Any]) -> None:
        """One action, in the way of its type. `record` is as it was read before."""
        if _run(record, action["id"])["status"] == "pending_fact":
            self.call(self.lead, "PATCH", "", {"facts": self.answers.facts(action["required_if"])})
        elif action["type"] in MESSAGES:
            self._tell(action)
        elif action.get("drafts"):
            for other in self.actions.values():
                if action["drafts"] in other.get("kinds", ()) and _is_open(_run(record, other["id"])):
                    self._draft(other)
        elif action.get("reviews"):
            self._send([n for n in self._messages() if n["kind"] == action["reviews"]], ("approve", "submit"))
        elif action.get("fulfilled_by") is None or action.get("inputs"):
            self._fill(action, record)

    def _fill(self, action: dict[str, Any], record: dict[str, Any]) -> None:
        """Complete an action with what it asks for, or have it approved by everybody it takes."""
        body = self._filled(action, record)
        step_id = next(s["id"] for s in record["steps"] if any(run["id"] == action["id"] for run in s["actions"]))
        path = f"/actions/{action['id']}/transitions"
        when, roles = action.get("approvals_when", ()), action.get("approvals_from", ())
        approved = roles and not (when and body.get("outcome") not in when)
        for _ in roles if approved else (None,):
            done = self._by_anyone(
                path,
                "approve" if approved else "complete",
                lambda found: list(_run(found, action["id"])["allowed_transitions"]),
                step_id,
                **body,
            )
            if done["status"] == "done":
                return

    def _filled(self, action: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
        inputs = {}
        for wanted in action.get("inputs", ()):
            asked = wanted.get("one_per")
            values = _run(self.read(), asked["action"])["values"] if asked else {}
            inputs[wanted["name"]] = self.answers.value(wanted, values)
        body: dict[str, Any] = {"inputs": inputs}
        if action.get("outcomes"):
            body["outcome"] = self.answers.outcome(action)
        if action["type"] == "evidence":
            kind = evidence_kind(self.book, action["id"])
            query = urlencode({"filename": f"{kind}-{action['id']}.txt", "kind": kind, "action_id": action["id"]})
            headers = {"Authorization": f"Bearer {self.lead.key}", "Content-Type": "text/plain"}
            kept = f"{action['text']}\n{self.answers.texts['evidence']}\n".encode()
            body["evidence_ids"] = [self.calls.send("POST", f"{self.base}/evidence?{query}", kept, headers)["id"]]
        return body

    def _tell(self, action: dict[str, Any]) -> None:
        """See that every message of the action is out; write one where there is none."""
        if not any(n["action_id"] == action["id"] for n in self._messages()):
            self._draft(action)
        self._send(
            [n for n in self._messages() if n["action_id"] == action["id"]], ("record_sent", "approve", "submit")
        )

    def _draft(self, action: dict[str, Any]) -> None:
        texts = self.answers.texts
        told = {name: texts[f"message_{name}"] for name in ("subject", "body", "channel", "recipients", "audience")}
        told_to_staff = action["type"] == "notify_internal" and action in self.book["steps"][-1]["actions"]
        usual = "briefing" if told_to_staff else MESSAGES[action["type"]]
        kind = (action.get("kinds") or [usual])[0]
        self.call(self.lead, "POST", "/notifications", {**told, "kind": kind, "action_id": action["id"]})

    def _messages(self, who: Member | None = None) -> list[dict[str, Any]]:
        return list(self.call(who or self.lead, "GET", "/notifications"))

    def _send(self, messages: list[dict[str, Any]], wanted: tuple[str, ...]) -> None:
        """Move messages on by whoever may, preferring the transitions named first."""
        for message in messages:
            while self._move(message["id"], wanted) not in (None, "record_sent"):
                pass

    def _move(self, message_id: str, wanted: tuple[str, ...]) -> str | None:
        for who in self.people:
            message = next((n for n in self._messages(who) if n["id"] == message_id), None)
            allowed = _permits(message["allowed_transitions"]) if message else {}
            transition = next((name for name in wanted if allowed.get(name) == "allowed"), None)
            if transition is not None:
                path = f"/notifications/{message_id}/transitions"
                self.call(who, "POST", path, {"transition": transition})
                return transition
        return None

    def _decide_duties(self) -> None:
        """The owner of the risk decides every open duty, with a reason; where the harm is grave, not yet."""
        if self.answers.grave:
            return
        told = {"decision": "not_required", "rationale": self.answers.texts["duty_rationale"]}
        for duty in self.call(self.lead, "GET", "/obligations"):
            if duty["decision"] == "open":
                self.call(self.lead, "POST", f"/obligations/{duty['id']}/decision", told)

    def _by_anyone(self, path: str, transition: str, offers: Offers, step_id: str, **body: Any) -> dict[str, Any]:
        """Let the first person do it who is offered it: those whose step it is before the others."""
        for who in sorted(self.people, key=lambda one: not self.owners[step_id] & set(one.roles)):
            if _permits(offers(self.read(who))).get(transition) == "allowed":
                done: dict[str, Any] = self.call(who, "POST", path, {"transition": transition, **body})
                return done
        raise DemoStopped(f"{self.base}{path}: nobody is offered {transition}.")


def _step(record: dict[str, Any], step_id: str) -> dict[str, Any]:
    found: dict[str, Any] = next(step for step in record["steps"] if step["id"] == step_id)
    return found


def _run(record: dict[str, Any], action_id: str) -> dict[str, Any]:
    found: dict[str, Any] = next(a for step in record["steps"] for a in step["actions"] if a["id"] == action_id)
    return found


def _is_open(run: dict[str, Any]) -> bool:
    """Whether something is still asked of the action by anything but the sign-off."""
    return run["status"] not in DONE and not run["closing"]


def _permits(offers: list[dict[str, Any]]) -> dict[str, str]:
    return {offer["transition"]: offer["permit"] for offer in offers}
