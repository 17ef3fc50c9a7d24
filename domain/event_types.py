"""The catalogue of events: the types there are, what each tells, on which streams, and who may read these."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field

from domain.permissions import OPERATIONS
from domain.refusals import InputError, Invalid
from domain.shipped import shipped

INCIDENTS = "incident"
TYPES_MAX = 100
EVERYTHING = "*"
ALL_OF_ONE = ".*"

_KINDS: dict[str, dict[str, Any]] = {
    "text": {"type": "string"},
    "id": {"type": "string", "format": "uuid"},
    "instant": {"type": "string", "format": "date-time"},
    "number": {"type": "integer"},
    "flag": {"type": "boolean"},
    "object": {"type": "object"},
}
"""The schema of each kind of member; of `any` it is empty, and of several a list of one."""


class StreamText(BaseModel):
    """A stream as written in the data. `read` is the row of the permission table that its reader needs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: Annotated[str, Field(min_length=1)]
    read: str


class MemberText(BaseModel):
    """A member of `data` as written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["text", "id", "instant", "number", "flag", "object", "any", "texts", "ids", "numbers", "objects"]
    text: Annotated[str, Field(min_length=1)]

    @property
    def schema_of_value(self) -> dict[str, Any]:
        """JSON Schema of its value."""
        if self.kind == "any":
            return {"description": self.text}
        if self.kind in _KINDS:
            return {**_KINDS[self.kind], "description": self.text}
        return {"type": "array", "items": _KINDS[self.kind.removesuffix("s")], "description": self.text}


class TypeText(BaseModel):
    """A type as written: `data` names members, with `?` those that may be absent or null."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: Annotated[str, Field(min_length=1)]
    data: str = ""
    version: Annotated[int, Field(ge=1)] = 1
    streams: Annotated[list[str], Field(min_length=1)] | None = None


class CatalogueText(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    streams: dict[str, StreamText]
    members: dict[str, MemberText]
    types: dict[Annotated[str, Field(pattern=r"^[a-z_]{1,60}\.[a-z_]{1,60}$")], TypeText]


class EventType(Struct, frozen=True, kw_only=True):
    """One type. `data_schema` is the JSON Schema of its `data`; more members may come without a new version."""

    type: str
    version: int
    title: str
    description: str
    streams: list[str]
    data_schema: dict[str, Any]


def _read() -> CatalogueText:
    found = CatalogueText.model_validate(shipped("event_types.yaml"))
    for name, stream in found.streams.items():
        if stream.read not in OPERATIONS:
            raise ValueError(f"event_types.yaml: stream {name} is read by an unknown operation, {stream.read}")
    return found


def _type(name: str, text: TypeText, catalogue: CatalogueText) -> EventType:
    thing = name.partition(".")[0]
    streams = text.streams or [thing if thing in catalogue.streams else INCIDENTS]
    properties, required = dict[str, Any](), list[str]()
    for word in text.data.split():
        member = word.removesuffix("?")
        if member not in catalogue.members or not set(streams) <= catalogue.streams.keys():
            raise ValueError(f"event_types.yaml: {name} names the unknown member {member} or an unknown stream")
        properties[member] = catalogue.members[member].schema_of_value
        if word == member:
            required.append(member)
        elif "type" in properties[member]:
            properties[member] |= {"type": [properties[member]["type"], "null"]}
    return EventType(
        type=name,
        version=text.version,
        title=name.replace(".", " ").replace("_", " ").capitalize(),
        description=text.text,
        streams=streams,
        data_schema={"type": "object", "properties": properties, "required": required},
    )


_CATALOGUE = _read()
STREAMS = _CATALOGUE.streams
TYPES = {name: _type(name, text, _CATALOGUE) for name, text in _CATALOGUE.types.items()}
_THINGS = sorted({f"{name.partition('.')[0]}{ALL_OF_ONE}" for name in TYPES})


def check_types(types: Sequence[str], pointer: str = "/event_types") -> None:
    """Raise Invalid unless each is a type of the catalogue, all of one thing as in `step.*`, or `*`."""
    known = {EVERYTHING, *_THINGS, *TYPES}
    faults = [InputError(f"{pointer}/{index}", _near(one)) for index, one in enumerate(types) if one not in known]
    if faults or not 1 <= len(types) <= TYPES_MAX:
        told = f"Name 1 to {TYPES_MAX} types of events; `GET /v1/event-types` lists them."
        raise Invalid(told, errors=faults[:20] or [InputError(pointer, f"1 to {TYPES_MAX} types")])


def _near(wrong: str) -> str:
    near = get_close_matches(wrong, [*TYPES, *_THINGS], n=3, cutoff=0.6)
    told = "a type such as step.completed, all of one thing as in step.*, or *"
    return f"{told}; perhaps {' or '.join(near)}" if near else told


def event_types_page() -> str:
    """The catalogue as the Markdown page docs/event-types.md."""
    lines = [
        "# Types of events",
        "",
        "What webhook endpoints and `GET /v1/events` tell, see [receiving events](receiving-events.md).",
        "`GET /v1/event-types` answers the same with a JSON Schema of `data` for each. This page is made from",
        "`domain/data/event_types.yaml` by `holdfast export-guides`.",
        "",
        "`data` of an event has the members named here; with `?` they may be absent or null. More members may come; a",
        "type whose data changes otherwise gets a new version. All of `data` is null where it was erased.",
    ]
    for stream, text in STREAMS.items():
        lines += ["", f"## {text.title} (`{stream}`)", "", "| type | what happened | data |", "|---|---|---|"]
        told = [one for one in TYPES.values() if stream in one.streams]
        lines += [f"| `{one.type}` | {one.description} | {_members(one)} |" for one in told]
    lines += ["", "## Members of `data`", "", "| member | kind | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | {one.kind} | {one.text} |" for name, one in sorted(_CATALOGUE.members.items())]
    return "\n".join(lines) + "\n"


def _members(one: EventType) -> str:
    version = f"version {one.version}: " if one.version > 1 else ""
    return version + " ".join(f"`{word}`" for word in _CATALOGUE.types[one.type].data.split())
