"""Follow-ups: owed after the incident, each with a person and a date."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from fastapi import Query
from starlette.responses import Response

from api.calls import Call
from api.fields import In, Instant, Name, Out, Reason, Word
from api.routing import declares, router
from api.shapes import shape_of
from app.answers import Answer, answer
from app.authentication import Principal
from app.database import Db
from app.incidents import Apply, change_incident, incident_ref, require, visible_incident
from app.reading import read_all, read_matching
from domain.changes import Change
from domain.follow_ups import FollowUpEdit, NewFollowUp, add_follow_up, edit_follow_up
from domain.glossary import FollowUpStatus

routes = router("Follow-ups")


class FollowUp(Out):
    """Something owed. `state` reads `overdue` where the date has passed."""

    id: UUID
    incident_id: UUID
    title: str
    owner_id: UUID
    due_at: datetime
    status: FollowUpStatus
    state: str
    reason: str | None
    action_id: str | None
    control: str | None
    risk: str | None
    obligation_id: UUID | None
    outside_reviewer: str | None
    created_by: UUID | None
    created_at: datetime
    done_at: datetime | None


class FollowUpIn(In):
    """What is owed, by which person, until when."""

    title: Name
    owner_id: UUID
    due_at: Instant
    action_id: Word | None = None
    control: Word | None = None
    risk: Word | None = None


class FollowUpPatch(In):
    """A transition (its owner may make it), or another owner or date."""

    transition: Literal["start", "finish", "cancel", "reopen"] | None = None
    reason: Reason | None = None
    owner_id: UUID | None = None
    due_at: Instant | None = None


@routes.get("/incidents/{incident_id}/follow-ups", **declares("incident.read", answer=list[FollowUp]))  # type: ignore[arg-type]
async def listed(
    call: Call, incident_id: str, status: Annotated[list[FollowUpStatus] | None, Query(max_length=5)] = None
) -> Response:
    """Follow-ups of an incident, due first."""

    async def query(db: Db, principal: Principal) -> str:
        found = await visible_incident(db, incident_ref(incident_id))
        filters = {"incident": found, "status": [s.value for s in status] if status else None}
        return await read_all(db, "follow_up", shape_of(FollowUp, "follow_up"), filters, principal)

    return await call.read("incident.read", query)


@routes.post(
    "/incidents/{incident_id}/follow-ups",
    **declares("follow_up.write", answer=FollowUp, status=201, refuses=[409]),
)
async def add(call: Call, incident_id: str, body: FollowUpIn) -> Response:
    """Add a follow-up."""
    wanted = msgspec.convert(body.model_dump(), NewFollowUp)
    made: list[UUID] = []

    def apply(change: Change) -> None:
        require(change, "follow_up.write")
        made[:] = [add_follow_up(change, wanted).id]

    return await _write(call, incident_id, apply, made, status=201)


@routes.patch(
    "/incidents/{incident_id}/follow-ups/{follow_up_id}",
    **declares(("follow_up.write", "me.read"), answer=FollowUp, refuses=[409]),
)
async def edit(call: Call, incident_id: str, follow_up_id: UUID, body: FollowUpPatch) -> Response:
    """Move a follow-up or hand it over. Its owner may start and finish it."""
    given = msgspec.convert(body.model_dump(exclude_none=True), FollowUpEdit)

    def apply(change: Change) -> None:
        found = change.record.follow_ups.get(str(follow_up_id))
        owned = found is not None and found.owner_id == change.person_id
        if not (owned and body.owner_id is None and body.due_at is None and body.transition in ("start", "finish")):
            require(change, "follow_up.write")
        edit_follow_up(change, str(follow_up_id), given)

    return await _write(call, incident_id, apply, [follow_up_id])


async def _write(call: Call, incident_id: str, apply: Apply, ids: list[UUID], *, status: int = 200) -> Response:
    async def use_case(db: Db, principal: Principal) -> Answer:
        record = await change_incident(db, principal, incident_ref(incident_id), apply)
        filters = {"incident": record.incident.id, "id": ids[0]}
        text = await read_matching(db, "follow_up", shape_of(FollowUp, "follow_up"), filters, principal)
        return answer(text, status=status)

    return await call.write(None, use_case)
