"""From a delivery to what it means: the events it tells of, in our words, each bounded and clean.

A mapping reads and never decides: whether an incident is opened or updated, what a person has to look at, is the
business of `domain/source_events.py`. What a delivery does not say stays None, and nothing is guessed.
"""

import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct, field, structs

from domain.expressions import EvaluationFailed, Scope, TooCostly
from domain.payloads import Unreadable, decode
from domain.readers import first_given
from domain.signatures import Received
from domain.source_files import SourceFile, read_files
from domain.source_rules import MetRule, met_rule
from domain.systems import Action, EventReader, FieldReader, System

__all__ = ["SourceEvent", "Unmappable", "kept_headers", "read_delivery"]

ITEMS_MAX = 100
# Nobody else is served meanwhile. Measured: 100 items by a shipped mapping take 0.03 s, by 30 costly rules 4 s.
CPU_SECONDS_MAX = 0.5
TITLE_MAX = 200
LINE_MAX = 500
TEXT_MAX = 20_000
LIST_MAX = 50
LABEL_MAX = 100
FAULTS_MAX = 5
DESCRIBING = ("open", "update")
HANDSHAKE_MAX = 1_000
EMPTY_DATES = (1, 1899, 1900, 1901, 1970)  # years by which systems say that there is no date
EMPTY_WORDS = frozenset({"", "none", "null", "n/a", "undefined"})
# Controls, and marks that turn the direction of a line: they mean nothing in a record and mislead its readers.
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
SPACES = re.compile(r"\s+")
ADDRESS = re.compile(r"(?i:https?)://[^\s/?#]\S*")
UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Headers that say something about a delivery and hold no credential.
PLAIN_HEADERS = frozenset({"content-type", "user-agent", "webhook-id", "webhook-timestamp"})


class Unmappable(ValueError):
    """A delivery that has no meaning for us. The message may be shown and repeats nothing of the content."""


class SourceEvent(Struct, frozen=True, kw_only=True):
    """One event that a source tells of. `position` orders the events of one external id (microseconds, or the sender's
    own count); `rule` is the condition that decided the action."""

    action: Action
    because: str | None = None
    rule: str | None = None
    external_id: str | None = None
    key: str | None = None
    url: str | None = None
    title: str | None = None
    summary: str | None = None
    severity_hint: str | None = None
    status: str | None = None
    client_ref: str | None = None
    client_name: str | None = None
    reporter: str | None = None
    assignee: str | None = None
    comment: str | None = None
    resolution: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    position: int | None = None
    correlation: str | None = None
    author: str | None = None
    sender: str | None = None
    labels: list[str] = field(default_factory=list)
    observables: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    ai_systems: list[dict[str, str]] = field(default_factory=list)
    playbook_hint: str | None = None
    files: list[SourceFile] = field(default_factory=list)
    met: MetRule | None = None  # the rule of the source that it met, where it may open an incident


def describes(event: SourceEvent) -> bool:
    """Whether it says how the thing stands: an end that tells its title does too, one that only ends does not."""
    return event.action in DESCRIBING or (event.action == "close" and event.title is not None)


class Lookup(Struct, frozen=True):
    """Something that an event only names: the operation that fetches it, and the id of the thing."""

    operation: str
    id: str


class Delivery(Struct, frozen=True, kw_only=True):
    """What one delivery tells. `delivery_id` is the sender's own name of it, None where it has none; `faults` are the
    expressions of the source's mapping that failed on it, each a JSON pointer and a reason. `lookups` says for each
    event what could be fetched."""

    events: list[SourceEvent]
    delivery_id: str | None
    faults: list[str]
    lookups: list[Lookup | None] = []

    @property
    def positions(self) -> dict[str, int]:
        """The newest position among its events, and that among those that describe the thing. A note has its own time
        and says nothing of the order of states."""
        states = [one for one in self.events if one.action != "comment" and one.position is not None]
        described = [one.position for one in states if describes(one) and one.position is not None]
        found = [one.position for one in states if one.position is not None]
        newest = {"position": max(found, default=None), "described": max(described, default=None)}
        return {name: position for name, position in newest.items() if position is not None}


def read_delivery(system: System, received: Received, fetched: Sequence[Mapping[str, Any]] | None = None) -> Delivery:
    """The events of a delivery, one unless the system sends several at once. `fetched` is what is laid over each.

    Raises Unmappable.
    """
    try:
        return _read_delivery(system, received, fetched)
    except TooCostly as error:
        raise Unmappable(f"Reading it took too long at {error.text[:200]!r}: make the mapping simpler.") from None


def _read_delivery(system: System, received: Received, fetched: Sequence[Mapping[str, Any]] | None) -> Delivery:
    try:
        body = decode(received.body, received.headers.get("content-type", ""), system.decode)
    except Unreadable as error:
        raise Unmappable(str(error)) from None
    if fetched and system.items is None and isinstance(body, dict):
        body = {**body, **fetched[0]}
    variables: dict[str, Any] = {"body": body, "headers": received.headers, "query": received.query}
    faults: list[str] = []
    scope = Scope(variables, ends_at=time.thread_time() + CPU_SECONDS_MAX)
    items: list[Any] = [None]
    if system.items is not None:
        found, _ = first_given([system.items], scope)
        if isinstance(found, dict):
            found = [found]  # some senders make a list only of several
        if not isinstance(found, list):
            raise Unmappable("There is no list where the mapping looks for the items.")
        if len(found) > ITEMS_MAX:
            raise Unmappable(f"It holds more than {ITEMS_MAX} items.")
        items = found
    events, delivery_id, lookups = [], None, []
    for index, item in enumerate(items):
        if fetched and isinstance(item, dict) and index < len(fetched):
            item = {**item, **fetched[index]}
        if system.items is not None:
            scope = Scope({**variables, "item": item}, ends_at=scope.ends_at)
        values = _Values(system, scope, faults)
        events.append(_event(system, scope, values))
        delivery_id = delivery_id or values.line("delivery_id")
        lookups.append(_lookup(system, scope, events[-1]) if fetched is None else None)
    if not events:
        raise Unmappable("It holds no items.")
    return Delivery(events=events, delivery_id=delivery_id, faults=faults, lookups=lookups)


def handshake_answer(system: System, received: Received, *, is_proven: bool) -> str | None:
    """What the sender wants to read when it only asks whether we are here, None when it asks no such thing.

    Before the proof only what is declared `unsigned` is answered.
    """
    asked = [one for one in system.handshakes if is_proven or one.unsigned]
    if not asked:
        return None
    try:
        body = decode(received.body, received.headers.get("content-type", ""), system.decode)
    except Unreadable:
        body = None
    scope = Scope({"body": body, "headers": received.headers, "query": received.query})
    for one in asked:
        try:
            answer = one.answer.read(scope) if one.when.holds(scope) else None
        except EvaluationFailed:
            continue
        if isinstance(answer, str) and answer:
            return _clean(answer)[:HANDSHAKE_MAX]
    return None


def kept_headers(system: System, received: Received, credentials: frozenset[str]) -> dict[str, str]:
    """The headers worth keeping: those that are known to be harmless and those that the mapping reads, cut short.

    What is no header but belongs to the request follows under names that begin with a colon, as in HTTP/2.
    """
    wanted = (PLAIN_HEADERS | system.kept_headers) - credentials
    kept = {name: _clean(value)[:LINE_MAX] for name, value in received.headers.items() if name in wanted}
    query = {name: value for name, value in received.query.items() if name in system.kept_query}
    kept |= {f":query.{name}": _clean(value)[:LINE_MAX] for name, value in query.items()}
    return {name: value for name, value in kept.items() if name not in credentials}


def received_again(body: bytes, kept: Mapping[str, Any]) -> Received:
    """A delivery as it was kept, to be read again."""
    query = {name.removeprefix(":query."): str(value) for name, value in kept.items() if name.startswith(":query.")}
    headers = {name: str(value) for name, value in kept.items() if not name.startswith(":")}
    return Received(body=body, headers=headers, query=query)


def _event(system: System, scope: Scope, values: "_Values") -> SourceEvent:
    rule = _decided(system, scope, values.faults)
    created, updated = values.instant("created_at"), values.instant("updated_at")
    event = SourceEvent(
        action=rule.action,
        because=rule.because,
        rule=rule.when.text,
        external_id=values.line("external_id"),
        key=values.line("key"),
        url=_address(values.line("url", 2_000)),
        title=values.line("title", TITLE_MAX),
        summary=values.text("summary"),
        severity_hint=values.line("severity_hint", LABEL_MAX),
        status=values.line("status", LABEL_MAX),
        client_ref=values.line("client_ref"),
        client_name=values.line("client_name"),
        reporter=values.line("reporter", TITLE_MAX),
        assignee=values.line("assignee", TITLE_MAX),
        comment=values.text("comment"),
        resolution=values.text("resolution"),
        created_at=created,
        updated_at=updated,
        position=values.position(updated),
        correlation=values.line("correlation"),
        author=values.line("author"),
        sender=values.line("sender"),
        labels=[SPACES.sub("-", label) for label in values.lines("labels", LABEL_MAX)],
        observables=values.lines("observables", LINE_MAX),
        facts=values.facts(),
        ai_systems=values.ai_systems(),
        playbook_hint=values.line("playbook_hint", LABEL_MAX),
        files=read_files(system.files, scope) if system.files is not None and rule.action != "ignore" else [],
    )
    if system.rules and event.action in DESCRIBING:
        return structs.replace(event, met=met_rule(system.rules, event, values.faults, ends_at=scope.ends_at))
    return event


def _lookup(system: System, scope: Scope, event: SourceEvent) -> Lookup | None:
    """What has to be fetched to know what an event says."""
    if event.external_id is None or event.action not in DESCRIBING:
        return None
    for one in system.fetch:
        try:
            if one.when.holds(scope):
                return Lookup(one.operation, event.external_id)
        except EvaluationFailed:
            continue
    return None


def _decided(system: System, scope: Scope, faults: list[str]) -> EventReader:
    """What the delivery means: the first rule that holds. A rule of the source that fails does not hold."""
    for index, rule in enumerate(system.events):  # those of the source come first
        try:
            if rule.when.holds(scope):
                return rule
        except EvaluationFailed as error:
            if rule.is_own and len(faults) < FAULTS_MAX:
                faults.append(f"/mapping/events/{index}/when: {str(error)[:200]}")
    raise Unmappable(f"No rule of {system.title} says what it means.")


class _Values:
    """The fields of one event, read when asked for, each cut and cleaned for its place."""

    def __init__(self, system: System, scope: Scope, faults: list[str]) -> None:
        self._readers = system.fields
        self._scope = scope
        self.faults = faults

    def _read(self, name: str) -> tuple[FieldReader | None, Any]:
        reader = self._readers.get(name)
        if reader is None:
            return None, None
        value, fault = first_given(reader.alternatives, self._scope)
        if fault is not None and reader.is_own and len(self.faults) < FAULTS_MAX:
            self.faults.append(f"/mapping/fields/{name}: {fault}")
        return reader, value

    def line(self, name: str, length: int = LINE_MAX) -> str | None:
        """One line of text, without line ends and controls."""
        reader, value = self._read(name)
        if isinstance(value, list) and value:
            value = value[0]
        text = _as_text(value)
        if text is None or reader is None:
            return None
        text = _one_line(reader.translated(text), length)
        return None if text.casefold() in EMPTY_WORDS else text

    def text(self, name: str) -> str | None:
        """Text of several lines."""
        _, value = self._read(name)
        text = _as_text(value)
        if text is None:
            return None
        text = _clean(text[: TEXT_MAX * 2]).strip()[:TEXT_MAX]
        return text or None

    def lines(self, name: str, length: int) -> list[str]:
        """Several lines; one alone counts as a list of one."""
        _, value = self._read(name)
        if value is None:
            return []
        given = value if isinstance(value, list) else [value]
        texts = (_as_text(one) for one in given[: LIST_MAX * 4])
        cleaned = (_one_line(text, length) for text in texts if text)
        return list(dict.fromkeys(text for text in cleaned if text and text != "@"))[:LIST_MAX]

    def instant(self, name: str) -> datetime | None:
        """An instant in UTC; None for the placeholders by which systems say that there is none."""
        reader, value = self._read(name)
        return None if reader is None or value is None else _instant(value, reader.time)

    def position(self, updated_at: datetime | None) -> int | None:
        """The sender's own count where it has one, else the instant of the last change in microseconds."""
        reader, value = self._read("position")
        if reader is not None:
            text = _as_text(value)
            return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None
        return None if updated_at is None else (updated_at - EPOCH) // timedelta(microseconds=1)

    def facts(self) -> dict[str, Any]:
        """Facts by name, not yet checked."""
        _, value = self._read("facts")
        return dict(list(value.items())[:60]) if isinstance(value, dict) else {}

    def ai_systems(self) -> list[dict[str, str]]:
        """AI systems, each by its name or with what else is said of it."""
        _, value = self._read("ai_systems")
        found: list[dict[str, str]] = []
        if value is None:
            return found
        for one in value[:LIST_MAX] if isinstance(value, list) else [value]:
            given = {"name": one} if isinstance(one, str) else one if isinstance(one, dict) else {}
            limits = {"name": 200, "vendor": 200, "url": 2_000, "account_type": 100, "version": 200}
            entry = {
                name: _one_line(text, limit) for name, limit in limits.items() if (text := _as_text(given.get(name)))
            }
            if entry.get("name"):
                found.append(entry)
        return found


def _as_text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    return str(value) if isinstance(value, int) else None


def _clean(text: str) -> str:
    """Text without controls; line ends stay."""
    return text if text.isprintable() else CONTROLS.sub("", text)


def _one_line(text: str, length: int) -> str:
    """Text without controls and line ends, cut to `length` characters."""
    text = text[: length * 4]
    if not text.isprintable() or "  " in text:
        text = SPACES.sub(" ", CONTROLS.sub("", text))
    return text.strip()[:length].strip()


def _address(text: str | None) -> str | None:
    """An address that a browser may be led to, else None."""
    return text if text is not None and ADDRESS.fullmatch(text) else None


def _instant(value: Any, unit: str) -> datetime | None:
    try:
        if unit == "iso":
            found = value if isinstance(value, datetime) else datetime.fromisoformat(str(_as_text(value)).strip())
            found = found.astimezone(UTC) if found.tzinfo is not None else found.replace(tzinfo=UTC)
        else:
            # In whole microseconds: a double cannot hold nanoseconds of today.
            text = _as_text(value) or ""
            whole, _, part = text.partition(".")
            micros = int(whole) * 1_000_000 // UNITS[unit]
            if unit == "s" and part.isdigit():
                micros += int(part[:6].ljust(6, "0"))
            found = EPOCH + timedelta(microseconds=micros)
    except (ValueError, OverflowError, TypeError):
        return None
    return None if found.year in EMPTY_DATES or found.year > 9990 else found
