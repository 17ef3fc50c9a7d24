"""What the demo tells: its data, read once, and the words and values that people fill in."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from domain.facts import FACTS

STORY = Path(__file__).with_name("demo.yaml")
_DURATION = re.compile(r"([+-])P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?")
_EVIDENCE_KIND = r'"(\w+)" in evidence_kinds\["{}"\]'


def read_story() -> dict[str, Any]:
    """The data of the demo."""
    found: dict[str, Any] = yaml.safe_load(STORY.read_text(encoding="utf-8"))
    return found


def instant(text: str, since: datetime) -> datetime:
    """The instant a signed duration away from another."""
    found = _DURATION.fullmatch(text)
    assert found is not None, f"no signed duration: {text}"
    days, hours, minutes = (int(part or 0) for part in found.groups()[1:])
    gone = timedelta(days=days, hours=hours, minutes=minutes)
    return since + gone if found[1] == "+" else since - gone


class Answers:
    """What is filled into the inputs of one incident.

    `grave` answers yes to what is asked about the harm, else no. `turn` counts incidents: tools are decided on in turn.
    """

    def __init__(self, story: dict[str, Any], *, tool: str, doer: str, verifier: str, turn: int, grave: bool) -> None:
        self.words, self.texts, self.turn, self.grave = story["words"], story["texts"], turn, grave
        self.tool, self.doer, self.verifier = tool, doer, verifier
        self.now = datetime.now(UTC)
        self.domain = f"{tool.lower().replace(' ', '')}.example"
        self.register: dict[str, Any] = {name: self._dated(value) for name, value in story["register"].items()}
        self.register |= {
            "owner_id": doer,
            "blocked_domains": [self.domain],
            "review_due_at": instant("+P300D", self.now).isoformat(),
        }

    def value(self, wanted: dict[str, Any], values: dict[str, Any]) -> Any:
        """What goes into an input; `values` are those of the action that a `one_per` input answers entry by entry."""
        if wanted["fact"] is not None:
            return self.fact(wanted["fact"])
        if wanted["document"] is not None:
            member = wanted["member"] is not None
            return self.sample(wanted["schema"], wanted["name"]) if member else self.document(wanted["document"])
        if wanted.get("tool") in self.register:
            return self.register[wanted["tool"]]
        if wanted.get("one_per"):
            asked, item = wanted["one_per"], wanted["schema"]["items"]
            told = self.sample(item, wanted["name"])
            return [{**told, asked["key"]: entry[asked["key"]]} for entry in values[asked["input"]]]
        return self.sample(wanted["schema"], wanted["name"])

    def outcome(self, action: dict[str, Any]) -> str:
        """How an action ends: the first way, but tools fare differently."""
        ways: list[str] = action["outcomes"]
        return ways[self.turn % len(ways) if action.get("decides") else 0]

    def fact(self, name: str) -> Any:
        """Yes or no as the incident is; of a choice, the first value."""
        kind, values = FACTS[name].type, list(FACTS[name].values)
        if kind == "instant":
            return self.now.isoformat()
        if kind in ("boolean", "count"):
            return {"boolean": self.grave, "count": 2 if self.grave else 0}[kind]
        if set(values) == {"yes", "no"}:
            return "yes" if self.grave else "no"
        return values[0]

    def facts(self, condition: str) -> dict[str, Any]:
        """What is known about the facts that a condition reads."""
        named = [name for name in re.findall(r"[a-z_]+", condition) if name in FACTS and FACTS[name].derived is None]
        return {name: self.fact(name) for name in named}

    def document(self, item: str) -> Any:
        """The value of a documentation item, which every playbook asks for in the same way."""
        tool = {"name": self.tool, "url": f"https://{self.domain}", "identification": "identified"}
        data_type = "phi" if self.grave else "contact_data"
        data = {"data_type": data_type, "count_precision": "exact", "encrypted": False, "fields": ["name"]}
        people = {"done_by": self.doer, "verified_by": self.verifier, "done_at": self.now.isoformat()}
        return {
            "D03": {"entries": [tool]},
            "D04": {"entries": [{**data, "record_count": 40, "individuals_count": 40}]},
            "D05": {"none": True, "reason": self.texts["no_clients"]},
            "D08": {"category": "human_error", "statement": self.words["statement"]},
            "D09": {"entries": [{"description": self.words["description"], **people}]},
        }[item]

    def sample(self, schema: dict[str, Any], name: str) -> Any:
        """A value that fits a schema, in the words of the demo."""
        if schema.get("examples"):
            return schema["examples"][0]
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return said if (said := self.words.get(name)) in schema["enum"] else schema["enum"][0]
        for part in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
            if part.get("type") != "null" and "type" in part:
                return self.sample(part, name)
        kind = schema.get("type", "string")
        kind = kind[0] if isinstance(kind, list) else kind
        if kind == "object":
            keys = schema.get("required", ())
            return {key: self.sample(schema["properties"][key], self._named(name, key)) for key in keys}
        if kind == "array":
            return [self.sample(schema["items"], name) for _ in range(max(1, schema.get("minItems", 0)))]
        if kind in ("boolean", "integer", "number"):
            return True if kind == "boolean" else schema.get("minimum", 0)
        return self._text(schema, name)

    def _named(self, name: str, key: str) -> str:
        return both if (both := f"{name}.{key}") in self.words else key

    def _text(self, schema: dict[str, Any], name: str) -> str:
        now = self.now.isoformat()
        formats = {"date-time": now, "date": now[:10], "uri": f"https://{self.domain}", "email": "it@client.example"}
        text = (
            formats.get(schema.get("format", "")) or self.words.get(name) or f"{name.replace('_', ' ').capitalize()}."
        )
        return str(text)[: schema.get("maxLength", 2000)]

    def _dated(self, value: dict[str, Any]) -> dict[str, Any]:
        end = value.get("period_end")
        return value if end is None else {**value, "period_end": instant(end, self.now).date().isoformat()}


def evidence_kind(book: dict[str, Any], action_id: str) -> str:
    """The kind of file that a gate of the playbook looks for in the evidence of an action."""
    text = " ".join(gate.get("unless") or "" for gate in book["gates"])
    return str((*re.findall(_EVIDENCE_KIND.format(re.escape(action_id)), text), "document")[0])
