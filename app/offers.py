"""Allowed transitions in an answer: stored for everybody, shown to one caller.

The database hands verdicts on as they are stored, framed as {"@": [...], "@@": 0} under a key that no caller can write.
Here each is matched with the caller by the very function that the writes enforce. Incidents in the same situation store
the same text, so nearly every match is remembered.
"""

from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

import msgspec
import orjson

from domain.actors import SYSTEM_ID, Actor
from domain.verdicts import Verdict, shown

_KEY = '"allowed_transitions":'
_BEGIN = _KEY + '{"@": '  # as domain/verdicts.py keeps them; inside a string the quotes would be escaped
_END = ', "@@": 0}'
_decode = msgspec.json.Decoder(list[Verdict]).decode


@dataclass(frozen=True, slots=True)
class Telling:
    """How offers are told: under which key, and which members of each in which order (None: all)."""

    key: str = "allowed_transitions"
    members: tuple[str, ...] | None = None


IN_FULL = Telling()


def show_offers(text: str, roles: frozenset[str], person_id: UUID | None, telling: Telling = IN_FULL) -> str:
    """The JSON text with every list of stored verdicts replaced by what this caller may do."""
    shown_as = f'"{telling.key}":'
    if shown_as != _KEY:
        text = text.replace(f"{_KEY}[]", f"{shown_as}[]")
    first, *framed = text.split(_BEGIN)
    if not framed:
        return text
    parts = [first]
    for piece in framed:
        stored, _, rest = piece.partition(_END)
        parts += (shown_as, _shown(stored, roles, person_id, telling.members), rest)
    return "".join(parts)


@lru_cache(maxsize=4_096)  # about 2 kB each
def _shown(stored: str, roles: frozenset[str], person_id: UUID | None, members: tuple[str, ...] | None) -> str:
    kind = "person" if person_id is not None else "service_account"
    actor = Actor(kind=kind, id=person_id or SYSTEM_ID, roles=roles)  # type: ignore[arg-type]
    offers = [shown(judged, actor) for judged in _decode(stored)]
    if members is not None:
        offers = [{name: offer[name] for name in members} for offer in offers]
    return orjson.dumps(offers).decode()
