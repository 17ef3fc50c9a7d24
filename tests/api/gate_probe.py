"""Runs into every gate of a playbook that can be met on its way, and holds each refusal to the verdict shown before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.api.test_walk import WHY
from tests.api.walker import Walker, actions_in, run_of

GENERAL = frozenset({"G-ALL-1", "G-ALL-2", "G-ALL-3", "G-ALL-4", "G-ALL-5", "G-ALL-9", "G-ALL-11"})
"""Gates of all playbooks that refuse a call; the other ones make something happen and are tested where it does."""
ASKED = ("complete", "approve", "record_sent", "not_required")


class Gates:
    """The gates that have refused so far. `untold` are those met where nothing but the list of gaps names them."""

    def __init__(self, walker: Walker) -> None:
        self.walker = walker
        self.refused: set[str] = set()
        self.untold: set[str] = set()
        self.judging = [
            (gate["id"], pattern["action"])
            for gate in walker.book["gates"]
            for pattern in gate.get("when", ())
            if pattern.get("action") and "event." in (gate.get("unless") or "")
        ]

    async def probe(self, walker: Walker) -> None:
        """Ask for whatever a verdict says that a gate refuses, once for each gate."""
        record, me = await walker.read(), walker.all[0]
        places = [(f"/steps/{s['id']}", s["allowed_transitions"]) for s in record["steps"]]
        places += [(f"/actions/{a['id']}", a["allowed_transitions"]) for a in actions_in(record)]
        places += [(f"/notifications/{n['id']}", n["allowed_transitions"]) for n in await walker.messages()]
        for path, offers in places:
            for offer in offers:
                gate = offer["gate"]
                if offer["permit"] != "gate" or offer["transition"] not in ASKED or gate in self.refused:
                    continue
                body = {"transition": offer["transition"], "reason": WHY}
                found = await me.refused("POST", f"{path}/transitions", body)
                assert found["gate"] == gate, found
                self.refused.add(gate)
        for gate, action_id in self.judging:
            if gate not in self.refused:
                await self._say_what_is_refused(gate, action_id, record)

    async def _say_what_is_refused(self, gate: str, action_id: str, record: dict[str, Any]) -> None:
        """Fill in an action in every way that its schemas allow until its gate refuses one of them."""
        action, me = self.walker.actions[action_id], self.walker.all[0]
        run = run_of(record, action)
        permit = next((o for o in run["allowed_transitions"] if o["transition"] == "complete"), None)
        step = next(s for s in record["steps"] if s["id"] == run["step"])
        if run["status"] != "pending" or permit is None or permit["permit"] != "allowed" or step["status"] == "locked":
            return
        said = [text for other in actions_in(record) for text in texts_in(other["values"])]
        for body in variants(action, (await self.walker.filled(action, record))["inputs"], said):
            answer = await me.http.post(f"{me.base}/actions/{action_id}/transitions", json=body)
            if answer.status_code == 200:
                await me.ok("POST", f"/actions/{action_id}/transitions", {"transition": "reopen", "reason": WHY})
            elif answer.json().get("gate") == gate:
                self.refused.add(gate)
                return

    async def write_early(self) -> None:
        """Draft every message to outside, so that the gates of its sending can speak; send those that need not wait."""
        walker = self.walker
        for action in walker.actions.values():
            if action["type"] != "notify_external":
                continue
            await walker.draft(action)
            if "ahead_of_approval" in action:
                made = next(n for n in await walker.messages() if n["action_id"] == action["id"])
                body = {"transition": "record_sent", "reason": action["ahead_of_approval"]["reason"]}
                await walker.all[0].ok("POST", f"/notifications/{made['id']}/transitions", body)

    async def refuse_what_no_verdict_tells(self) -> None:
        """Gates on texts, on who acts, and on the signature."""
        me = self.walker.all[0]
        told = {
            "kind": "briefing",
            "audience": "all staff",
            "channel": "e-mail",
            "recipients": ["team@msp.example"],
            "subject": "What happened today",
            "body": "It was Ann Person who did it.",
        }
        named = await me.refused("POST", "/notifications", told)
        through = {**told, "body": "Take care.", "channel": "ExampleChat"}
        by_tool = await me.refused("POST", "/notifications", through)
        notice = {**told, "kind": "client_notice", "body": "Something happened."}
        made = (await me.ok("POST", "/notifications", notice, 201))["id"]
        await me.ok("POST", f"/notifications/{made}/transitions", {"transition": "submit"})
        alone = await me.refused("POST", f"/notifications/{made}/transitions", {"transition": "approve"})
        early = await me.refused("POST", "/sign-off", {"statement": "All is done and documented."})
        self.refused |= {named["gate"], by_tool["gate"], alone["gate"], early["gate"]}
        gaps = {gap["ref"] for gap in early["missing"]}
        for gate in self.walker.book["gates"]:
            refs = {m["ref"] for m in gate.get("missing", ())} or {gate["id"]}
            if any(w["operation"] == "incident.sign_off" for w in gate.get("when", ())) and refs <= gaps:
                self.refused.add(gate["id"])
                self.untold.add(gate["id"])


def texts_in(value: Any) -> Iterator[str]:
    """Every text within a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from texts_in(part)


def variants(action: dict[str, Any], inputs: dict[str, Any], said: list[str]) -> Iterator[dict[str, Any]]:
    """Bodies that complete the action: every outcome one person may take, and every input changed in one place."""
    taken_by_one = [o for o in action.get("outcomes", ()) if o not in action.get("approvals_when", ())]
    least = {wanted["name"]: inputs[wanted["name"]] for wanted in action["inputs"] if wanted["required"]}
    for outcome in taken_by_one or [None]:
        body: dict[str, Any] = {"transition": "complete", **({"outcome": outcome} if outcome else {})}
        yield {**body, "inputs": least}
        for wanted in action["inputs"]:
            for other in changed(wanted["schema"], inputs[wanted["name"]], said):
                yield {**body, "inputs": {**inputs, wanted["name"]: other}}


def changed(schema: dict[str, Any], value: Any, said: list[str]) -> Iterator[Any]:
    """The value with one part replaced: another of an enumeration, the opposite, or a text that was said before."""
    if "enum" in schema:
        yield from (other for other in schema["enum"] if other != value)
    elif isinstance(value, dict):
        for name, part in value.items():
            if name in schema.get("properties", {}):
                yield from ({**value, name: other} for other in changed(schema["properties"][name], part, said))
    elif isinstance(value, list) and value:
        yield from ([other, *value[1:]] for other in changed(schema["items"], value[0], said))
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, str) and "format" not in schema:
        yield from said
