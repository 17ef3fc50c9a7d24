"""Answering a list: summaries by page, parts on request, CSV by `Accept`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson
from pydantic import BaseModel
from starlette.responses import Response

from api.calls import CallOfRequest
from api.shapes import shape_of
from app.answers import Page
from app.authentication import Principal
from app.database import Db
from app.incidents import visible_incident
from app.listing import csv_of
from app.reading import read_slice
from app.statements import Shape
from domain.refusals import InputError, Invalid
from domain.words import words

CSV = "text/csv; charset=utf-8"
Narrow = Callable[[Db, Principal, dict[str, Any]], Awaitable[dict[str, Any]]]


def plain_filters(given: Mapping[str, Any]) -> dict[str, Any]:
    """Filters as the read path binds them: enums as text, a search as its words."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        if value is None:
            continue
        if name == "q":
            found[name] = words(value)[:10] or ["\0"]
        elif isinstance(value, list):
            found[name] = [str(v) if isinstance(v, StrEnum) else v for v in value]
        else:
            found[name] = str(value) if isinstance(value, StrEnum) else value
    return found


def with_parts(summary: Shape, whole: Shape, asked: Sequence[str], known: Sequence[str]) -> Shape:
    """The summary's shape with parts of the whole one. Raises Invalid for a part that there is not."""
    unknown = [name for name in asked if name not in known]
    if unknown:
        text = f"`expand` takes {', '.join(known)}"
        raise Invalid(f"{text}.", errors=[InputError("/query/expand", text)])
    parts = {part[0]: part for part in whole.parts}
    return Shape((*summary.parts, *(parts[name] for name in dict.fromkeys(asked))))


async def answer_page(
    call: CallOfRequest,
    operation: str,
    noun: str,
    model: type[BaseModel],
    filters: Mapping[str, Any],
    *,
    sort: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
    shape: Shape | None = None,
    incident: UUID | str | None = None,
    narrow: Narrow | None = None,
) -> Response:
    """One page of `noun` in the shape of `model`, as JSON or, when the caller accepts it, as CSV.

    `incident` limits it to what belongs to that one; NotFound when the caller may not see it. `narrow` sees who asks:
    it gives the filters to use, or refuses.
    """
    wanted = call.shape or shape or shape_of(model, noun)
    bound = plain_filters(filters)

    async def query(db: Db, principal: Principal) -> Page | Response:
        if incident is not None:
            bound["incident"] = await visible_incident(db, incident)
        allowed = bound if narrow is None else await narrow(db, principal, bound)
        found = await read_slice(
            db, noun, wanted, allowed, principal, call.vault, sort=sort, cursor=cursor, limit=limit
        )
        page = call.show(found, noun, principal)
        if not call.wants_csv:
            return page
        items = orjson.loads(page.body)["items"]
        headers = {"Link": call.next_link(page.next_cursor)} if page.next_cursor else None
        return Response(csv_of(items, [part[0] for part in wanted.parts]), 200, headers, CSV)

    return await call.read(operation, query)


def half_open(start: datetime | None, end: datetime | None) -> None:
    """Periods are half-open: raise Invalid when the end is not after the start."""
    if start is not None and end is not None and end <= start:
        raise Invalid("A period ends after it starts.", errors=[InputError("/query", "the end is not after the start")])
