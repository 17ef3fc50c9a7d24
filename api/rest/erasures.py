"""Erasures: taking personal data out of a record without breaking its chain. Two people, two roles."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
import orjson
from fastapi import Query
from pydantic import Field
from starlette.responses import Response

import app.nouns.erasures  # noqa: F401  (declares the noun)
from api.calls import Call
from api.fields import In, Out, Reason
from api.lists import answer_page
from api.routing import declares, router
from api.shapes import shape_of
from app.answers import Answer, answer
from app.authentication import Principal
from app.database import Db
from app.erasures import Request, approve_erasure, reject_erasure, request_erasure
from app.incidents import incident_ref, visible_incident
from app.paging import LIMIT_DEFAULT
from app.reading import read_one
from domain.doings import require_reason
from domain.erasures import FIELDS_MAX, SEQS_MAX

routes = router("Erasures")


class Erasure(Out):
    """An erasure. Once executed, `event_seqs` lists every event whose data is gone: those asked for and those that
    repeated the text."""

    id: UUID
    incident_id: UUID
    state: Literal["requested", "executed", "rejected"]
    event_seqs: list[int]
    fields: list[str]
    reason: str
    requested_by: UUID
    requested_at: datetime
    decided_by: UUID | None
    executed_at: datetime | None
    rejected_at: datetime | None


class ErasurePage(Out):
    """A page of erasures."""

    items: list[Erasure]
    next_cursor: str | None


class ErasureIn(In):
    """What to erase. `fields` are JSON pointers: /incident/summary, /documents/D04/value/entries/0/note,
    /notifications/{id}/body. `event_seqs` are the numbers of timeline events. The reason stays in the record, so it
    repeats nothing that is to go."""

    event_seqs: Annotated[
        list[Annotated[int, Field(ge=1, le=2**31 - 1)]], Field(default_factory=list, max_length=SEQS_MAX)
    ]
    fields: Annotated[
        list[Annotated[str, Field(min_length=2, max_length=500)]], Field(default_factory=list, max_length=FIELDS_MAX)
    ]
    reason: Reason


class ErasureTransition(In):
    """Approve and carry out, or reject with a reason."""

    transition: Literal["approve", "reject"]
    reason: Reason | None = None


class ErasureFilter(In):
    """A page of the list."""

    cursor: Annotated[str, Field(max_length=1_000)] | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = LIMIT_DEFAULT


@routes.post("/incidents/{incident_id}/erasures", **declares("erase.request", answer=Erasure, status=201))
async def ask(call: Call, incident_id: str, body: ErasureIn) -> Response:
    """Ask for an erasure (privacy). Nothing is erased before legal counsel, another person, approves."""
    wanted = msgspec.convert(body.model_dump(), Request)
    require_reason(wanted.reason, "erase")

    async def use_case(db: Db, principal: Principal) -> Answer:
        of_incident = await visible_incident(db, incident_ref(incident_id))
        made = await request_erasure(db, principal, of_incident, wanted)
        location = f"/v1/incidents/{of_incident}/erasures/{made}"
        return answer(await _read(made, db, principal), status=201, location=location)

    return await call.write("erase.request", use_case)


@routes.post(
    "/incidents/{incident_id}/erasures/{erasure_id}/transitions",
    **declares("erase.approve", answer=Erasure, refuses=[409]),
)
async def decide(call: Call, incident_id: str, erasure_id: UUID, body: ErasureTransition) -> Response:
    """Approve an erasure, which carries it out at once and for good, or reject it (legal counsel, another person)."""
    reason = require_reason(body.reason, "reject") if body.transition == "reject" else ""

    async def use_case(db: Db, principal: Principal) -> Answer:
        of_incident = await visible_incident(db, incident_ref(incident_id))
        if body.transition == "approve":
            await approve_erasure(db, principal, call.vault, of_incident, erasure_id)
        else:
            await reject_erasure(db, principal, of_incident, erasure_id, reason)
        return answer(await _read(erasure_id, db, principal))

    return await call.write("erase.approve", use_case)


@routes.get("/incidents/{incident_id}/erasures", **declares("timeline.read", answer=ErasurePage))
async def list_erasures(call: Call, incident_id: str, wanted: Annotated[ErasureFilter, Query()]) -> Response:
    """The erasures of an incident, in the order in which they were asked for."""
    return await answer_page(
        call,
        "timeline.read",
        "erasure",
        Erasure,
        {},
        cursor=wanted.cursor,
        limit=wanted.limit,
        incident=incident_ref(incident_id),
    )


@routes.get("/incidents/{incident_id}/erasures/{erasure_id}", **declares("timeline.read", answer=Erasure))
async def read_erasure(call: Call, incident_id: str, erasure_id: UUID) -> Response:
    """One erasure."""

    async def query(db: Db, principal: Principal) -> str | None:
        of_incident = await visible_incident(db, incident_ref(incident_id))
        text = await _read(erasure_id, db, principal)
        return text if text is not None and orjson.loads(text)["incident_id"] == str(of_incident) else None

    return await call.read("timeline.read", query)


async def _read(erasure_id: UUID, db: Db, principal: Principal) -> str | None:
    return await read_one(db, "erasure", shape_of(Erasure, "erasure"), erasure_id, principal)
