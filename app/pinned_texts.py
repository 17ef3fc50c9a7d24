"""What playbook versions say of steps and actions, written into answers.

It is most of an answer and never changes: an incident pins its playbook by content. So the database only names the step
or action, as `"@":"<members> <hash> <id>"` under a key that no caller can write, and the members are put in its place.
"""

import msgspec

from app.database import Db
from app.playbooks import pinned
from domain.procedures import Action, Step

Members = tuple[tuple[str, str], ...]  # (key in the answer, name of the attribute)

_BEGIN = '"@":"'  # without the blank that PostgreSQL puts after a colon of what was jsonb
KEPT_AT_MOST = 10_000  # members of one step or action in one shape; about 700 bytes each
_numbers: dict[tuple[str, Members], int] = {}
_listed: list[tuple[str, Members]] = []
_kept: dict[str, str] = {}


def mark(noun: str, members: Members, t: str) -> str:
    """The SQL of a column that stands for `members` of the step or action that row `t` executes."""
    number = _numbers.setdefault((noun, members), len(_listed))
    if number == len(_listed):
        _listed.append((noun, members))
    return f"concat('{number} ',{t}.playbook_hash,' ',{t}.id) as \"@\""


async def show_pinned(db: Db, text: str) -> str:
    """The JSON text with every mark replaced by the members it stands for."""
    first, *marked = text.split(_BEGIN)
    if not marked:
        return text
    parts = [first]
    for piece in marked:
        named, _, rest = piece.partition('"')
        members = _kept.get(named)
        parts += (await _remember(db, named) if members is None else members, rest)
    return "".join(parts)


async def _remember(db: Db, named: str) -> str:
    number, content_hash, id = named.split(" ", 2)
    noun, members = _listed[int(number)]
    playbook = await pinned(db, content_hash or None)
    found: Step | Action | None = None
    if playbook is not None:
        found = playbook.actions.get(id) if noun == "action" else next((s for s in playbook.steps if s.id == id), None)
    values = {key: getattr(found, name, None) for key, name in members}
    if len(_kept) >= KEPT_AT_MOST:
        _kept.clear()
    _kept[named] = text = msgspec.json.encode(values)[1:-1].decode()
    return text
