"""Playbooks: what is run, and every input, gate and source mark of it."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from api.calls import Call
from api.fields import JsonObject, Out
from api.lists import answer_page
from api.routing import declares, router
from api.shapes import shape_of
from app.authentication import Principal
from app.database import Db
from app.reading import read_all
from domain.playbooks import catalogue

routes = router("Playbooks")


class PlaybookSummary(Out):
    """A playbook version in a list."""

    hash: str
    slug: str
    version: str
    title: str
    description: str
    primary_risk: str | None
    risks: list[str]
    severity_floor: str


class Playbook(PlaybookSummary):
    """A playbook version whole: `resolved` holds steps, actions with inputs, gates, sources and bases."""

    standards: list[str]
    sources: list[JsonObject]
    resolved: JsonObject


class PlaybookPage(Out):
    """A page of playbook versions."""

    items: list[PlaybookSummary]
    next_cursor: str | None


@routes.get("/playbooks", **declares("playbook.read", answer=PlaybookPage))
async def page(
    call: Call,
    cursor: Annotated[str | None, Query(max_length=1_000)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Every published version."""
    return await answer_page(call, "playbook.read", "playbook", PlaybookSummary, {}, cursor=cursor, limit=limit)


@routes.get("/playbooks/{slug}", **declares("playbook.read", answer=Playbook))
async def read(call: Call, slug: str) -> Response:
    """The newest version of a playbook."""
    newest = catalogue().get(slug)

    async def query(db: Db, principal: Principal) -> str | None:
        if newest is None:
            return None
        filters = {"slug": slug, "version": newest.version}
        text = await read_all(db, "playbook", shape_of(Playbook, "playbook"), filters, principal)
        return text[1:-1] or None

    return await call.read("playbook.read", query)
