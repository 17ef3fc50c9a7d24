"""Allowed transitions in an answer: stored for everybody, shown to one caller.

The database hands verdicts on as they are stored, framed as {"@": [...], "@@": 0} under a key that no caller can write.
Here each is matched with the caller by the very function that the writes enforce. Incidents in the same situation store
the same text, so nearly every match is remembered.
"""

from functools import lru_cache
from uuid import UUID

import msgspec
import orjson

from domain.actors import SYSTEM_ID, Actor
from domain.verdicts import Verdict, shown

_KEY = '"allowed_transitions":'
_BEGIN = _KEY + '{"@": '  # as PostgreSQL prints what was jsonb; inside a string the quotes would be escaped
_END = ', "@@": 0}'
_decode = msgspec.json.Decoder(list[Verdict]).decode


def show_offers(text: str, roles: frozenset[str], person_id: UUID | None) -> str:
    """The JSON text with every list of stored verdicts replaced by what this caller may do."""
    first, *framed = text.split(_BEGIN)
    if not framed:
        return text
    parts = [first]
    for piece in framed:
        stored, _, rest = piece.partition(_END)
        parts += (_KEY, _shown(stored, roles, person_id), rest)
    return "".join(parts)


@lru_cache(maxsize=16_384)
def _shown(stored: str, roles: frozenset[str], person_id: UUID | None) -> str:
    kind = "person" if person_id is not None else "service_account"
    actor = Actor(kind=kind, id=person_id or SYSTEM_ID, roles=roles)  # type: ignore[arg-type]
    return orjson.dumps([shown(judged, actor) for judged in _decode(stored)]).decode()
