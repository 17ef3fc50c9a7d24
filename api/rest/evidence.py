"""Evidence: files attached to an incident, streamed in, listed, and handed out as downloads."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Annotated, Any, NoReturn
from uuid import UUID

import orjson
from fastapi import Query
from fastapi.exceptions import RequestValidationError
from pydantic import Field, ValidationError
from starlette.responses import Response

from api.calls import Call, CallOfRequest
from api.downloads import download
from api.errors import DoorRefusal, Unavailable
from api.fields import In, Instant, JsonObject, Name, Out, Word
from api.routing import declares, router
from api.shapes import shape_of
from api.uploads import Upload, read_upload
from app.answers import Answer, Page, answer
from app.authentication import Principal, wall
from app.database import Db
from app.evidence import (
    FileGone,
    FileOfEvidence,
    QuotaExceeded,
    attach_file,
    check_attachable,
    find_file,
    new_evidence,
    record_reading,
)
from app.evidence_store import EvidenceStore, FileDamaged, Stored, StoreFailed, StoreFull
from app.evidence_sweep import queue_sweep
from app.incidents import incident_ref, visible_incident
from app.paging import LIMIT_DEFAULT
from app.reading import read_one, read_page
from domain.filenames import NAMELESS, clean_filename
from domain.glossary import EvidenceKind, Sensitivity
from domain.media_types import media_type_of, served_type
from domain.refusals import InputError, Invalid, Refusal

routes = router("Evidence")


class AttachedBy(Out):
    """Who brought it in: a person, a service account or the service itself."""

    kind: str
    id: UUID


class Evidence(Out):
    """A preserved file. `sha256` is computed by the service while the file arrives; the bytes never change."""

    id: UUID
    incident_id: UUID
    action_id: str | None
    kind: EvidenceKind
    title: str
    filename: str
    sha256: str
    size: int
    media_type: str
    sensitivity: Sensitivity
    legal_hold: bool
    collected_by: UUID | None
    collected_at: datetime
    collected_from: str | None
    collection_method: str | None
    attached_by: AttachedBy
    attached_at: datetime
    supersedes_id: UUID | None
    redacted_copy_of_id: UUID | None
    custody: list[JsonObject]


class EvidencePage(Out):
    """A page of evidence."""

    items: list[Evidence]
    next_cursor: str | None


class EvidenceDetails(In):
    """What is said of a file: in the fields of the form, or in the query of a raw upload.

    Screenshots, transcripts and original messages are `restricted` unless said otherwise.
    """

    filename: Annotated[str, Field(min_length=1, max_length=2_000)] | None = None
    kind: EvidenceKind | None = None
    title: Name | None = None
    action_id: Word | None = None
    sensitivity: Sensitivity | None = None
    collected_by: UUID | None = None
    collected_at: Instant | None = None
    collected_from: Name | None = None
    collection_method: Name | None = None
    supersedes_id: UUID | None = None
    redacted_copy_of_id: UUID | None = None


class EvidenceFilter(In):
    """Which evidence of an incident to list."""

    action_id: Word | None = None
    kind: Annotated[list[EvidenceKind], Field(default_factory=list, max_length=20)]
    cursor: Annotated[str, Field(max_length=1_000)] | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = LIMIT_DEFAULT


@dataclass(frozen=True, slots=True)
class Arrived:
    """A file that lies in the store and is not recorded yet."""

    details: EvidenceDetails
    filename: str
    media_type: str
    stored: Stored


class QuotaReached(DoorRefusal):
    """The incident or the tenant may hold no more evidence."""

    status = 413
    code = QuotaExceeded.code


class EvidenceDamaged(DoorRefusal):
    """The stored bytes are not what their hash says. They are never served; the alarm has been raised."""

    status = 503
    code = "evidence-damaged"

    def __init__(self) -> None:
        super().__init__(
            "The stored file does not match its SHA-256 and is not served. The operator has to restore it.",
            headers={"Retry-After": "3600"},
        )


class StoreIsFull(DoorRefusal):
    """No room is left on the disk. Nothing was kept."""

    status = 507
    code = "evidence-store-full"

    def __init__(self) -> None:
        super().__init__("The evidence store has no room. Nothing was kept.", headers={"Retry-After": "60"})


FORM = {
    "type": "object",
    "required": ["file"],
    "properties": {"file": {"type": "string", "format": "binary"}}
    | {name: {"type": "string"} for name in EvidenceDetails.model_fields},
}
BODY = {
    "x-streamed": True,
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": FORM},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    },
}


def _streamed(declared: dict[str, Any]) -> dict[str, Any]:
    return declared | {"openapi_extra": declared["openapi_extra"] | BODY}


@routes.post(
    "/incidents/{incident_id}/evidence",
    **_streamed(declares("evidence.attach", answer=Evidence, status=201, refuses=[408, 413, 415, 507])),
)
async def attach(call: Call, incident_id: str, given: Annotated[EvidenceDetails, Query()]) -> Response:
    """Attach a file. It is streamed: a form with the part `file`, or the raw body with the details in the query.

    The same file attached again by the same caller with the same details answers 200 with the first item.
    """
    store, read = _store(call), asyncio.Event()
    try:
        ref = incident_ref(incident_id)
        arrived = await _receive(call, ref, store, given, read)
        try:
            return await _record(call, ref, store, arrived)
        except Refusal:
            await queue_sweep(call.database, call.tenant_id)  # the file may belong to nothing now
            raise
    except (StoreFull, StoreFailed, FileGone, QuotaExceeded, Refusal) as error:
        refusal = _refusal_of(error)
        if not read.is_set():  # the rest of the body is not waited for
            refusal.headers["Connection"] = "close"
        raise refusal from None


async def _receive(
    call: CallOfRequest, ref: UUID | str, store: EvidenceStore, given: EvidenceDetails, read: asyncio.Event
) -> Arrived:
    """Take the file in, once it is known that it may come. `read` is set when the body has come to its end."""
    principal = await call.authorise("evidence.attach")
    async with call.database.transaction(call.tenant_id) as db:
        await wall(db, principal)
        room = await check_attachable(db, principal, ref, call.settings)
    async with store.receive(call.tenant_id) as receiving:
        stall_seconds = call.settings.body_stall_seconds
        upload = await read_upload(
            call.request, receiving.write, file_bytes_max=room.bytes_max, stall_seconds=stall_seconds
        )
        read.set()
        details = _details(given, upload)
        name = clean_filename(details.filename or upload.filename or NAMELESS)
        media_type = media_type_of(receiving.head, name)
        if receiving.size == 0:
            raise Invalid("The file is empty.", errors=[InputError("/file", "is empty")])
        return Arrived(details, name, media_type, await receiving.keep())


def _refusal_of(error: Exception) -> Refusal:
    if isinstance(error, StoreFull):
        return StoreIsFull()
    if isinstance(error, QuotaExceeded):
        return QuotaReached(error.detail, current=error.current)
    return error if isinstance(error, Refusal) else Unavailable()


@routes.get("/incidents/{incident_id}/evidence", **declares("evidence.read", answer=EvidencePage))
async def list_evidence(call: Call, incident_id: str, wanted: Annotated[EvidenceFilter, Query()]) -> Response:
    """The evidence of an incident, in the order in which it was attached."""
    ref = incident_ref(incident_id)

    async def query(db: Db, principal: Principal) -> Page:
        found = await visible_incident(db, ref)
        filters = {"incident": found, "action": wanted.action_id, "kind": [str(k) for k in wanted.kind] or None}
        shape = shape_of(Evidence, "evidence")
        return await read_page(
            db, "evidence", shape, filters, principal, call.vault, cursor=wanted.cursor, limit=wanted.limit
        )

    return await call.read("evidence.read", query)


@routes.get("/evidence/{evidence_id}", **declares("evidence.read", answer=Evidence))
async def read_evidence(call: Call, evidence_id: UUID) -> Response:
    """What is known of a file."""
    return await call.read("evidence.read", partial(_read, evidence_id))


@routes.get("/evidence/{evidence_id}/content", **declares(("evidence.read", "evidence.read_restricted"), refuses=[416]))
async def content(call: Call, evidence_id: UUID) -> Response:
    """The file itself, always as a download. Its hash is verified first: a damaged file answers 503
    `evidence-damaged`. Opening a restricted one is written into the timeline before a byte leaves. One range of bytes
    may be asked for."""
    found: list[FileOfEvidence] = []

    async def look(db: Db, principal: Principal) -> Answer | None:
        file = await find_file(db, evidence_id)
        found.extend([file] if file else [])
        return answer(None, status=204) if file else None

    await call.read("evidence.read", look)
    file = found[0]
    if file.sensitivity == "restricted":

        async def record(db: Db, principal: Principal) -> Answer:
            await record_reading(db, principal, file)
            return answer(None, status=204)

        await call.write("evidence.read_restricted", record)
    is_part = "range" in call.request.headers
    try:
        handle = await _store(call).open(call.tenant_id, file.sha256, file.size, in_part=is_part)
    except FileDamaged:
        raise EvidenceDamaged from None
    except StoreFailed:
        raise Unavailable from None
    return download(call.request, handle, file.size, file.sha256, file.filename, served_type(file.media_type))


async def _record(call: CallOfRequest, ref: UUID | str, store: EvidenceStore, arrived: Arrived) -> Response:
    details, stored = arrived.details, arrived.stored
    said = details.model_dump(exclude={"filename", "kind"}, exclude_none=True)
    values = said | {"filename": arrived.filename, "kind": str(details.kind or EvidenceKind.OTHER)}
    # The content decides whether a request is the same, not the boundaries that a form happened to have.
    digest = sha256(orjson.dumps(values, default=str, option=orjson.OPT_SORT_KEYS) + stored.sha256.encode()).digest()

    async def use_case(db: Db, principal: Principal) -> Answer:
        item = new_evidence(sha256=stored.sha256, size=stored.size, media_type=arrived.media_type, **values)
        made = await attach_file(db, principal, ref, item, store, call.settings)
        body = await _read(made.id, db, principal)
        location = f"/v1/evidence/{made.id}"
        return answer(body, status=201 if made.is_new else 200, location=location if made.is_new else None)

    return await call.write("evidence.attach", use_case, body_digest=digest)


async def _read(evidence_id: UUID, db: Db, principal: Principal) -> str | None:
    return await read_one(db, "evidence", shape_of(Evidence, "evidence"), evidence_id, principal)


def _details(given: EvidenceDetails, upload: Upload) -> EvidenceDetails:
    """The details from query and form together. Raises Invalid for one given in both, and for a wrong one."""
    twice = [name for name in upload.fields if name in given.model_fields_set]
    if twice:
        raise Invalid("A detail is given twice.", errors=[InputError(f"/{n}", "is in the query too") for n in twice])
    try:
        said = EvidenceDetails.model_validate(upload.fields)
    except ValidationError as error:
        _refuse(error)
    return given.model_copy(update={name: getattr(said, name) for name in said.model_fields_set})


def _refuse(error: ValidationError) -> NoReturn:
    raise RequestValidationError([{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors()])


def _store(call: CallOfRequest) -> EvidenceStore:
    return EvidenceStore(call.settings.data_dir / "evidence")
