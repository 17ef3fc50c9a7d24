"""The systems that send us deliveries, as data: how each proves itself, how its body is read, what its fields mean.

A new system is one YAML file in `data/systems/`. A source may lay a mapping of its own over that of its system: its
events are asked first, its fields replace the system's.
"""

import re
from functools import cache, lru_cache
from typing import Annotated, Any, Literal

import orjson
from msgspec import Struct
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from domain.expressions import InvalidExpression
from domain.glossary import DiscoveryMethod
from domain.payloads import DecodeStep
from domain.readers import Reader
from domain.refusals import InputError, Invalid
from domain.shipped import shipped, shipped_names
from domain.signatures import Scheme
from domain.source_files import AttachmentsText, FilesReader, compiled_files, file_faults
from domain.source_rules import RULES_MAX, Rule, RuleText, compiled_rules, rule_faults

EVENTS_MAX = 30
ALTERNATIVES_MAX = 10
VALUES_MAX = 100
REFERRED = re.compile(r"""\b(headers|query)(?:\.([A-Za-z_]\w*)|\["([^"\\]+)"\]|\s*,\s*"([^"\\.]+)")""")

Action = Literal["open", "update", "close", "comment", "ignore"]
FieldName = Literal[
    "delivery_id",
    "external_id",
    "key",
    "url",
    "title",
    "summary",
    "severity_hint",
    "status",
    "client_ref",
    "client_name",
    "reporter",
    "assignee",
    "comment",
    "resolution",
    "created_at",
    "updated_at",
    "position",
    "correlation",
    "author",
    "sender",
    "labels",
    "observables",
    "facts",
    "ai_systems",
    "playbook_hint",
]
Text = Annotated[str, Field(min_length=1, max_length=1_000)]
Words = Annotated[dict[str, Annotated[str, Field(max_length=100)]], Field(max_length=VALUES_MAX)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FieldText(_Model):
    """What a field is read from: the first of several expressions that gives something.

    `map` translates whole words and `containing` words that hold a part (both without regard to case); what neither
    knows stays as it is. `time` says how a number or a text tells an instant.
    """

    value: Annotated[list[Text], Field(min_length=1, max_length=ALTERNATIVES_MAX)]
    map: Words = {}
    containing: Words = {}
    time: Literal["iso", "s", "ms", "us", "ns"] = "iso"


def _short(value: Any) -> Any:
    """A field may be written as one expression, or as a list of them."""
    if isinstance(value, str):
        return {"value": [value]}
    if isinstance(value, list):
        return {"value": value}
    if isinstance(value, dict) and isinstance(value.get("value"), str):
        return {**value, "value": [value["value"]]}
    return value


AnyField = Annotated[FieldText, BeforeValidator(_short, json_schema_input_type=Text | list[Text] | FieldText)]


class EventText(_Model):
    """When `when` holds, this is what the delivery means. The first that holds decides."""

    when: Text
    action: Action
    because: Annotated[str, Field(min_length=1, max_length=300)] | None = None


class MappingText(_Model):
    """What a source says about its own deliveries, over what its system says.

    `items` leads to a list of several; an object there is a list of one. `rules` say what is meant by a report that
    opens an incident: the first that holds decides. `attachments` say where files are.
    """

    events: Annotated[list[EventText], Field(max_length=EVENTS_MAX)] = []
    fields: dict[FieldName, AnyField] = {}
    items: Text | None = None
    rules: Annotated[list[RuleText], Field(max_length=RULES_MAX)] = []
    attachments: AttachmentsText | None = None


class HandshakeText(_Model):
    """A question by which a sender finds out whether an address takes its deliveries, and what it wants to read.

    `unsigned` handshakes are answered to whoever knows the address: they come before anything can be signed.
    """

    when: Text
    answer: Text
    unsigned: bool = False


class FetchText(_Model):
    """What is fetched over the connection of the source when `when` holds: an operation of `data/connections/`.

    What it answers is laid over the item, or over the body where there is one thing: a list as `fetched`.
    """

    when: Text
    operation: Text


class GuideText(_Model):
    """How somebody connects the system: what it is, what the secret is, which events to choose, what to click.

    `sample` is a body as it is sent, with `headers`, proven as `proof` says or by the first that a shell can make.
    """

    about: Text
    secret: Text
    events: Text
    clicks: Annotated[list[Text], Field(min_length=1)]
    notes: list[Text] = []
    proof: str | None = None
    headers: dict[str, str] = {}
    sample: Annotated[str, Field(min_length=2, max_length=4_000)]


class SystemText(_Model):
    """One system as its file describes it.

    `reply` is what a sender shows to its user instead of our own answer: JSON members whose texts may hold `{number}`,
    `{result}`, `{because}` and `{url}`.
    """

    system: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,40}$")]
    title: Text
    verify: Annotated[list[Scheme], Field(min_length=1)]
    decode: list[DecodeStep] = [DecodeStep(kind="json")]
    discovery_method: DiscoveryMethod | None = None
    items: Text | None = None
    handshakes: list[HandshakeText] = []
    reply: dict[str, str] = {}
    events: Annotated[list[EventText], Field(min_length=1, max_length=EVENTS_MAX)]
    fields: dict[FieldName, AnyField]
    attachments: AttachmentsText | None = None
    fetch: list[FetchText] = []
    guide: GuideText | None = None


class FieldReader(Struct, frozen=True):
    """A compiled field."""

    name: FieldName
    alternatives: tuple[Reader, ...]
    words: dict[str, str]
    containing: tuple[tuple[str, str], ...]
    time: str
    is_own: bool  # of the source: its faults are told to whoever wrote them

    def translated(self, text: str) -> str:
        """`text` in the words of `map` or `containing`, as it is where neither knows it."""
        if not self.words and not self.containing:
            return text
        folded = text.strip().casefold()
        if folded in self.words:
            return self.words[folded]
        return next((word for part, word in self.containing if part in folded), text)


class EventReader(Struct, frozen=True):
    """A compiled rule of what a delivery means."""

    when: Reader
    action: Action
    because: str | None
    is_own: bool


class HandshakeReader(Struct, frozen=True):
    """A compiled handshake."""

    when: Reader
    answer: Reader
    unsigned: bool


class FetchReader(Struct, frozen=True):
    """A compiled rule of what is fetched."""

    when: Reader
    operation: str


class System(Struct, frozen=True, kw_only=True):
    """A system, or a system with the mapping of one source over it: compiled and ready to read deliveries."""

    name: str
    title: str
    verify: tuple[Scheme, ...]
    decode: tuple[DecodeStep, ...]
    discovery_method: str | None
    items: Reader | None
    handshakes: tuple[HandshakeReader, ...]
    reply: dict[str, str]
    events: tuple[EventReader, ...]
    fields: dict[str, FieldReader]
    rules: tuple[Rule, ...]
    files: FilesReader | None
    fetch: tuple[FetchReader, ...]
    kept_headers: frozenset[str]  # those that the mapping refers to, and so needs when it is tried again
    kept_query: frozenset[str]


def system_names() -> tuple[str, ...]:
    """The names of the systems there are, sorted."""
    return tuple(sorted(_texts()))


def system_text(name: str) -> SystemText | None:
    """A system as its file describes it."""
    return _texts().get(name)


@lru_cache(maxsize=2_000)
def system_of(name: str, mapping: str = "{}") -> System:
    """The system `name` with the mapping of a source over it, which is JSON that `read_mapping` accepted.

    Cached, so that a source's expressions are compiled once. Raises KeyError for an unknown system.
    """
    return compile_system(_texts()[name], MappingText.model_validate(orjson.loads(mapping)))


def read_mapping(given: Any) -> MappingText:
    """Check a source's mapping and compile it. Raises Invalid with pointers below `/mapping`."""
    try:
        mapping = MappingText.model_validate(given)
    except ValidationError as error:
        faults = [
            InputError("/mapping" + "".join(f"/{_escaped(part)}" for part in fault["loc"]), str(fault["msg"])[:300])
            for fault in error.errors(include_input=False, include_url=False)
        ]
        raise Invalid("The mapping cannot be read; `errors` says where.", errors=faults[:20]) from None
    faults = []
    places = [(f"/mapping/events/{index}/when", event.when) for index, event in enumerate(mapping.events)]
    places += [
        (f"/mapping/fields/{name}/{index}", text)
        for name, field in mapping.fields.items()
        for index, text in enumerate(field.value)
    ]
    if mapping.items is not None:
        places.append(("/mapping/items", mapping.items))
    for pointer, text in places:
        try:
            Reader(text, is_shipped=False)
        except InvalidExpression as error:
            where = "" if error.position is None else f" [position {error.position}]"
            faults.append(InputError(pointer, f"{error.reason}{where}"))
    faults += rule_faults(mapping.rules) + file_faults(mapping.attachments)
    if faults:
        raise Invalid("The mapping cannot be used; `errors` says what and where.", errors=faults[:20])
    return mapping


def compile_system(text: SystemText, mapping: MappingText) -> System:
    """A system ready to read. Raises InvalidExpression."""
    events = [_event(event, is_own=True) for event in mapping.events]
    events += [_event(event, is_own=False) for event in text.events]
    fields = [_field(name, field, is_own=True) for name, field in mapping.fields.items()]
    fields += [_field(name, f, is_own=False) for name, f in text.fields.items() if name not in mapping.fields]
    items = mapping.items or text.items
    texts = [event.when.text for event in events] + [one.text for field in fields for one in field.alternatives]
    referred = [match for one in texts for match in REFERRED.findall(one)]
    return System(
        name=text.system,
        title=text.title,
        verify=tuple(text.verify),
        decode=tuple(text.decode),
        discovery_method=text.discovery_method.value if text.discovery_method else None,
        items=None if items is None else Reader(items, is_shipped=mapping.items is None),
        handshakes=tuple(_handshake(one) for one in text.handshakes),
        reply=text.reply,
        events=tuple(events),
        fields={field.name: field for field in fields},
        rules=compiled_rules(mapping.rules),
        files=compiled_files(mapping.attachments or text.attachments, is_shipped=mapping.attachments is None),
        fetch=tuple(FetchReader(Reader(one.when, is_shipped=True), one.operation) for one in text.fetch),
        kept_headers=frozenset("".join(names).lower() for root, *names in referred if root == "headers"),
        kept_query=frozenset("".join(names) for root, *names in referred if root == "query"),
    )


@cache
def _texts() -> dict[str, SystemText]:
    found = [SystemText.model_validate(shipped(name)) for name in shipped_names("systems")]
    return {text.system: text for text in found}


def _event(event: EventText, *, is_own: bool) -> EventReader:
    return EventReader(Reader(event.when, is_shipped=not is_own), event.action, event.because, is_own)


def _handshake(text: HandshakeText) -> HandshakeReader:
    when, answer = (Reader(one, is_shipped=True) for one in (text.when, text.answer))
    return HandshakeReader(when, answer, text.unsigned)


def _field(name: FieldName, field: FieldText, *, is_own: bool) -> FieldReader:
    readers = tuple(Reader(text, is_shipped=not is_own) for text in field.value)
    words = {word.casefold(): meaning for word, meaning in field.map.items()}
    containing = tuple((part.casefold(), meaning) for part, meaning in field.containing.items())
    return FieldReader(name, readers, words, containing, field.time, is_own)


def _escaped(part: object) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")[:80]
