"""Answering with one thing or a page of them, by the read path, in the transaction that changed it."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import orjson
from pydantic import BaseModel
from starlette.responses import Response

from api.calls import CallOfRequest
from api.lists import CSV, plain_filters
from api.shapes import shape_of
from app.answers import Answer, Page, answer
from app.authentication import Principal
from app.database import Db
from app.listing import csv_of
from app.reading import read_one, read_page
from app.rights import require_inside
from domain.refusals import NotFound


async def shown(
    db: Db,
    principal: Principal,
    noun: str,
    model: type[BaseModel],
    id: UUID,
    *,
    status: int = 200,
    location: str | None = None,
    more: dict[str, Any] | None = None,
) -> Answer:
    """The thing in the shape of `model`, with its version as entity tag where it has one; `more` members are added.

    Raises NotFound when there is none that the caller may see.
    """
    text = await read_one(db, noun, shape_of(model, noun), id, principal)
    if text is None:
        raise NotFound
    thing = orjson.loads(text)
    if more:
        text = orjson.dumps({**thing, **more}).decode()
    return answer(text, status=status, location=location, version=thing.get("version"))


async def listed(
    call: CallOfRequest,
    operation: str,
    noun: str,
    model: type[BaseModel],
    filters: Mapping[str, Any],
    *,
    cursor: str | None,
    limit: int,
    narrow: Callable[[Principal, dict[str, Any]], dict[str, Any]] | None = None,
    parent: tuple[str, type[BaseModel], UUID] | None = None,
) -> Response:
    """One page of `noun`, as JSON or CSV. `narrow` sees who asks: it changes the filters, or refuses.

    Raises NotFound when `parent` (noun, model, id) is given and is nothing that the caller may see.
    """
    wanted = shape_of(model, noun)

    async def query(db: Db, principal: Principal) -> Page | Response:
        bound = plain_filters(filters)
        if narrow is not None:
            bound = narrow(principal, bound)
        if (
            parent is not None
            and await read_one(db, parent[0], shape_of(parent[1], parent[0]), parent[2], principal) is None
        ):
            raise NotFound
        page = await read_page(db, noun, wanted, bound, principal, call.vault, cursor=cursor, limit=limit)
        if not call.wants_csv:
            return page
        headers = {"Link": call.next_link(page.next_cursor)} if page.next_cursor else None
        text = csv_of(orjson.loads(page.body)["items"], [part[0] for part in wanted.parts])
        return Response(text, 200, headers, CSV)

    return await call.read(operation, query)


def inside(principal: Principal, filters: dict[str, Any]) -> dict[str, Any]:
    """Refuse outside persons: the organisation is none of their business."""
    require_inside(principal)
    return filters
