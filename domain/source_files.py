"""Files that a delivery carries or names: which there are, what each holds, and what a person will call it.

Content inside the body becomes evidence. What is only named by an address stays an address: it is not fetched.
"""

import base64
import binascii
import mimetypes
import re
from typing import Annotated, Any

from msgspec import Struct
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from domain.expressions import InvalidExpression, Scope
from domain.filenames import clean_filename, extension_of
from domain.media_types import HEAD_BYTES, media_type_of
from domain.readers import Reader, first_given
from domain.refusals import InputError, Invalid

VARIABLES = frozenset({"body", "item", "headers", "query", "file"})
FILES_MAX = 20
NAME_MAX = 200
ADDRESS_MAX = 2_000
ALTERNATIVES_MAX = 5
ADDRESS = re.compile(r"(?i:https?)://[^\s/?#].*")
NO_ADDRESS = "Its address is none that can be opened."
NO_CONTENT = "It came without content."
TOO_MANY = f"A delivery may bring {FILES_MAX} files."

_KINDS = {"message/rfc822": "email_original", "application/vnd.ms-outlook": "email_original"}
_KINDS_OF_EXTENSION = {"log": "log_extract", "evtx": "log_extract", "ndjson": "log_extract", "eml": "email_original"}

Texts = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=1_000)]],
    Field(max_length=ALTERNATIVES_MAX),
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value, json_schema_input_type=str | list[str]),
]


class AttachmentsText(BaseModel):
    """Where the files of a delivery are. `items` leads to the list, each of which the others see as `file`.

    `content` is base64 (an address that begins with `data:` too), `text` the words themselves, `url` an address.
    `media_type` names a file that has no ending.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    items: Annotated[Texts, Field(min_length=1)]
    name: Texts = []
    media_type: Texts = []
    content: Texts = []
    text: Texts = []
    url: Texts = []


class FilesReader(Struct, frozen=True):
    """The same, compiled."""

    items: tuple[Reader, ...]
    name: tuple[Reader, ...]
    media_type: tuple[Reader, ...]
    content: tuple[Reader, ...]
    text: tuple[Reader, ...]
    url: tuple[Reader, ...]


class SourceFile(Struct, frozen=True, kw_only=True):
    """One file. `content` is empty where the delivery only names it, and where it could not be read (`refused`)."""

    name: str
    kind: str = "other"
    media_type: str = ""
    content: bytes = b""
    url: str | None = None
    refused: str | None = None


def compiled_files(text: AttachmentsText | None, *, is_shipped: bool) -> FilesReader | None:
    """Ready to read. Raises InvalidExpression."""
    if text is None:
        return None
    given = {
        name: tuple(Reader(one, is_shipped=is_shipped, variables=VARIABLES) for one in getattr(text, name))
        for name in AttachmentsText.model_fields
    }
    return FilesReader(**given)


def file_faults(text: AttachmentsText | None) -> list[InputError]:
    """What is wrong with the expressions, with pointers below `/mapping/attachments`."""
    faults = []
    for name in AttachmentsText.model_fields if text is not None else ():
        for index, one in enumerate(getattr(text, name)):
            try:
                Reader(one, is_shipped=False, variables=VARIABLES)
            except InvalidExpression as error:
                where = "" if error.position is None else f" [position {error.position}]"
                faults.append(InputError(f"/mapping/attachments/{name}/{index}", f"{error.reason}{where}"))
    return faults


def read_files(reader: FilesReader, scope: Scope) -> list[SourceFile]:
    """The files of one event. What cannot be read is among them, with the reason."""
    given, _ = first_given(reader.items, scope)
    if isinstance(given, dict):
        given = [given]
    if not isinstance(given, list):
        return []
    found = [_file(reader, Scope({**scope.variables, "file": one}, ends_at=scope.ends_at)) for one in given[:FILES_MAX]]
    if len(given) > FILES_MAX:
        found.append(SourceFile(name=f"{len(given) - FILES_MAX} more", refused=TOO_MANY))
    return [one for one in found if one is not None]


def _file(reader: FilesReader, scope: Scope) -> SourceFile | None:
    said = {name: _said(getattr(reader, name), scope) for name in ("name", "media_type", "content", "text", "url")}
    given = (said["url"] or "").strip()[:ADDRESS_MAX]
    name = _named((said["name"] or given.split("?")[0])[:NAME_MAX], said["media_type"] or "")
    url = given.replace(" ", "%20") if ADDRESS.fullmatch(given) and given.isprintable() else ""
    if said["content"] is None and said["text"] is None:
        if url:
            return SourceFile(name=name, url=url)
        return SourceFile(name=name, refused=NO_ADDRESS if given else NO_CONTENT) if said["name"] or given else None
    try:
        content = said["text"].encode() if said["text"] is not None else _decoded(said["content"] or "")
        if not content:
            return SourceFile(name=name, url=url or None, refused="It is empty.")
        media_type = media_type_of(content[:HEAD_BYTES], name)
    except Invalid as refusal:
        return SourceFile(name=name, url=url or None, refused=refusal.detail)
    except (binascii.Error, ValueError):
        return SourceFile(name=name, url=url or None, refused="Its content is not base64.")
    return SourceFile(name=name, kind=_kind(name, media_type), media_type=media_type, content=content, url=url or None)


def _said(readers: tuple[Reader, ...], scope: Scope) -> str | None:
    value: Any = first_given(readers, scope)[0]
    return value if isinstance(value, str) and value else None


def _named(name: str, media_type: str) -> str:
    """A harmless name with an ending, where the sender's own word for the type gives one."""
    clean = clean_filename(name)
    ending = mimetypes.guess_extension(media_type.partition(";")[0].strip()) if not extension_of(clean) else None
    return f"{clean}{ending or ''}"


def _decoded(text: str) -> bytes:
    if text[:5].casefold() == "data:":
        text = text.partition(",")[2]
    plain = "".join(text.split()).translate(str.maketrans("-_", "+/"))
    return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)


def _kind(name: str, media_type: str) -> str:
    """What evidence it is: a picture shows what somebody saw, a mail and a log say what they are."""
    if media_type.startswith("image/"):
        return "screenshot"
    return _KINDS.get(media_type) or _KINDS_OF_EXTENSION.get(extension_of(name), "other")
