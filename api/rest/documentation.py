"""Documentation: the twelve items of an incident."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import RootModel
from starlette.responses import Response

from api.calls import Call
from api.fields import JsonObject, Out
from api.routing import declares, router
from api.shapes import shape_of
from app.answers import Answer, answer
from app.authentication import Principal
from app.database import Db
from app.incidents import change_incident, incident_ref, require, visible_incident
from app.reading import read_all, read_matching
from domain.changes import Change
from domain.documentation import DISCOVERY, EARLY, document_id, write_document
from domain.glossary import DocumentState
from domain.refusals import NotFound, PreconditionFailed

routes = router("Documentation")


class Document(Out):
    """One documentation item; `version` is its own concurrency token."""

    id: str
    name: str
    value: JsonObject | None
    state: DocumentState
    missing: list[JsonObject]
    version: int
    updated_at: datetime | None
    updated_by: UUID | None


class DocumentValue(RootModel[dict[str, Any]]):
    """The item's value: its JSON Schema is served with the actions that fill it."""


@routes.get("/incidents/{incident_id}/documentation", **declares("document.read", answer=list[Document]))  # type: ignore[arg-type]
async def listed(call: Call, incident_id: str) -> Response:
    """All twelve items with their state and what each still misses."""

    async def query(db: Db, principal: Principal) -> str:
        found = await visible_incident(db, incident_ref(incident_id))
        return await read_all(db, "document", shape_of(Document, "document"), {"incident": found}, principal)

    return await call.read("document.read", query)


@routes.put(
    "/incidents/{incident_id}/documentation/{item}",
    **declares(("document.edit", "document.edit_final", "incident.edit_reported"), answer=Document, refuses=[409, 412]),
)
async def write(call: Call, incident_id: str, item: str, body: DocumentValue) -> Response:
    """Write one item whole, by id or name. The derived ones answer 422 and say what fills them."""
    item_id = document_id(item)
    if item_id is None:
        raise NotFound

    def apply(change: Change) -> None:
        document = change.record.documents[item_id]
        if call.if_match is not None and call.if_match != str(document.version):
            raise PreconditionFailed(f"{item_id} has changed since you read it.", current={"version": document.version})
        if item_id not in EARLY:
            require(change, "document.edit_final")
        elif change.record.incident.declared_at is None:
            require(change, "incident.edit_reported")
        elif item_id in DISCOVERY:
            require(change, "document.edit", "incident.edit_reported")
        else:
            require(change, "document.edit")
        write_document(change, item_id, body.root)

    async def use_case(db: Db, principal: Principal) -> Answer:
        record = await change_incident(db, principal, incident_ref(incident_id), apply)
        filters = {"incident": record.incident.id, "id": item_id}
        text = await read_matching(db, "document", shape_of(Document, "document"), filters, principal)
        return answer(text, version=record.documents[item_id].version)

    return await call.write(None, use_case)
