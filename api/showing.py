"""Answering with one thing or a page of them, by the read path, in the transaction that changed it."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import orjson
from pydantic import BaseModel
from starlette.responses import Response

from api.calls import CallOfRequest
from api.lists import answer_page
from api.shapes import shape_of
from app.answers import Answer, answer
from app.authentication import Principal
from app.database import Db
from app.reading import read_one
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

    async def narrowed(db: Db, principal: Principal, bound: dict[str, Any]) -> dict[str, Any]:
        found = bound if narrow is None else narrow(principal, bound)
        if parent is not None:
            name, of, id = parent
            if await read_one(db, name, shape_of(of, name), id, principal) is None:
                raise NotFound
        return found

    return await answer_page(call, operation, noun, model, filters, cursor=cursor, limit=limit, narrow=narrowed)


def inside(principal: Principal, filters: dict[str, Any]) -> dict[str, Any]:
    """Refuse outside persons: the organisation is none of their business."""
    require_inside(principal)
    return filters
