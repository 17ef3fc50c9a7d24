"""Trusted documents: those that a console ships with, named by the SHA-256 of their text."""

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path

from graphql import GraphQLError

from api.graphql.documents import Refused

NAMED_IN_VAIN = "PERSISTED_QUERY_NOT_FOUND"
"""The code by which clients that send ids know that the text has to be sent along."""


@cache
def trusted_documents(folder: Path) -> Mapping[str, str]:
    """The documents of a folder by their ids, read once: the SHA-256 of each file in hexadecimal."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.graphql")):
        content = path.read_bytes()
        found[sha256(content).hexdigest()] = content.decode()
    return found


def text_to_run(query: str | None, id: str | None, folder: Path, *, trusted_only: bool) -> str:
    """The text that a request means by itself, by an id, or by both. Raises Refused."""
    named = id.lower().removeprefix("sha256:") if id is not None else None
    own = sha256(query.encode()).hexdigest() if query is not None else None
    if named is not None and own is not None and named != own:
        raise _refused("The id is not the SHA-256 of the document that came with it.", "invalid-document")
    known = trusted_documents(folder).get(named or own or "")
    if known is not None:
        return known
    if query is None:
        raise _refused("No trusted document has this id. Send the document itself.", NAMED_IN_VAIN)
    if trusted_only:
        raise _refused("Only trusted documents are run here: name one by its id.", "untrusted-document")
    return query


def _refused(message: str, code: str) -> Refused:
    return Refused([GraphQLError(message, extensions={"code": code})])
