"""The catalogue of event types: what endpoints may ask for, and what the data of each says."""

import msgspec
import orjson
from starlette.responses import Response

from api.calls import Call
from api.fields import JsonObject, Out
from api.routing import declares, router
from app.authentication import Principal
from app.database import Db
from domain.event_types import TYPES

routes = router("Events")


class EventType(Out):
    """A type of events. `data_schema` is the JSON Schema of `data`: members may be added without a new `version`.
    `streams` are the kinds of things in whose history it stands."""

    type: str
    version: int
    title: str
    description: str
    streams: list[str]
    data_schema: JsonObject


class EventTypesPage(Out):
    """All types, in the order of the catalogue."""

    items: list[EventType]
    next_cursor: str | None


@routes.get("/event-types", **declares("event_type.read", answer=EventTypesPage))
async def list_types(call: Call) -> Response:
    """The types of events that there are."""

    async def query(db: Db, principal: Principal) -> bytes:
        return orjson.dumps({"items": [msgspec.to_builtins(one) for one in TYPES.values()], "next_cursor": None})

    return await call.read("event_type.read", query)
