"""Which playbook an incident pins, and which one a caller asks for or reads."""

from collections import OrderedDict

import orjson
from msgspec import Struct

from app.database import Db
from domain.playbooks import Playbook, catalogue, playbook_of
from domain.refusals import InputError, Invalid

KEPT_AT_MOST = 64
_kept: OrderedDict[str, Playbook] = OrderedDict()


async def pinned(db: Db, content_hash: str | None) -> Playbook | None:
    """The playbook with this content: a shipped one, or the stored text of one that is shipped no longer."""
    if content_hash is None:
        return None
    found = catalogue().by_hash(content_hash) or _kept.get(content_hash)
    if found is not None:
        return found
    text = await db.value("SELECT resolved::text FROM playbook_versions WHERE hash = $1", content_hash)
    assert text is not None, "an incident pins a playbook that is stored"
    _kept[content_hash] = playbook_of(orjson.loads(text))
    if len(_kept) > KEPT_AT_MOST:
        _kept.popitem(last=False)
    return _kept[content_hash]


class Stored(Struct, frozen=True):
    """A version as it is kept, with its status."""

    playbook: Playbook
    status: str


_READ = """
SELECT status, resolved::text AS resolved FROM playbook_versions
WHERE slug = $1 AND ($2::text IS NULL AND status = 'published' OR version = $2)
ORDER BY string_to_array(version, '.')::int[] DESC, status = 'published' DESC, imported_at DESC LIMIT 1
"""


async def stored(db: Db, slug: str, version: str | None = None) -> Stored | None:
    """That version, or the newest published one; None when there is none.

    Of a version whose content was replaced before its release, the published content is the one.
    """
    row = await db.row(_READ, slug, version)
    return None if row is None else Stored(playbook_of(orjson.loads(row["resolved"])), row["status"])


def asked_for(slug: str | None, pointer: str = "/playbook") -> Playbook | None:
    """The newest version of the playbook a caller names. Raises Invalid, listing what there is."""
    if slug is None:
        return None
    found = catalogue().get(slug)
    if found is None:
        text = f"is no playbook; there are {', '.join(catalogue().slugs())}"
        raise Invalid(f"{pointer} {text}.", errors=[InputError(pointer, text)])
    return found
