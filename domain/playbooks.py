"""The catalogue of playbooks: those shipped with the product, by slug, version and content hash."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from domain.gates import Gate
from domain.playbook_files import CommonAction, FaultyPlaybook, GateText, PlaybookText, read_playbook
from domain.playbook_resolution import resolve
from domain.procedures import Action, Input, Playbook, Step, playbook_of
from domain.shipped import shipped, shipped_names
from domain.suggestions import Sign, Suggestion, signs_of, weigh

__all__ = [
    "Action",
    "Catalogue",
    "FaultyPlaybook",
    "Gate",
    "Input",
    "Playbook",
    "Step",
    "Suggestion",
    "catalogue",
    "gate_rule",
    "general_gates",
    "load",
    "playbook_of",
    "suggest",
]

FALLBACK = "generic-ai-incident"


class Catalogue:
    """Playbooks by slug and version. Published versions never change, so a hash names one for good."""

    def __init__(self, playbooks: Iterable[Playbook], signs: Iterable[Sign] = ()) -> None:
        self._versions: dict[str, dict[str, Playbook]] = {}
        self._by_hash: dict[str, Playbook] = {}
        self.signs = tuple(signs)
        for playbook in playbooks:
            self._versions.setdefault(playbook.slug, {})[playbook.version] = playbook
            self._by_hash[playbook.hash] = playbook

    def get(self, slug: str, version: str | None = None) -> Playbook | None:
        """That version, or the newest one; None when there is none."""
        versions = self._versions.get(slug)
        if not versions:
            return None
        return versions.get(version) if version is not None else versions[max(versions, key=_numbers)]

    def by_hash(self, content_hash: str) -> Playbook | None:
        """The playbook with this content, or None."""
        return self._by_hash.get(content_hash)

    def slugs(self) -> list[str]:
        """Names of the playbooks, in the order of `list`."""
        return list(dict.fromkeys(playbook.slug for playbook in self.list()))

    def list(self) -> list[Playbook]:
        """Every version, the fallback playbook last, else by slug and version."""
        return sorted(self._by_hash.values(), key=lambda p: (p.slug == FALLBACK, p.slug, _numbers(p.version)))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def load(files: Mapping[str, Any], common: Any, gates: Any) -> Catalogue:
    """Check and resolve playbook files (name -> parsed YAML) with the common actions and general gates.

    Raises FaultyPlaybook.
    """
    texts = [read_playbook(data, name) for name, data in files.items()]
    texts.sort(key=lambda text: (text.slug == FALLBACK, text.slug, _numbers(text.version)))
    versions = {(text.slug, text.version): text for text in texts}
    newest = {text.slug: text for text in texts}  # sorted: the last of a slug stays
    if len(versions) < len(texts):
        raise FaultyPlaybook("a version of a playbook is given twice")
    common_actions = TypeAdapter(list[CommonAction]).validate_python(common["actions"])
    general = TypeAdapter(list[GateText]).validate_python(gates["gates"])

    def base_of(text: PlaybookText) -> PlaybookText | None:
        slug = text.extends or ""
        return versions.get((slug, text.extends_version)) if text.extends_version else newest.get(slug)

    for text in texts:
        for action in (*(a for step in (*text.steps, *text.insert_steps) for a in step.actions), *text.add_actions):
            if action.opens is not None and action.opens.playbook not in newest:
                raise FaultyPlaybook(f"{action.id} opens {action.opens.playbook}, which is no playbook")
    signs = [sign for text in newest.values() for sign in signs_of(text.slug, text.suggest)]
    return Catalogue((resolve(text, base_of(text), common_actions, general) for text in texts), signs)


@cache
def catalogue() -> Catalogue:
    """The shipped playbooks, read once."""
    files = {name: shipped(name) for name in shipped_names("playbooks")}
    return load(files, shipped("common_actions.yaml"), shipped("gates.yaml"))


@cache
def general_gates() -> dict[str, Gate]:
    """The gates of all playbooks, for incidents that have none yet."""
    playbook = catalogue().list()[0]
    return {gate.id: gate for gate in playbook.gates if gate.id.startswith("G-ALL-")}


def gate_rule(playbook: Playbook | None, gate_id: str) -> Gate | None:
    """The gate of that id in the playbook, or among the general ones; None when there is no such gate."""
    found = playbook.gate(gate_id) if playbook is not None else None
    return found or general_gates().get(gate_id)


def suggest(report: Mapping[str, Any]) -> Suggestion:
    """The playbook a report seems to call for; the generic one when nothing speaks for another.

    `report` may hold `title`, `summary`, `category`, `labels` (a list of texts).
    """
    found = weigh(catalogue().signs, report)
    return found or Suggestion(FALLBACK, "Nothing in the report points to a more specific playbook.")
