"""Nouns and the statements that they compile to: a noun declares its fields once, a shape over them is ONE statement.

What a playbook version says of a row (`Pinned`) is written into the text afterwards, see `app/pinned_texts.py`.

Field SQL speaks of its row as `{t}`; `{now}`, `{roles}` and `{person}` are bound values of the reader. A join
of a noun is used only by shapes with a field that mentions `{t}_<name>`. Statements are cached by noun, shape and the
names of filters, never by values. Row-level security decides which rows exist; nothing here repeats it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Protocol
from uuid import UUID

from app.pinned_texts import mark

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

    `skewed`: some values are in most rows and others in few, so the statement is planned for the value at hand. Not so
    where `ordered` names the sort: then `sql` joins the table `{f}` that holds the value, at most once for each row,
    whose rows carry that sort's key too, so that a page is a range of their index, whatever the value.
    """

    sql: str
    each: bool = False
    skewed: bool = False
    ordered: str = ""


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

    def rows(self, noun: Noun, columns: str, t: str, *filters: str, order: str = "") -> str:
        """`select columns from noun where filters order by order`, with the joins that are filters or mentioned."""
        narrowing = [one for one in filters if one.startswith("join ")]
        where = [one for one in (*filters, self.put(noun.where, t=t)) if one and one not in narrowing]
        text = columns + " ".join(where) + order
        joins: list[str] = []
        for name, sql in reversed(list(noun.joins.items())):  # a later join may need an earlier one
            if f"{t}_{name}." in text:
                joins.insert(0, self.put(sql, t=t))
                text += joins[0]
        parts = [f"select {columns} from {noun.table} {t}", *narrowing, *joins]
        parts += ["where " + " and ".join(where)] if where else []
        return " ".join([*parts, f"order by {order}"] if order else parts)

    def predicates(self, noun: Noun, filters: Sequence[tuple[str, int]], t: str) -> list[str]:
        sql = []
        for name, count in filters:
            one = noun.filters[name]
            values = [f"{name}.{number}" for number in range(count)] if one.each else [name]
            sql += [self.put(one.sql, t=t, f=f"{t}_{name}{at}", v=self.bind(v)) for at, v in enumerate(values)]
        return sql


@lru_cache(maxsize=2_000)
def compile_one(noun: str, wanted: Shape, roles: frozenset[str], by: str) -> tuple[str, tuple[str, ...]]:
    """The statement for one row, found by its key or by the filter `by`, and the names of the values it binds."""
    kind, new = NOUNS[noun], _Statement(roles)
    key = f"{new.put(kind.key, t='t')} = {new.bind('id')}::{kind.key_type}"
    if by:
        key = new.put(kind.filters[by].sql, t="t", v=new.bind("id"))
    rows = new.rows(kind, new.columns(kind, wanted, "t"), "t", key)
    return f"select row_to_json(o)::text from ({rows}) o", tuple(new.bound)


@lru_cache(maxsize=2_000)
def compile_page(
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
def compile_tally(
    noun: str, member: str, roles: frozenset[str], filters: tuple[tuple[str, int], ...]
) -> tuple[str, tuple[str, ...]]:
    """The statement that counts the rows of a page by the values of a member, and the names of its values."""
    kind, new = NOUNS[noun], _Statement(roles)
    value = kind.fields[member]
    assert isinstance(value, Field), "only a plain value can be counted by"
    rows = new.rows(kind, f"{new.value(value, 't')} as value", "t", *new.predicates(kind, filters, "t"))
    counted = f"select value, count(*) as n from ({rows}) r group by value"
    return f"select coalesce(json_object_agg(c.value, c.n), '{{}}')::text from ({counted}) c", tuple(new.bound)


@lru_cache(maxsize=1)
def _roles_that_matter(nouns: int) -> frozenset[str]:
    members = [one for noun in NOUNS.values() for one in noun.fields.values()]
    fields = [one for one in members if isinstance(one, Field)]
    fields += [one for group in members if isinstance(group, Group) for one in group.fields.values()]
    return frozenset(role for one in fields for role in one.roles or ())


def deciding(roles: frozenset[str]) -> frozenset[str]:
    """The roles that change what a statement selects; the rest would only split the cache."""
    return roles & _roles_that_matter(len(NOUNS))
