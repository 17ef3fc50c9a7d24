"""The systems that send us deliveries, as data: how each proves itself, how its body is read, what its fields mean.

A new system is one YAML file in `data/systems/`. A source may lay a mapping of its own over that of its system: its
events are asked first, its fields replace the system's.
"""

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Annotated, Any, Literal

import orjson
from msgspec import Struct
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from domain.expression_values import dotted
from domain.expressions import EvaluationFailed, Expression, InvalidExpression, Scope, compile_expression
from domain.glossary import DiscoveryMethod
from domain.payloads import DecodeStep
from domain.refusals import InputError, Invalid
from domain.shipped import shipped, shipped_names
from domain.signatures import Scheme

VARIABLES = frozenset({"body", "item", "headers", "query"})
"""What an expression sees: the decoded body, one element of it where a delivery holds several, headers in lower case,
and the parameters of the address."""
EVENTS_MAX = 30
ALTERNATIVES_MAX = 10
VALUES_MAX = 100
# A plain path needs no evaluation: measured, 0.3 us instead of 5 us.
PATH = re.compile(r"""(body|item|headers|query)((?:\.[A-Za-z_][A-Za-z0-9_]*|\["[^"\\]{1,100}"\]|\[\d{1,4}\])*)""")
PATH_PART = re.compile(r"""\.([A-Za-z_][A-Za-z0-9_]*)|\["([^"\\]*)"\]|\[(\d+)\]""")
# The form of most conditions, which is compared without evaluating it either.
TEST = re.compile(
    r"""get\((body|item|headers|query),\s*"([^"\\]{1,100})",\s*("[^"\\]*"|true|false)\)\s*(==|!=)\s*("[^"\\]*"|true|false)"""
)
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

    `items` leads to a list of several; an object there is a list of one.
    """

    events: Annotated[list[EventText], Field(max_length=EVENTS_MAX)] = []
    fields: dict[FieldName, AnyField] = {}
    items: Text | None = None


class HandshakeText(_Model):
    """A question by which a sender finds out whether an address takes its deliveries, and what it wants to read.

    `unsigned` handshakes are answered to whoever knows the address: they come before anything can be signed.
    """

    when: Text
    answer: Text
    unsigned: bool = False


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


class _Test(Struct, frozen=True):
    """`get(root, "a.b", default) == wanted`, or its contrary."""

    root: str
    way: tuple[str | int, ...]
    default: str | bool
    wanted: str | bool
    is_equal: bool

    def holds(self, scope: Scope) -> bool:
        """As the evaluator would say it: values of different types are never equal."""
        value = _found(scope.variables.get(self.root), self.way)
        value = self.default if value is None else value
        return (type(value) is type(self.wanted) and value == self.wanted) is self.is_equal


class Reader:
    """One expression. A plain path and a plain comparison are read without evaluating anything."""

    __slots__ = ("_expression", "_path", "_test", "text")

    def __init__(self, text: str, *, is_shipped: bool) -> None:
        self.text = text
        self._path = _path(text)
        self._test = _test(text)
        self._expression: Expression | None = None
        if self._path is None and self._test is None:
            self._expression = compile_expression(text, VARIABLES, shipped=is_shipped)

    def read(self, scope: Scope) -> Any:
        """The value, None when there is nothing. Raises EvaluationFailed when the expression does not fit the body."""
        if self._path is not None:
            root, way = self._path
            return _found(scope.variables.get(root), way)
        if self._test is not None:
            return self._test.holds(scope)
        assert self._expression is not None
        return self._expression.evaluate(scope)

    def holds(self, scope: Scope) -> bool:
        """Whether it is exactly true. Raises EvaluationFailed as `read` does."""
        return self.read(scope) is True


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
    if faults:
        raise Invalid("An expression cannot be used; `errors` says which and where.", errors=faults[:20])
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


def _path(text: str) -> tuple[str, tuple[str | int, ...]] | None:
    match = PATH.fullmatch(text.strip())
    if match is None:
        return None
    parts = PATH_PART.findall(match[2])
    return match[1], tuple(int(number) if number else name or quoted for name, quoted, number in parts)


def _test(text: str) -> _Test | None:
    match = TEST.fullmatch(text.strip())
    if match is None:
        return None
    root, path, default, sign, wanted = match.groups()
    return _Test(root, dotted(path), _literal(default), _literal(wanted), sign == "==")


def _literal(text: str) -> str | bool:
    return text == "true" if text in ("true", "false") else text[1:-1]


def _found(value: Any, way: tuple[str | int, ...]) -> Any:
    """The value at the end of `way`, None when it leads nowhere. What is read was made by a parser of JSON."""
    for part in way:
        if type(value) is dict:
            value = value.get(part)
        elif type(value) is list and type(part) is int and part < len(value):
            value = value[part]
        else:
            return None
    return value


def _escaped(part: object) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")[:80]


def first_given(readers: Sequence[Reader], scope: Scope) -> tuple[Any, str | None]:
    """What the first reader gives that gives something, and why one before it failed."""
    fault = None
    for reader in readers:
        try:
            value = reader.read(scope)
        except EvaluationFailed as error:
            fault = str(error)[:200]
            continue
        if value or (value is not None and not isinstance(value, str | list | dict)):
            return value, None
    return None, fault
