"""What a delivery would do at a source, for whoever writes its mapping."""

from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from pydantic import Field, StringConstraints
from starlette.responses import Response

from api.calls import JSON, Call
from api.fields import In, JsonObject, Out
from api.routing import declares, router
from app.rights import require_unlimited
from app.source_previews import preview
from domain.signatures import Received
from domain.systems import MappingText

routes = router("Sources")

HeaderValue = Annotated[str, StringConstraints(max_length=8_000)]
Named = Annotated[
    dict[Annotated[str, StringConstraints(min_length=1, max_length=200)], HeaderValue], Field(max_length=100)
]


class SourcePreviewIn(In):
    """A sample. `body` is a JSON value, or a text that is taken exactly as it is. `mapping` is tried instead of the one
    of the source."""

    body: Any
    headers: Named = Field(default_factory=dict)
    query: Named = Field(default_factory=dict)
    mapping: MappingText | None = None


class MappingFault(Out):
    """An expression of the mapping that failed on the sample."""

    pointer: str
    reason: str


class PreviewedIncident(Out):
    """The incident as it would be afterwards. `number` is null where the delivery would open it."""

    number: str | None
    title: str
    status: str
    severity: str
    severity_hint: str | None
    suggested_playbook: JsonObject | None
    client_ids: list[UUID]
    labels: list[str]


class SourcePreviewOut(Out):
    """What the delivery would do, and why. `events` are what was read: the action, the rule that decided it, and the
    fields that say something. `handshake` is what a sender would read that only asks whether we are here."""

    result: Literal["created", "updated", "noted", "duplicate", "ignored", "unmapped"]
    because: str
    handshake: str | None
    delivery_id: str | None
    events: list[JsonObject]
    errors: list[MappingFault]
    incident: PreviewedIncident | None


@routes.post(
    "/sources/{id}/preview",
    summary="Preview a delivery",
    name="preview",
    **declares("source.read", answer=SourcePreviewOut),
)
async def preview_delivery(call: Call, id: UUID, given: SourcePreviewIn) -> Response:
    """What a delivery would do and why. Nothing is kept and no proof is looked at. Expressions are read in a process
    of their own, which is ended when they take too long."""
    principal = await call.authorise("source.read")
    require_unlimited(principal)
    raw = given.body.encode() if isinstance(given.body, str) else orjson.dumps(given.body)
    headers = {"content-type": "application/json", **{name.lower(): text for name, text in given.headers.items()}}
    received = Received(body=raw, headers=headers, query=given.query)
    mapping = given.mapping.model_dump(mode="json", exclude_unset=True) if given.mapping is not None else None
    found = await preview(call.database, principal.tenant_id, id, received, mapping)
    return Response(orjson.dumps(found, default=_plain, option=orjson.OPT_UTC_Z), 200, None, JSON)


def _plain(value: Any) -> Any:
    if isinstance(value, UUID):  # the driver's own class of it, which the encoder does not know
        return str(value)
    return {name: getattr(value, name) for name in value.__struct_fields__}
