"""The one read path: a noun declares its fields once, a shape over them compiles to ONE statement, whose answer is
JSON text built by PostgreSQL and sent as it is.

What a playbook version says of a row (`Pinned`) is written into the text afterwards, see `app/pinned_texts.py`.

Field SQL speaks of its row as `{t}`; `{now}`, `{roles}` and `{person}` are bound values of the reader. A join
of a noun is used only by shapes with a field that mentions `{t}_<name>`. Statements are cached by noun, shape and the
names of filters, never by values. Row-level security decides which rows exist; nothing here repeats it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Protocol
from uuid import UUID

from app.answers import Page
from app.database import Db
from app.offers import IN_FULL, Telling, show_offers
from app.paging import LIMIT_DEFAULT, LIMIT_MAX, Cursors, Position, cursors
from app.pinned_texts import mark, show_pinned
from app.secrets import Vault
from domain.refusals import InputError, Invalid

LIST_MAX = 1_000  # rows of a list that is not paged
BOUND_TYPES = {"now": "timestamptz", "roles": "text[]", "person": "uuid", "id": "text", "limit": "int"}


class Reader(Protocol):
    """Who reads: decides about fields of certain roles and about permitted transitions."""

    @property
    def roles(self) -> frozenset[str]:
        """The roles held."""

    @property
    def person_id(self) -> UUID | None:
        """The person, None for a service account."""


@dataclass(frozen=True, slots=True)
class Field:
    """One value of a row. With `roles` it reads null for everybody who holds none of them."""

    sql: str
    roles: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Pinned:
    """A value that the playbook version of a step or action holds, under the same name: it never changes."""


@dataclass(frozen=True, slots=True)
class Group:
    """An object whose members are fields of the same row."""

    fields: Mapping[str, Field]


@dataclass(frozen=True, slots=True)
class One:
    """At most one row of another noun: `{p}` is this row, `{t}` the other."""

    noun: str
    on: str


@dataclass(frozen=True, slots=True)
class Many:
    """Rows of another noun, at most `max` of them, in an order that is total."""

    noun: str
    on: str
    order: str
    max: int = 200


Member = Field | Pinned | Group | One | Many


@dataclass(frozen=True, slots=True)
class Filter:
    """A predicate over `{t}` with the value `{v}`; with `each` it holds for every one of several values.

    `skewed`: some values are in most rows and others in few, so the statement is planned for the value at hand.
    """

    sql: str
    each: bool = False
    skewed: bool = False


@dataclass(frozen=True, slots=True)
class Sort:
    """An expression over `{t}` that is never null, and its type. Ties are broken by the noun's key."""

    sql: str
    type: str


@dataclass(frozen=True, slots=True)
class Noun:
    """A thing that can be read. `key` identifies a row within its tenant, `keys` are further ways to name one."""

    name: str
    table: str
    fields: Mapping[str, Member]
    key: str = "{t}.id"
    key_type: str = "uuid"
    joins: Mapping[str, str] = field(default_factory=dict)
    where: str = ""
    filters: Mapping[str, Filter] = field(default_factory=dict)
    sorts: Mapping[str, Sort] = field(default_factory=dict)
    sort: str = ""  # the usual one; a leading minus means descending
    groups: Mapping[str, str] = field(default_factory=dict)
    clocked: bool = False  # shows deadlines, so a page says what time it is
    identity: str = ""  # what follows the name in a global id; the key, unless it is unique only within another thing

    @property
    def label(self) -> str:
        """The name of the type in global ids and in the graph: `timeline_event` is TimelineEvent."""
        return "".join(word.capitalize() for word in self.name.split("_"))


NOUNS: dict[str, Noun] = {}


def declare(noun: Noun) -> Noun:
    """Make a noun known to the relations of others. Each has a global id and can say what it is."""
    assert noun.name not in NOUNS, f"{noun.name} is declared twice"
    every = {
        "global_id": Field(f"'{noun.label}:'||{noun.identity or noun.key}"),
        "__typename": Field(f"'{noun.label}'::text"),
    }
    noun = replace(noun, fields={**noun.fields, **every})
    NOUNS[noun.name] = noun
    return noun


class Shape:
    """What to select: (key in the answer, name of the noun's field, shape of the related noun or None).

    Hashed once when it is made, since every read looks its statement up by the whole tree.
    """

    __slots__ = ("_hash", "parts")

    def __init__(self, parts: tuple[tuple[str, str, "Shape | None"], ...]) -> None:
        self.parts = parts
        self._hash = hash(parts)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Shape) and self.parts == other.parts)


def shape(parts: Mapping[str, Any]) -> Shape:
    """A shape from a nested dict: `{"id": None, "steps": {"id": None}}`."""
    return Shape(tuple((key, key, shape(sub) if sub else None) for key, sub in parts.items()))


@dataclass(slots=True)
class _Statement:
    """A statement in the making: its bound values by name, in the order of their first use."""

    roles: frozenset[str]
    bound: list[str] = field(default_factory=list)

    def bind(self, name: str, cast: str = "") -> str:
        if name not in self.bound:
            self.bound.append(name)
        return f"${self.bound.index(name) + 1}{cast}"

    def put(self, sql: str, **names: str) -> str:
        for name, alias in names.items():
            sql = sql.replace("{" + name + "}", alias)
        for name in ("now", "roles", "person"):
            if "{" + name + "}" in sql:
                sql = sql.replace("{" + name + "}", self.bind(name, f"::{BOUND_TYPES[name]}"))
        return sql

    def value(self, member: Field, t: str) -> str:
        hidden = member.roles is not None and not member.roles & self.roles
        return "null" if hidden else self.put(member.sql, t=t)

    def columns(self, noun: Noun, wanted: Shape, t: str) -> str:
        """The select list that gives an object of `wanted`."""
        parts = []
        pinned = tuple((key, name) for key, name, _ in wanted.parts if isinstance(noun.fields[name], Pinned))
        if pinned:
            parts.append(mark(noun.name, pinned, t))
        for position, (key, name, sub) in enumerate(wanted.parts):
            member, child = noun.fields[name], f"{t}{position}"
            if isinstance(member, Pinned):
                continue
            if isinstance(member, Field):
                sql = self.value(member, t)
            elif isinstance(member, Group):
                names = [part[:2] for part in sub.parts] if sub else [(one, one) for one in member.fields]
                pairs = (f"'{key}',{self.value(member.fields[one], t)}" for key, one in names)
                sql = f"json_build_object({','.join(pairs)})"
            else:
                assert sub is not None, f"{noun.name}.{name} needs a shape of its own"
                other = NOUNS[member.noun]
                order = self.put(member.order, t=child) if isinstance(member, Many) else ""
                on = self.put(member.on, p=t, t=child)
                rows = self.rows(other, self.columns(other, sub, child), child, on, order=order)
                if isinstance(member, One):
                    sql = f"(select row_to_json(o) from ({rows} limit 1) o)"
                else:
                    sql = f"coalesce((select json_agg(o) from ({rows} limit {member.max}) o),'[]')"
            parts.append(f'{sql} as "{key}"')
        return ",".join(parts)

    def rows(self, noun: Noun, columns: str, t: str, *predicates: str, order: str = "") -> str:
        """`select columns from noun where predicates order by order`, with the joins that any of these mention."""
        where = [one for one in (*predicates, self.put(noun.where, t=t)) if one]
        text = columns + " ".join(where) + order
        joins: list[str] = []
        for name, sql in reversed(list(noun.joins.items())):  # a later join may need an earlier one
            if f"{t}_{name}." in text:
                joins.insert(0, self.put(sql, t=t))
                text += joins[0]
        parts = [f"select {columns} from {noun.table} {t}", *joins]
        parts += ["where " + " and ".join(where)] if where else []
        return " ".join([*parts, f"order by {order}"] if order else parts)

    def predicates(self, noun: Noun, filters: Sequence[tuple[str, int]], t: str) -> list[str]:
        sql = []
        for name, count in filters:
            one = noun.filters[name]
            values = [f"{name}.{number}" for number in range(count)] if one.each else [name]
            sql += [self.put(one.sql, t=t, v=self.bind(value)) for value in values]
        return sql


@lru_cache(maxsize=2_000)
def _compile_one(noun: str, wanted: Shape, roles: frozenset[str], by: str) -> tuple[str, tuple[str, ...]]:
    kind, new = NOUNS[noun], _Statement(roles)
    key = f"{new.put(kind.key, t='t')} = {new.bind('id')}::{kind.key_type}"
    if by:
        key = new.put(kind.filters[by].sql, t="t", v=new.bind("id"))
    rows = new.rows(kind, new.columns(kind, wanted, "t"), "t", key)
    return f"select row_to_json(o)::text from ({rows}) o", tuple(new.bound)


@lru_cache(maxsize=2_000)
def _compile_page(
    noun: str, wanted: Shape, roles: frozenset[str], filters: tuple[tuple[str, int], ...], sort: str, continued: bool
) -> tuple[str, tuple[str, ...]]:
    """(body, sort value, key) of at most `limit` rows. Where other rows are nested or joined, the page comes first
    (materialised) and only its rows are completed; else the planner forms the bodies of the page's rows alone."""
    kind, new = NOUNS[noun], _Statement(roles)
    by, key = kind.sorts[sort.lstrip("-")], new.put(kind.key, t="t")
    value, direction = new.put(by.sql, t="t"), "desc" if sort.startswith("-") else "asc"
    predicates = new.predicates(kind, filters, "t")
    if continued:
        after = f"({new.bind('value')}::text::{by.type},{new.bind('key')}::text::{kind.key_type})"
        predicates.append(f"({value},{key}) {'<' if direction == 'desc' else '>'} {after}")
    order = f"{value} {direction},{key} {direction}"
    limit = f"limit {new.bind('limit')}::int"
    columns = new.columns(kind, wanted, "t")
    answer = f"(select row_to_json(o)::text from (select {columns}) o),({value})::text,({key})::text"
    joined = any(f"t_{name}." in columns for name in kind.joins)
    if not joined and not any(isinstance(kind.fields[name], One | Many) for _, name, _ in wanted.parts):
        return f"{new.rows(kind, answer, 't', *predicates, order=order)} {limit}", tuple(new.bound)
    page = f"{new.rows(kind, 't.*', 't', *predicates, order=order)} {limit}"
    nested = new.rows(Noun(kind.name, "p", kind.fields, joins=kind.joins), answer, "t", order=order)
    return f"with p as materialized ({page}) {nested}", tuple(new.bound)


@lru_cache(maxsize=200)
def _compile_tally(
    noun: str, member: str, roles: frozenset[str], filters: tuple[tuple[str, int], ...]
) -> tuple[str, tuple[str, ...]]:
    kind, new = NOUNS[noun], _Statement(roles)
    value = kind.fields[member]
    assert isinstance(value, Field), "only a plain value can be counted by"
    rows = new.rows(kind, f"{new.value(value, 't')} as value", "t", *new.predicates(kind, filters, "t"))
    counted = f"select value, count(*) as n from ({rows}) r group by value"
    return f"select coalesce(json_object_agg(c.value, c.n), '{{}}')::text from ({counted}) c", tuple(new.bound)


async def read_tally(
    db: Db, noun: str, member: str, filters: Mapping[str, Any], reader: Reader, *, now: datetime | None = None
) -> str:
    """How many rows there are of each value of a field, as the text of a JSON object. Costs as much as rows match."""
    given = {name: value for name, value in filters.items() if value is not None}
    sql, bound = _compile_tally(noun, member, _deciding(reader.roles), _counted(noun, given))
    await _plan_for(db, noun, given)
    text: str = await db.value(sql, *_values(bound, reader, now, _spread(noun, given)))
    return text


async def read_one(
    db: Db,
    noun: str,
    wanted: Shape,
    id: UUID | str | int,
    reader: Reader,
    *,
    by: str = "",
    now: datetime | None = None,
    telling: Telling = IN_FULL,
) -> str | None:
    """One row as JSON text, or None when there is none that the reader may see. `by` names a filter to find it with."""
    sql, bound = _compile_one(noun, wanted, _deciding(reader.roles), by)
    text: str | None = await db.value(sql, *_values(bound, reader, now, {"id": id}))
    return None if text is None else await _shown(db, text, reader, telling)


async def read_all(
    db: Db,
    noun: str,
    wanted: Shape,
    filters: Mapping[str, Any],
    reader: Reader,
    *,
    now: datetime | None = None,
    telling: Telling = IN_FULL,
) -> str:
    """A bounded list as the text of a JSON array, in the noun's usual order."""
    given = {name: value for name, value in filters.items() if value is not None}
    sql, bound = _compile_page(noun, wanted, _deciding(reader.roles), _counted(noun, given), NOUNS[noun].sort, False)
    values = _spread(noun, given) | {"limit": LIST_MAX}
    items = ",".join([row[0] for row in await db.fetch(sql, *_values(bound, reader, now, values))])
    return f"[{await _shown(db, items, reader, telling)}]"


async def read_matching(
    db: Db,
    noun: str,
    wanted: Shape,
    filters: Mapping[str, Any],
    reader: Reader,
    *,
    now: datetime | None = None,
    telling: Telling = IN_FULL,
) -> str | None:
    """The one row that matches, as JSON text, for things whose key is unique only within another; None without one."""
    text = await read_all(db, noun, wanted, filters, reader, now=now, telling=telling)
    return text[1:-1] or None


async def read_page(
    db: Db,
    noun: str,
    wanted: Shape,
    filters: Mapping[str, Any],
    reader: Reader,
    vault: Vault,
    *,
    sort: str | None = None,
    cursor: str | None = None,
    limit: int = LIMIT_DEFAULT,
    now: datetime | None = None,
) -> Page:
    """One page. Raises Invalid for a cursor of another list, a sort or a limit that there is not."""
    now = now or datetime.now(UTC)
    found = await read_slice(db, noun, wanted, filters, reader, vault, sort=sort, cursor=cursor, limit=limit, now=now)
    return page_of(found, noun, reader)


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows of one page as JSON text, their offers not matched with a reader yet, and where each of them stands."""

    items: list[str]
    positions: list[Position]
    marks: Cursors
    continues: bool
    now: datetime

    def cursor(self, row: int) -> str:
        """The cursor that continues after this row."""
        return self.marks.write(self.positions[row])


async def read_slice(
    db: Db,
    noun: str,
    wanted: Shape,
    filters: Mapping[str, Any],
    reader: Reader,
    vault: Vault,
    *,
    sort: str | None = None,
    cursor: str | None = None,
    limit: int = LIMIT_DEFAULT,
    now: datetime | None = None,
) -> Slice:
    """The rows of one page. Raises as `read_page` does."""
    kind, sort, now = NOUNS[noun], sort or NOUNS[noun].sort, now or datetime.now(UTC)
    if sort.lstrip("-") not in kind.sorts or sort.startswith("--") or not 1 <= limit <= LIMIT_MAX:
        allowed = ", ".join(kind.sorts)
        fault = InputError("/query/sort", f"one of {allowed}, descending with a leading minus")
        raise Invalid(f"`sort` is one of {allowed}; `limit` is 1 to {LIMIT_MAX}.", errors=[fault])
    given = {name: value for name, value in filters.items() if value is not None}
    marks = cursors(vault, db.tenant_id, noun, sort, given)
    start = marks.read(cursor) if cursor else None
    sql, bound = _compile_page(noun, wanted, _deciding(reader.roles), _counted(noun, given), sort, start is not None)
    values = _spread(noun, given) | {"limit": limit + 1}
    if start:
        values |= {"value": start.value, "key": start.id}
    await _plan_for(db, noun, given)
    rows = await db.fetch(sql, *_values(bound, reader, now, values))
    shown = rows[:limit]
    positions = [Position(row[1], row[2]) for row in shown]
    return Slice([await show_pinned(db, row[0]) for row in shown], positions, marks, len(rows) > limit, now)


def page_of(found: Slice, noun: str, reader: Reader) -> Page:
    """A page as REST answers it."""
    following = found.cursor(-1) if found.continues else None
    items = show_offers(",".join(found.items), reader.roles, reader.person_id)
    clock = f',"server_time":"{server_time(found.now)}"' if NOUNS[noun].clocked else ""
    after = f'"{following}"' if following else "null"
    return Page(f'{{"items":[{items}],"next_cursor":{after}{clock}}}', following)


def server_time(now: datetime) -> str:
    """The clock that deadlines were compared with, as answers show it."""
    return f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


async def _plan_for(db: Db, noun: str, given: Mapping[str, Any]) -> None:
    """Plan for the values at hand where a filter's values are skewed."""
    if any(NOUNS[noun].filters[name].skewed for name in given):
        await db.execute("set local plan_cache_mode = force_custom_plan")


async def _shown(db: Db, text: str, reader: Reader, telling: Telling = IN_FULL) -> str:
    """The answer of the database with what it leaves to us: texts of playbooks, and transitions as the reader may."""
    return await show_pinned(db, show_offers(text, reader.roles, reader.person_id, telling))


def _values(bound: Sequence[str], reader: Reader, now: datetime | None, values: Mapping[str, Any]) -> list[Any]:
    known: dict[str, Any] = {"now": now or datetime.now(UTC), "roles": list(reader.roles), "person": reader.person_id}
    return [values[name] if name in values else known[name] for name in bound]


def _counted(noun: str, filters: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    """Names of the filters, each with how many values it repeats its predicate for."""
    kinds = NOUNS[noun].filters
    return tuple((name, len(filters[name]) if kinds[name].each else 1) for name in sorted(filters))


def _spread(noun: str, filters: Mapping[str, Any]) -> dict[str, Any]:
    kinds = NOUNS[noun].filters
    values: dict[str, Any] = {}
    for name, value in filters.items():
        if kinds[name].each:
            values |= {f"{name}.{number}": one for number, one in enumerate(value)}
        else:
            values[name] = value
    return values


@lru_cache(maxsize=1)
def _roles_that_matter(nouns: int) -> frozenset[str]:
    members = [one for noun in NOUNS.values() for one in noun.fields.values()]
    fields = [one for one in members if isinstance(one, Field)]
    fields += [one for group in members if isinstance(group, Group) for one in group.fields.values()]
    return frozenset(role for one in fields for role in one.roles or ())


def _deciding(roles: frozenset[str]) -> frozenset[str]:
    """The roles that change what a statement selects; the rest would only split the cache."""
    return roles & _roles_that_matter(len(NOUNS))
