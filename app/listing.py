"""Lists as callers get them: pages as JSON or CSV, and counts."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from app.database import Db
from app.statements import NOUNS
from domain.refusals import InputError, Invalid

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_of(items: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Rows as RFC 4180 text. A cell that a spreadsheet would take for a formula gets an apostrophe in front."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    writer.writerows([[_cell(item.get(name)) for name in columns] for item in items])
    return out.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return f"'{text}" if isinstance(value, str) and text.startswith(FORMULA_STARTS) else text


async def read_counts(db: Db, noun: str, group_by: Sequence[str]) -> str:
    """How many rows there are per combination of these groups: {"total", "counts": [{...groups, "count"}]}.

    Raises Invalid for a group that the noun does not have, listing those it has.
    """
    kind = NOUNS[noun]
    unknown = [name for name in group_by if name not in kind.groups]
    if unknown or len(group_by) != len(set(group_by)):
        allowed = ", ".join(kind.groups)
        raise Invalid(
            f"`group_by` names each of these at most once: {allowed}.",
            errors=[InputError("/query/group_by", f"one or more of {allowed}, separated by commas")],
        )
    groups = {name: kind.groups[name].replace("{t}", "t") for name in group_by}
    joined = " ".join(
        sql.replace("{t}", "t") for name, sql in kind.joins.items() if any(f"t_{name}" in g for g in groups.values())
    )
    selected = ", ".join(f"{sql} AS {name}" for name, sql in groups.items())
    grouped = ", ".join(str(index + 1) for index in range(len(groups)))
    # A join may count a row under several groups; without one the groups add up, and the rows are read once.
    total = f"(SELECT count(*) FROM {kind.table} t)" if joined else "coalesce(sum(o.count), 0)::bigint"
    sql = (
        f"SELECT json_build_object('total', {total}, 'counts',"
        f" coalesce(json_agg(row_to_json(o)), '[]'))::text FROM (SELECT {selected}, count(*) AS count"
        f" FROM {kind.table} t {joined} GROUP BY {grouped} ORDER BY {grouped}) o"
    )
    text: str = await db.value(sql)
    return text
