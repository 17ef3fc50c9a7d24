"""A small API on the real door, database and read path: what the door promises, whatever the routes are."""

from dataclasses import dataclass
from uuid import UUID, uuid4

import asyncpg
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response

import app.nouns  # noqa: F401  (declares the nouns)
from api.bodies import read_body
from api.calls import Call
from api.routing import declares, router
from app.answers import Answer, Page, answer
from app.authentication import Principal
from app.database import Db
from app.ids import new_id
from app.reading import read_one, read_page
from app.secrets import NewSecret, new_api_key
from app.statements import shape
from domain.refusals import Conflict, GateRefused, Missing

SHAPE = shape({"id": None, "number": None, "title": None, "client_ids": None, "reported_at": None})
routes = router("Things")


class ThingIn(BaseModel):
    """What a caller sends."""

    model_config = ConfigDict(extra="forbid")

    title: str
    count: int = 0


@routes.get("/things", **declares("incident.read"))
async def list_things(
    call: Call, limit: int = 50, cursor: str | None = None, sort: str | None = None, status: list[str] | None = None
) -> Response:
    async def query(db: Db, principal: Principal) -> Page:
        return await read_page(
            db, "incident", SHAPE, {"status": status}, principal, call.vault, sort=sort, cursor=cursor, limit=limit
        )

    return await call.read("incident.read", query)


@routes.get("/things/{thing_id}", **declares("incident.read"))
async def read_thing(thing_id: UUID, call: Call) -> Response:
    async def query(db: Db, principal: Principal) -> str | None:
        return await read_one(db, "incident", SHAPE, thing_id, principal)

    return await call.read("incident.read", query)


@routes.post("/things", **declares("incident.report", status=201))
async def make_thing(body: ThingIn, call: Call) -> Response:
    async def use_case(db: Db, principal: Principal) -> Answer:
        if body.title == "conflict":
            raise Conflict("The thing is closed.", current={"status": "closed", "version": 3})
        if body.title == "gate":
            missing = [Missing("action", "DL.1.2", "Record it first.")]
            raise GateRefused("Not before the record.", gate="G-DL-1", missing=missing)
        if body.title == "mistake":
            raise RuntimeError("secret-of-ours " + body.title)
        thing_id = await insert_thing(db, principal, body.title)
        text = await read_one(db, "incident", SHAPE, thing_id, principal)
        return answer(text, status=201, location=f"/v1/things/{thing_id}", version=1)

    return await call.write("incident.report", use_case)


@routes.post("/admin", **declares("settings.write"))
async def administer(call: Call) -> Response:
    async def use_case(db: Db, principal: Principal) -> Answer:
        return answer("{}")

    return await call.write("settings.write", use_case)


_public = declares(None, status=202)
_public["openapi_extra"] |= {"x-public": True, "x-streamed": True}


@routes.post("/open", **_public)
async def receive(request: Request) -> Response:
    body = await read_body(request, bytes_max=1_000, stall_seconds=0.3, total_seconds=1)
    return Response(str(len(body)), 202)


async def insert_thing(db: Db, principal: Principal, title: str) -> UUID:
    """An incident's row without its rules: the door does not look at them."""
    number = await db.value("update tenants set next_number = next_number + 1 returning next_number - 1")
    thing_id = new_id()
    await db.execute("select set_config('app.incident_id', $1, true)", str(thing_id))
    await db.execute(
        "insert into incidents (tenant_id, id, number, title, discovered_at, reported_at, opened_by_kind,"
        " opened_by_id, triage_due_at) values ($1, $2, $3, $4, now(), now(), $5, $6, now())",
        db.tenant_id,
        thing_id,
        f"INC-{number}",
        title,
        principal.kind,
        principal.id,
    )
    return thing_id


@dataclass(frozen=True)
class Caller:
    """Somebody with a key."""

    tenant_id: UUID
    id: UUID
    key: NewSecret

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key.text}"}


async def make_tenant(superuser: asyncpg.Connection, *roles: str) -> Caller:
    """A tenant with one person and one key. Without `roles` the person holds those of a first person."""
    tenant_id = uuid4()
    await superuser.execute("insert into tenants (tenant_id, name) values ($1, 'A provider')", tenant_id)
    return await make_person(superuser, tenant_id, *(roles or ("tenant_admin", "risk_owner", "it_security")))


async def make_person(superuser: asyncpg.Connection, tenant_id: UUID, *roles: str) -> Caller:
    """A person of a tenant, with a key of all its roles."""
    person_id = uuid4()
    await superuser.execute(
        "insert into people (tenant_id, id, name, roles) values ($1, $2, 'Ann', $3)", tenant_id, person_id, list(roles)
    )
    return await make_key(superuser, tenant_id, person_id)


async def make_key(superuser: asyncpg.Connection, tenant_id: UUID, person_id: UUID | None, **more: object) -> Caller:
    """One more key of a person, or of nobody yet; `more` are columns of its row."""
    key = new_api_key(tenant_id)
    row = {
        "tenant_id": tenant_id,
        "id": uuid4(),
        "person_id": person_id,
        "name": "a key",
        "secret_hash": key.hash,
        "prefix": key.prefix,
        **more,
    }
    places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    await superuser.execute(f"insert into api_keys ({', '.join(row)}) values ({places})", *row.values())
    return Caller(tenant_id, person_id or tenant_id, key)
