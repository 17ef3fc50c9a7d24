"""The timeline: append-only, hash-linked, and notes that people add to it."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query
from starlette.responses import Response

from api.calls import Call
from api.fields import In, Instant, JsonObject, Out, Reason, Text
from api.lists import answer_page
from api.routing import declares, router
from api.shapes import shape_of
from app.answers import Answer, answer
from app.authentication import Principal
from app.database import Db
from app.incidents import change_incident, incident_ref, require
from app.reading import read_matching
from domain.changes import Change
from domain.doings import Claim
from domain.notes import add_note

routes = router("Timeline")


class ActorOf(Out):
    """Who acted: the name is looked up, the frame holds the id alone."""

    kind: str
    id: UUID
    name: str | None


class TimelineEvent(Out):
    """One event. `data` is null where it was erased; its digest and the chain stay."""

    seq: int
    kind: str
    occurred_at: datetime
    recorded_at: datetime
    actor: ActorOf
    data: JsonObject | None
    erased: bool
    data_digest: str
    prev_hash: str
    hash: str


class TimelinePage(Out):
    """A page of the timeline, oldest first."""

    items: list[TimelineEvent]
    next_cursor: str | None


class NoteIn(In):
    """A note. On a closed incident it is an amendment: it needs risk_owner and a reason."""

    text: Text
    occurred_at: Instant | None = None
    performed_by: UUID | None = None
    reason: Reason | None = None


@routes.get("/incidents/{incident_id}/timeline", **declares("timeline.read", answer=TimelinePage))
async def page(
    call: Call,
    incident_id: str,
    kind: Annotated[list[str] | None, Query(max_length=50)] = None,
    after: Annotated[int | None, Query(ge=0, le=2_147_483_647)] = None,
    cursor: Annotated[str | None, Query(max_length=1_000)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """The events of an incident in their order."""
    ref = incident_ref(incident_id)
    filters = {"kind": kind, "after": after}
    return await answer_page(
        call, "timeline.read", "timeline_event", TimelineEvent, filters, cursor=cursor, limit=limit, incident=ref
    )


@routes.post(
    "/incidents/{incident_id}/notes",
    **declares(
        ("note.write", "incident.edit_reported", "incident.amend"), answer=TimelineEvent, status=201, refuses=[409]
    ),
)
async def note(call: Call, incident_id: str, body: NoteIn) -> Response:
    """Add a note to the timeline."""

    def apply(change: Change) -> None:
        status = change.record.incident.status
        if status in ("closed", "rejected"):
            require(change, "incident.amend")
        elif change.record.incident.declared_at is None:
            require(change, "incident.edit_reported", "note.write")
        else:
            require(change, "note.write")
        claim = Claim(occurred_at=body.occurred_at, performed_by=body.performed_by, reason=body.reason)
        add_note(change, body.text, claim)

    async def use_case(db: Db, principal: Principal) -> Answer:
        record = await change_incident(db, principal, incident_ref(incident_id), apply)
        seq = await db.value(
            "SELECT max(seq) FROM events WHERE tenant_id = $1 AND stream = 'incident' AND stream_id = $2"
            " AND kind IN ('note.added', 'incident.amended')",
            db.tenant_id,
            record.incident.id,
        )
        filters = {"incident": record.incident.id, "seq": seq}
        shape = shape_of(TimelineEvent, "timeline_event")
        return answer(await read_matching(db, "timeline_event", shape, filters, principal), status=201)

    return await call.write(None, use_case)
