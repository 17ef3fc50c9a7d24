"""Sources: the systems that send us deliveries, and what they sent."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import Query
from pydantic import Field, StringConstraints
from starlette.responses import Response

from api.calls import Call, CallOfRequest
from api.fields import In, JsonObject, Name, Out, Word
from api.routing import declares, router
from api.shapes import shape_of
from api.showing import listed, shown
from app.answers import Answer, answer
from app.authentication import Principal
from app.database import Db
from app.deliveries import retry_delivery
from app.reading import read_one
from app.source_files import Keeping
from app.sources import change_source, create_source, rotate_source
from domain.refusals import NotFound
from domain.signatures import Scheme
from domain.systems import MappingText

routes = router("Sources")

Secret = Annotated[str, StringConstraints(min_length=8, max_length=8_000)]
Result = Literal["created", "updated", "noted", "duplicate", "ignored", "unmapped"]
ClientMap = Annotated[dict[Annotated[str, StringConstraints(max_length=500)], UUID], Field(max_length=5_000)]


class DefaultsIn(In):
    """What an incident of this source gets: a playbook to suggest, labels, facts (where the delivery says nothing of
    them)."""

    playbook: Word | None = None
    facts: JsonObject | None = None
    labels: Annotated[list[Word], Field(max_length=50)] | None = None


class LimitsIn(In):
    """Limits of a source.

    `sender` is the only organisation of the system that is listened to, as the system names it (its company, workspace
    or account); `per_minute` is how many deliveries are taken. Alerts to which the mapping gives one `correlation` are
    counted with one incident while each follows the last within `correlation_seconds` (an hour; 0 counts none).
    What `own_authors` did, the accounts under which we write there, is our own doing and has no effect here.
    A source from which nothing has come for `expected_seconds` is told of by the event `source.silent`.
    """

    sender: Annotated[str, StringConstraints(min_length=1, max_length=500)] | None = None
    correlation_seconds: Annotated[int, Field(ge=0, le=7 * 86_400)] | None = None
    own_authors: Annotated[list[Word], Field(max_length=20)] | None = None
    expected_seconds: Annotated[int, Field(ge=60, le=90 * 86_400)] | None = None
    per_minute: Annotated[int, Field(ge=1, le=1_000_000)] | None = None


class SourceIn(In):
    """A new source. `secret` is what the sender signs with, or the token it sends; without one the address alone is the
    credential. `instance` tells several instances of one system apart and is the source's id unless said otherwise.
    Over the connection, one to the same system, is fetched what a delivery only names."""

    name: Name
    system: Word
    instance: Word | None = None
    secret: Secret | None = None
    scheme: Scheme | None = None
    mapping: MappingText | None = None
    defaults: DefaultsIn | None = None
    default_client_id: UUID | None = None
    client_map: ClientMap | None = None
    limits: LimitsIn | None = None
    connection_id: UUID | None = None


class SourceEdit(In):
    """What to change; members that are absent stay. `paused` keeps deliveries without effect, `disabled` takes none."""

    name: Name = Field(default="")
    scheme: Scheme | None = None
    mapping: MappingText | None = None
    defaults: DefaultsIn | None = None
    default_client_id: UUID | None = None
    client_map: ClientMap | None = None
    limits: LimitsIn | None = None
    connection_id: UUID | None = None
    status: Literal["active", "paused", "disabled"] = "active"


class RotationIn(In):
    """What to replace: the address, the secret or both. The former secret counts for `overlap_seconds` more."""

    address: bool = False
    secret: Secret | None = None
    overlap_seconds: Annotated[int, Field(ge=0, le=7 * 86_400)] = 86_400


class Source(Out):
    """A source. Its secret and the token of its address are never shown again.

    `silent_since` is when it was last heard, where it should have spoken since.
    """

    id: UUID
    version: int
    name: str
    system: str
    instance: str
    has_secret: bool
    previous_secret_until: datetime | None
    scheme: JsonObject
    mapping: JsonObject
    defaults: JsonObject
    default_client_id: UUID | None
    client_map: JsonObject
    limits: JsonObject
    connection_id: UUID | None
    status: str
    silent_since: datetime | None
    created_by: UUID | None
    created_at: datetime
    updated_at: datetime


class SourceWithAddress(Source):
    """A source with the address to send to, which holds a token: it is shown this once. Null where it stays."""

    hook_url: str | None


class SourcesPage(Out):
    """One page of sources, oldest first."""

    items: list[Source]
    next_cursor: str | None


class HookDelivery(Out):
    """One delivery as it was received, and what became of it. `error` is for whoever writes the mapping."""

    id: UUID
    source_id: UUID
    received_at: datetime
    dedupe_key: str
    headers: JsonObject
    content_type: str | None
    size: int
    result: Result | None
    because: str | None
    incident_id: UUID | None
    error: str | None
    attempts: int


class HookDeliveryWithBody(HookDelivery):
    """One delivery with its exact bytes in base64."""

    body: str


class DeliveriesPage(Out):
    """One page of deliveries, newest first."""

    items: list[HookDelivery]
    next_cursor: str | None


class UnmappedClient(Out):
    """A name by which a source calls a client. `incidents` counts those it was named in, `incident_id` is the last."""

    id: UUID
    external_id: str
    name: str | None
    incident_id: UUID | None
    incidents: int
    first_at: datetime
    last_at: datetime


class UnmappedClientsPage(Out):
    """One page of names, the oldest first."""

    items: list[UnmappedClient]
    next_cursor: str | None


@routes.get("/sources", summary="List sources", **declares("source.read", answer=SourcesPage))
async def list_sources(
    call: Call,
    system: Word | None = None,
    status: Literal["active", "paused", "disabled"] | None = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Sources, oldest first."""
    filters = {"system": system, "status": status}
    return await listed(call, "source.read", "source", Source, filters, cursor=cursor, limit=limit)


@routes.post("/sources", summary="Add a source", **declares("source.write", answer=SourceWithAddress, status=201))
async def add_source(call: Call, given: SourceIn) -> Response:
    """Add a source. The answer holds the address to send to, which is shown this once."""

    async def work(db: Db, principal: Principal) -> Answer:
        id, token = await create_source(db, principal, _given(given), call.vault)
        more, location = _address(call, token), f"/v1/sources/{id}"
        return await shown(db, principal, "source", Source, id, status=201, location=location, more=more)

    return await call.write("source.write", work)


@routes.get("/sources/{id}", summary="Read a source", **declares("source.read", answer=Source))
async def read_source(call: Call, id: UUID) -> Response:
    """One source."""

    async def query(db: Db, principal: Principal) -> Answer:
        return await shown(db, principal, "source", Source, id)

    return await call.read("source.read", query)


@routes.patch("/sources/{id}", summary="Change a source", **declares("source.write", answer=Source))
async def edit_source(call: Call, id: UUID, given: SourceEdit) -> Response:
    """Change a source. Its address and its secret are changed by rotating them."""

    async def work(db: Db, principal: Principal) -> Answer:
        await change_source(db, principal, id, _given(given), call.if_match)
        return await shown(db, principal, "source", Source, id)

    return await call.write("source.write", work)


@routes.post(
    "/sources/{id}/rotate", summary="Rotate address or secret", **declares("source.write", answer=SourceWithAddress)
)
async def rotate(call: Call, id: UUID, given: RotationIn) -> Response:
    """Replace the address, which ends the former one at once, or the secret, which lets the former one run out."""

    async def work(db: Db, principal: Principal) -> Answer:
        token = await rotate_source(
            db,
            principal,
            id,
            new_url=given.address,
            secret=given.secret,
            overlap=timedelta(seconds=given.overlap_seconds),
            vault=call.vault,
        )
        return await shown(db, principal, "source", Source, id, more=_address(call, token))

    return await call.write("source.write", work)


@routes.get(
    "/sources/{id}/unmapped-clients",
    summary="List clients without a meaning",
    **declares("source.read", answer=UnmappedClientsPage),
)
async def list_unmapped_clients(
    call: Call, id: UUID, cursor: str | None = None, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> Response:
    """Names by which a source calls clients, and of which nobody has said whom they mean. A name leaves the list when
    the source's `client_map` or a reference of a client has it."""
    filters, parent = {"source": id, "is_open": True}, ("source", Source, id)
    return await listed(
        call, "source.read", "unmapped_client", UnmappedClient, filters, cursor=cursor, limit=limit, parent=parent
    )


@routes.get("/sources/{id}/deliveries", summary="List deliveries", **declares("source.read", answer=DeliveriesPage))
async def list_deliveries(
    call: Call,
    id: UUID,
    result: Annotated[list[Result] | None, Query(max_length=6)] = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """What a source sent, newest first."""
    filters, parent = {"source": id, "result": result}, ("source", Source, id)
    return await listed(
        call, "source.read", "hook_delivery", HookDelivery, filters, cursor=cursor, limit=limit, parent=parent
    )


@routes.get(
    "/sources/{id}/deliveries/{delivery_id}",
    summary="Read a delivery",
    **declares("source.read", answer=HookDeliveryWithBody),
)
async def read_delivery(call: Call, id: UUID, delivery_id: UUID) -> Response:
    """One delivery with its bytes, for mending a mapping."""

    async def query(db: Db, principal: Principal) -> Answer:
        body = await db.value(
            "SELECT replace(encode(body, 'base64'), E'\\n', '') FROM hook_deliveries"
            " WHERE tenant_id = $1 AND source_id = $2 AND id = $3",
            db.tenant_id,
            id,
            delivery_id,
        )
        if body is None:
            raise NotFound
        return answer(_extended(await _delivery(db, principal, delivery_id), body=body))

    return await call.read("source.read", query)


@routes.post(
    "/sources/{id}/deliveries/{delivery_id}/retry",
    summary="Try a delivery again",
    **declares("source.write", answer=HookDelivery, refuses=[409]),
)
async def retry(call: Call, id: UUID, delivery_id: UUID) -> Response:
    """Read a delivery again, with the mapping as it is now. Only one that had no effect."""

    async def work(db: Db, principal: Principal) -> Answer:
        await retry_delivery(db, principal, id, delivery_id, call.vault, Keeping.of(call.settings))
        return answer(await _delivery(db, principal, delivery_id))

    return await call.write("source.write", work)


async def _delivery(db: Db, principal: Principal, delivery_id: UUID) -> str:
    text = await read_one(db, "hook_delivery", shape_of(HookDelivery, "hook_delivery"), delivery_id, principal)
    if text is None:
        raise NotFound
    return text


def _address(call: CallOfRequest, token: str | None) -> dict[str, str | None]:
    return {"hook_url": None if token is None else f"{call.settings.base_url}/hooks/{token}"}


def _extended(text: str, **more: str | None) -> str:
    """An object's JSON text with further members."""
    return f"{text[:-1]},{orjson.dumps(more).decode()[1:]}"


def _given(body: In) -> dict[str, Any]:
    """The members that were sent, as columns; null empties an optional one."""
    sent = body.model_dump(mode="json", exclude_unset=True)
    columns = {name: {} if value is None and name in EMPTIED else value for name, value in sent.items()}
    if isinstance(client := columns.get("default_client_id"), str):
        columns["default_client_id"] = UUID(client)
    return {name: value for name, value in columns.items() if value is not None or name == "default_client_id"}


EMPTIED = frozenset({"scheme", "mapping", "defaults", "client_map", "limits"})
