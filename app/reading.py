"""The one read path: a shape over a noun is asked in one statement, whose answer is JSON text built by PostgreSQL and
sent as it is. What nouns declare and how shapes compile is in `app/statements.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from app.answers import Page
from app.database import Db
from app.offers import IN_FULL, Telling, show_offers
from app.paging import LIMIT_DEFAULT, LIMIT_MAX, Cursors, Position, cursors
from app.pinned_texts import show_pinned
from app.secrets import Vault
from app.statements import NOUNS, Reader, Shape, compile_one, compile_page, compile_tally, deciding
from domain.refusals import InputError, Invalid

LIST_MAX = 1_000  # rows of a list that is not paged


async def read_tally(
    db: Db, noun: str, member: str, filters: Mapping[str, Any], reader: Reader, *, now: datetime | None = None
) -> str:
    """How many rows there are of each value of a field, as the text of a JSON object. Costs as much as rows match."""
    given = {name: value for name, value in filters.items() if value is not None}
    sql, bound = compile_tally(noun, member, deciding(reader.roles), _counted(noun, given))
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
    sql, bound = compile_one(noun, wanted, deciding(reader.roles), by)
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
    sql, bound = compile_page(noun, wanted, deciding(reader.roles), _counted(noun, given), NOUNS[noun].sort, False)
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
    sql, bound = compile_page(noun, wanted, deciding(reader.roles), _counted(noun, given), sort, start is not None)
    values = _spread(noun, given) | {"limit": limit + 1}
    if start:
        values |= {"value": start.value, "key": start.id}
    await _plan_for(db, noun, given, sort.lstrip("-"))
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


async def _plan_for(db: Db, noun: str, given: Mapping[str, Any], sort: str = "") -> None:
    """Plan for the values at hand where a filter's values are skewed, unless it is the only one and holds the order."""
    kinds, values = NOUNS[noun].filters, sum(count for _, count in _counted(noun, given))
    if any(kinds[name].skewed and (values > 1 or kinds[name].ordered != sort) for name in given):
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
