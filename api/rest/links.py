"""Links between incidents, and references to tickets and alerts elsewhere."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from pydantic import StringConstraints
from starlette.responses import Response

from api.calls import Call
from api.fields import In, Out, Reason
from api.rest.incidents import Reference
from api.rest.reports import ReferenceIn
from api.routing import declares, router
from api.shapes import shape_of
from app.answers import Answer, answer
from app.authentication import Principal
from app.database import Db
from app.incidents import change_incident, incident_ref, lock_reference, require, visible_incident
from app.links import link_incidents, release
from app.reading import read_all, read_matching
from domain.changes import Change
from domain.glossary import LinkType
from domain.reporting import Reference as KnownReference
from domain.reporting import add_reference

routes = router("Links")


class Link(Out):
    """The tie to another incident of the tenant. `action_id` is the action of this incident that opened or tied it."""

    id: UUID
    type: LinkType
    action_id: str | None
    linked_incident_id: UUID
    number: str | None
    title: str | None
    status: str | None
    reason: str | None
    created_at: datetime
    released_at: datetime | None
    release_reason: str | None


class LinkIn(In):
    """Which incident, by id or number, and how it is tied to this one."""

    incident_id: Annotated[str, StringConstraints(min_length=1, max_length=60)]
    type: LinkType
    reason: Reason | None = None


class ReleaseIn(In):
    """Why the link is released."""

    reason: Reason


@routes.get("/incidents/{incident_id}/links", **declares("incident.read", answer=list[Link]))  # type: ignore[arg-type]
async def listed(call: Call, incident_id: str) -> Response:
    """Links of an incident, released ones included."""

    async def query(db: Db, principal: Principal) -> str:
        found = await visible_incident(db, incident_ref(incident_id))
        return await read_all(db, "link", shape_of(Link, "link"), {"incident": found}, principal)

    return await call.read("incident.read", query)


@routes.post("/incidents/{incident_id}/links", **declares("link.write", answer=Link, status=201, refuses=[409]))
async def add(call: Call, incident_id: str, body: LinkIn) -> Response:
    """Link this incident to another one; the other side holds the mirror."""

    async def use_case(db: Db, principal: Principal) -> Answer:
        ref, other = incident_ref(incident_id), incident_ref(body.incident_id)
        record, link_id = await link_incidents(db, principal, ref, other, str(body.type), body.reason)
        filters = {"incident": record.incident.id, "id": link_id}
        return answer(await read_matching(db, "link", shape_of(Link, "link"), filters, principal), status=201)

    return await call.write(None, use_case)


@routes.post("/incidents/{incident_id}/links/{link_id}/release", **declares("link.write", answer=Link, refuses=[409]))
async def let_go(call: Call, incident_id: str, link_id: UUID, body: ReleaseIn) -> Response:
    """Release a link with a reason."""

    async def use_case(db: Db, principal: Principal) -> Answer:
        record = await release(db, principal, incident_ref(incident_id), link_id, body.reason)
        filters = {"incident": record.incident.id, "id": link_id}
        return answer(await read_matching(db, "link", shape_of(Link, "link"), filters, principal))

    return await call.write(None, use_case)


@routes.post(
    "/incidents/{incident_id}/external-references",
    **declares("external_reference.add", answer=Reference, status=201, refuses=[409]),
)
async def refer(call: Call, incident_id: str, body: ReferenceIn) -> Response:
    """Note a ticket or alert elsewhere that is this incident."""
    reference = msgspec.convert(body.model_dump(), KnownReference)
    made: list[UUID] = []

    def apply(change: Change) -> None:
        require(change, "external_reference.add")
        made[:] = [add_reference(change, reference).id]

    async def use_case(db: Db, principal: Principal) -> Answer:
        await lock_reference(db, body.system, body.instance, body.id)
        record = await change_incident(db, principal, incident_ref(incident_id), apply)
        filters = {"incident": record.incident.id, "reference": made[0]}
        shape = shape_of(Reference, "external_reference")
        return answer(await read_matching(db, "external_reference", shape, filters, principal), status=201)

    return await call.write(None, use_case)
