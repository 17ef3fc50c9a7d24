"""Global ids: `Client:<uuid>`, and `Step:<incident>:DL.1` for what is unique within its incident alone.

They serve wherever the id within its kind does: in the addresses of REST and as arguments of the graph. Which types an
address takes follows from its words: `/clients/{id}` is of the noun client.
"""

import re
from collections.abc import Mapping

import app.nouns  # noqa: F401 (makes the nouns known)
from app.statements import NOUNS
from domain.refusals import Invalid, NotFound

GLOBAL = re.compile(r"([A-Z][A-Za-z]{2,40}):(\S{1,200})")
AN_INCIDENT = frozenset({"Incident"})
_WITHIN = re.compile(r"([0-9a-f-]{36}):(\S+)")
_PLACE = re.compile(r"/([a-z-]+)/\{([a-z_]+)\}")
_NAMED_ELSEWHERE = frozenset({"system", "instance", "external_id", "token"})
"""Parts of addresses that others have named: whatever they look like, they are taken as they are."""
_NOUNS_OF: Mapping[str, tuple[str, ...]] = {
    "documentation": ("document",),
    "identities": ("identity",),
    "participants": ("participant", "person"),
    "people": ("person",),
    "risks/revisions": ("risk_revision",),
    "sources/deliveries": ("hook_delivery",),
    "tools/decisions": ("tool_decision",),
    "webhook-endpoints/deliveries": ("webhook_delivery",),
}
"""Words of addresses that are not the plural of their noun; after the word they stand under, where it takes both."""


def labels_of(path: str) -> dict[str, frozenset[str]]:
    """The types whose global ids each parameter of an address takes, by its name; none for what is of no type."""
    found, above = dict[str, frozenset[str]](), ""
    for word, name in _PLACE.findall(path.replace(":path}", "}")):
        plain = (word.replace("-", "_").removesuffix("s"), word)
        nouns = _NOUNS_OF.get(f"{above}/{word}") or _NOUNS_OF.get(word) or plain
        labels = frozenset(NOUNS[noun].label for noun in nouns if noun in NOUNS)
        found[name] = frozenset() if name in _NAMED_ELSEWHERE else labels
        above = word
    return found


def own_id(text: str, labels: frozenset[str], incident: str | None = None) -> str:
    """The id within its kind of a global id; any other text as it is, and all of them where no type is meant.

    `incident` is the one that the same address names. Raises NotFound for a global id of another type or incident,
    Invalid where the incident is not named by its id, so that nobody can tell.
    """
    found = GLOBAL.fullmatch(text) if labels else None
    if found is None:
        return text
    if found[1] not in labels:
        raise NotFound
    within = _WITHIN.fullmatch(found[2])
    if within is None:
        return found[2]
    if incident is None or len(incident) != len(within[1]):
        raise Invalid(f"Name the incident by its id as well, or the {found[1]} by what follows `{within[1]}:` alone.")
    if incident.lower() != within[1]:
        raise NotFound
    return within[2]
