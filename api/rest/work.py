"""My work: what waits for the caller, due first."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from starlette.responses import Response

from api.calls import Call
from api.fields import Out
from api.routing import declares, router
from app.work import read_work

routes = router("Me")


class WorkItem(Out):
    """Something that waits for the caller. `ref` is a step, an action, a notification or a follow-up of an incident, or
    a proposed decision on the tool `tool_id`, which belongs to no incident, or a webhook endpoint that was disabled
    because nothing could be sent to it (`title` is its name): activate or retire it."""

    kind: Literal["step", "approval", "sign_off", "follow_up", "endpoint"]
    incident_id: UUID | None
    number: str | None
    title: str
    severity: str | None
    ref: str
    tool_id: UUID | None
    what: str | None
    status: str
    due_at: datetime | None
    overdue: bool


class Work(Out):
    """At most 200 items, due first."""

    items: list[WorkItem]
    server_time: datetime


@routes.get("/me/work", **declares("me.read", answer=Work))
async def mine(call: Call) -> Response:
    """My steps, approvals and follow-ups."""
    return await call.read("me.read", read_work)
