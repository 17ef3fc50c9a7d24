"""Clients: list, add, change, and upsert by what another system calls them."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

import msgspec
from fastapi import Path, Query
from pydantic import Field, StringConstraints, model_validator
from starlette.responses import Response

from api.calls import Call
from api.fields import In, Name, Out, Url, Word
from api.routing import declares, router
from api.showing import inside, listed, shown
from app.answers import Answer
from app.authentication import Principal
from app.clients import change_client, create_client, put_client
from app.database import Db
from app.rights import require_inside
from domain.contract_notices import ContractClause, check_clause

routes = router("Clients")

HipaaRole = Literal["covered_entity", "business_associate", "none"]
GdprRole = Literal["controller", "processor", "none"]
DataRole = Literal["owner", "maintainer", "none"]
Jurisdiction = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$")]
Sector = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
Short = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class ProfileIn(In):
    """What obligations ask about the client's data and business."""

    data_role: DataRole | None = None
    sectors: Annotated[list[Sector], Field(max_length=50)] | None = None


class ClauseIn(In):
    """The notice clause of one contract. What nobody has entered yet stays away: it counts as missing, not as none."""

    kind: Literal["msa", "dpa", "baa"]
    notice_duration: Annotated[str, StringConstraints(max_length=32)] | None = None
    notice_clock: Literal["discovered_at", "aware_at", "determined_at"] | None = None
    recipient: Short | None = None
    method: Short | None = None
    threshold: Literal["any", "confirmed", "personal_data"] | None = None
    source_document: Short | None = None
    clause: Short | None = None

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        check_clause(msgspec.convert(self.model_dump(), ContractClause))
        return self


class ContractIn(In):
    """The contracts with the client, as far as they speak of notice."""

    clauses: Annotated[list[ClauseIn], Field(default_factory=list, max_length=50)]


class ReferenceIn(In):
    """What another system calls the client."""

    system: Word
    instance: Word = "-"
    id: Short
    key: Short | None = None
    url: Url | None = None


class ClientIn(In):
    """A new client. `hipaa_role` and `gdpr_role` are our role for its data."""

    name: Name
    hipaa_role: HipaaRole | None = None
    gdpr_role: GdprRole | None = None
    jurisdictions: Annotated[list[Jurisdiction], Field(default_factory=list, max_length=300)]
    profile: ProfileIn = Field(default_factory=ProfileIn)
    contract: ContractIn = Field(default_factory=lambda: ContractIn(clauses=[]))
    external_references: Annotated[list[ReferenceIn], Field(default_factory=list, max_length=20)]


class ClientEdit(In):
    """What to change; members that are absent stay."""

    name: Name = Field(default="")
    hipaa_role: HipaaRole | None = None
    gdpr_role: GdprRole | None = None
    jurisdictions: Annotated[list[Jurisdiction], Field(default_factory=list, max_length=300)]
    profile: ProfileIn = Field(default_factory=ProfileIn)
    contract: ContractIn = Field(default_factory=lambda: ContractIn(clauses=[]))
    active: bool = True


class ClientPut(ClientEdit):
    """A client as another system knows it: a new one needs a name, of a known one absent members stay."""

    key: Short | None = None
    url: Url | None = None


class Reference(Out):
    """What another system calls the client."""

    system: str
    instance: str
    id: str
    key: str | None
    url: str | None


class ClientSummary(Out):
    """A client as lists show one."""

    id: UUID
    version: int
    name: str
    hipaa_role: HipaaRole | None
    gdpr_role: GdprRole | None
    jurisdictions: list[str]
    active: bool


class Client(ClientSummary):
    """A client."""

    profile: dict[str, Any]
    contract: dict[str, Any]
    external_references: list[Reference]
    created_at: datetime
    updated_at: datetime


class ClientsPage(Out):
    """One page of clients, by name."""

    items: list[ClientSummary]
    next_cursor: str | None


@routes.get("/clients", summary="List clients", **declares("client.read", answer=ClientsPage))
async def list_clients(
    call: Call,
    active: bool | None = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Clients by name."""
    return await listed(
        call,
        "client.read",
        "client",
        ClientSummary,
        {"active": active},
        cursor=cursor,
        limit=limit,
        narrow=inside,
    )


@routes.post("/clients", summary="Add a client", **declares("client.write", answer=Client, status=201))
async def add_client(call: Call, given: ClientIn) -> Response:
    """Add a client. A reference that another client carries is refused with 409 `external-reference-exists`."""
    references = [_reference(one.system, one.instance, one.id, one.key, one.url) for one in given.external_references]

    async def work(db: Db, principal: Principal) -> Answer:
        id = await create_client(db, principal, _columns(given), references)
        return await shown(db, principal, "client", Client, id, status=201, location=f"/v1/clients/{id}")

    return await call.write("client.write", work)


@routes.get("/clients/{id}", summary="Read a client", **declares("client.read", answer=Client))
async def read_client(call: Call, id: UUID) -> Response:
    """One client."""

    async def query(db: Db, principal: Principal) -> Answer:
        require_inside(principal)
        return await shown(db, principal, "client", Client, id)

    return await call.read("client.read", query)


@routes.patch("/clients/{id}", summary="Change a client", **declares("client.write", answer=Client, refuses=[409]))
async def edit_client(call: Call, id: UUID, given: ClientEdit) -> Response:
    """Change a client; the obligations of its open incidents are worked out again."""

    async def work(db: Db, principal: Principal) -> Answer:
        await change_client(db, principal, id, _columns(given), call.if_match)
        return await shown(db, principal, "client", Client, id)

    return await call.write("client.write", work)


@routes.put(
    "/clients/by-reference/{system}/{instance}/{external_id:path}",
    summary="Create or update a client by reference",
    **declares("client.write", answer=Client, also=201, refuses=[409]),
)
async def put_by_reference(
    call: Call,
    system: Annotated[str, Path(min_length=1, max_length=100)],
    instance: Annotated[str, Path(min_length=1, max_length=100)],
    external_id: Annotated[str, Path(min_length=1, max_length=500)],
    given: ClientPut,
) -> Response:
    """201 for a new client, 200 for a known one. `instance` is `-` where there is none."""
    reference = _reference(system, instance, external_id, given.key, given.url)

    async def work(db: Db, principal: Principal) -> Answer:
        id, is_new = await put_client(db, principal, reference, _columns(given), call.if_match)
        status, location = (201, f"/v1/clients/{id}") if is_new else (200, None)
        return await shown(db, principal, "client", Client, id, status=status, location=location)

    return await call.write("client.write", work)


def _reference(system: str, instance: str, id: str, key: str | None, url: str | None) -> dict[str, Any]:
    return {"system": system, "instance": instance, "external_id": id, "key": key, "url": url}


def _columns(given: ClientIn | ClientEdit) -> dict[str, Any]:
    """The columns that the caller named. Within profile and contract only what was said is kept."""
    columns = given.model_dump(exclude_unset=True, exclude={"external_references", "key", "url"})
    for name in ("profile", "contract"):
        if name in columns:
            columns[name] = getattr(given, name).model_dump(exclude_none=True)
    if "jurisdictions" in columns:
        columns["jurisdictions"] = sorted(set(columns["jurisdictions"]))
    return columns
