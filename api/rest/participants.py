"""Participants and the assignee: who has a part in an incident."""

from typing import Annotated
from uuid import UUID

from pydantic import Field
from starlette.responses import Response

from api.calls import Call
from api.fields import In, Reason
from api.rest.incidents import Incident, ParticipantOf, answer_incident
from api.routing import declares, router
from api.shapes import shape_of
from app.answers import Answer, answer
from app.authentication import Principal
from app.database import Db
from app.incidents import change_incident, incident_ref, require
from app.reading import read_matching
from domain.changes import Change
from domain.glossary import Involvement, Role
from domain.incidents import assign_incident
from domain.participants import add_participant

routes = router("Participants")


class ParticipantIn(In):
    """The part somebody has. A reason is asked for where a rule protects people from being shared with hr."""

    roles: Annotated[list[Role], Field(default_factory=list, max_length=20)]
    involvement: Involvement
    reason: Reason | None = None


class AssignmentIn(In):
    """Who takes the incident; the first assignment of a report is its triage."""

    person_id: UUID


@routes.put(
    "/incidents/{incident_id}/participants/{person_id}",
    **declares(("participant.set", "participant.add_hr"), answer=ParticipantOf, refuses=[409]),
)
async def write(call: Call, incident_id: str, person_id: UUID, body: ParticipantIn) -> Response:
    """Add somebody to the incident, or change the part they have."""

    def apply(change: Change) -> None:
        require(change, "participant.add_hr" if Role.HR in body.roles else "participant.set")
        add_participant(change, person_id, [str(r) for r in body.roles], str(body.involvement), body.reason)

    async def use_case(db: Db, principal: Principal) -> Answer:
        record = await change_incident(db, principal, incident_ref(incident_id), apply)
        filters = {"incident": record.incident.id, "person": person_id}
        shape = shape_of(ParticipantOf, "participant")
        return answer(await read_matching(db, "participant", shape, filters, principal))

    return await call.write(None, use_case)


@routes.post("/incidents/{incident_id}/assign", **declares("incident.assign", answer=Incident, refuses=[409]))
async def assign(call: Call, incident_id: str, body: AssignmentIn) -> Response:
    """Give the incident to a person."""

    def apply(change: Change) -> None:
        require(change, "incident.assign")
        assign_incident(change, body.person_id)

    async def use_case(db: Db, principal: Principal) -> Answer:
        record = await change_incident(db, principal, incident_ref(incident_id), apply)
        return await answer_incident(db, principal, record.incident.id, record.incident.version)

    return await call.write(None, use_case)
