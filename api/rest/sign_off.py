"""Signing off: the dated signature that closes an incident, when nothing is missing."""

from datetime import datetime
from uuid import UUID

import msgspec
from starlette.responses import Response

from api.calls import Call
from api.fields import In, IncidentBrief, JsonObject, Out, Overrides, Reason
from api.routing import declares, router
from api.shapes import shape_of
from app.answers import Answer, answer
from app.authentication import Principal
from app.database import Db
from app.incidents import change_incident, incident_ref, visible_incident
from app.reading import read_all, read_one
from domain.changes import Change
from domain.closing import sign_off
from domain.overrides import Override

routes = router("Sign-off")


class Signature(Out):
    """One signature. `record_hash` is the hash of the last event before the first signature of its round."""

    id: UUID
    round: int
    person_id: UUID
    role: str
    statement: str
    signed_at: datetime
    record_hash: str
    override: JsonObject | None
    voided_at: datetime | None


class SignedIncident(IncidentBrief):
    """The incident after a signature: `closed` when the signatures suffice."""

    closed_at: datetime | None
    signatures: list[Signature]


class SignOffIn(In):
    """What the signer states."""

    statement: Reason
    overrides: Overrides


@routes.post(
    "/incidents/{incident_id}/sign-off",
    **declares(("sign_off.first", "sign_off.second"), answer=SignedIncident, refuses=[409]),
)
async def sign(call: Call, incident_id: str, body: SignOffIn) -> Response:
    """Sign. Refused with `documentation-incomplete` and everything that is missing; closes when it suffices."""
    overrides = msgspec.convert([o.model_dump() for o in body.overrides], list[Override])

    async def use_case(db: Db, principal: Principal) -> Answer:
        def apply(change: Change) -> None:
            sign_off(change, body.statement, overrides)

        record = await change_incident(db, principal, incident_ref(incident_id), apply)
        shape = shape_of(SignedIncident, "incident")
        return answer(await read_one(db, "incident", shape, record.incident.id, principal))

    return await call.write(None, use_case)


@routes.get("/incidents/{incident_id}/signatures", **declares("incident.read", answer=list[Signature]))  # type: ignore[arg-type]
async def listed(call: Call, incident_id: str) -> Response:
    """All signatures, those of earlier rounds and voided ones included."""

    async def query(db: Db, principal: Principal) -> str:
        found = await visible_incident(db, incident_ref(incident_id))
        return await read_all(db, "signature", shape_of(Signature, "signature"), {"incident": found}, principal)

    return await call.read("incident.read", query)
