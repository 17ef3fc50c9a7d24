"""Obligations of hypothetical facts: what would have to be told by when. Not legal advice."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from api.calls import Call
from api.fields import In, Instant, Name, Out, Word
from api.rest.clients import ContractIn, GdprRole, HipaaRole, Jurisdiction, ProfileIn
from api.rest.settings import OrganisationEdit
from api.routing import declares, router
from app.authentication import Principal
from app.database import Db
from app.obligations import preview_obligations
from domain.glossary import ObligationOutcome, Toward

routes = router("Obligations")


class SupposedClient(In):
    """A client to suppose, in the words of a client's profile and contract."""

    name: Name = "a client"
    hipaa_role: HipaaRole | None = None
    gdpr_role: GdprRole | None = None
    jurisdictions: Annotated[list[Jurisdiction], Field(default_factory=list, max_length=300)]
    profile: ProfileIn = Field(default_factory=ProfileIn)
    contract: ContractIn = Field(default_factory=lambda: ContractIn(clauses=[]))


class PreviewIn(In):
    """Facts to suppose, derived ones included; `unknown` is allowed as everywhere. With neither `client_ids` nor
    `clients` it stays open which clients are affected. `organisation` stands in for the tenant's own profile."""

    facts: Annotated[dict[str, Any], Field(default_factory=dict, max_length=100)]
    client_ids: Annotated[list[UUID], Field(max_length=50)] | None = None
    clients: Annotated[list[SupposedClient], Field(max_length=50)] | None = None
    organisation: OrganisationEdit | None = None
    discovered_at: Instant | None = None
    playbook: Word | None = None


class PreviewedObligation(Out):
    """What one rule says, for one client where it runs per client. `is_asked`: false while other answers come first."""

    rule_id: str
    rule_version: str
    title: str
    client_id: UUID | None
    client_name: str | None
    toward: Toward
    owed_by: Literal["us", "client"]
    outcome: ObligationOutcome
    is_asked: bool
    because: list[str]
    deciding_facts: list[str]
    missing_facts: list[str]
    recipient: str
    channel: str | None
    content_requirements: list[str]
    citation: str
    as_of: str
    confidence: str
    clock_event: str | None
    clock_started_at: datetime | None
    pending_clock: bool
    due_at: datetime | None
    guideline_due_at: datetime | None
    disclaimer: str


class Unasked(Out):
    """A fact that keeps rules silent until it is known."""

    fact: str
    rules: list[str]


class PreviewOut(Out):
    """Who would have to be told, in the order in which notices go out, and which facts would let more rules speak."""

    disclaimer: str
    rules_version: str
    outcomes: list[PreviewedObligation]
    unasked: list[Unasked]


@routes.post(
    "/obligations/preview",
    summary="Preview obligations",
    **declares("obligation.preview", answer=PreviewOut),
)
async def preview(
    call: Call,
    body: PreviewIn,
    include: Annotated[list[Literal["not_triggered"]] | None, Query(max_length=5)] = None,
) -> Response:
    """Which obligations these facts would bring, with clocks, reasons, deciding and missing facts; nothing is stored.
    `include=not_triggered` shows every rule."""
    organisation = body.organisation.model_dump(mode="json", exclude_unset=True) if body.organisation else {}
    clients = None if body.clients is None else [_row(one) for one in body.clients]

    async def query(db: Db, principal: Principal) -> bytes:
        found = await preview_obligations(
            db,
            principal,
            facts=body.facts,
            client_ids=body.client_ids,
            clients=clients,
            organisation=organisation,
            discovered_at=body.discovered_at,
            playbook=body.playbook,
            everything=bool(include),
        )
        return orjson.dumps(found, option=orjson.OPT_UTC_Z)

    return await call.read("obligation.preview", query)


def _row(client: SupposedClient) -> dict[str, Any]:
    """The client as its row would be: what was not said stays away."""
    return client.model_dump() | {
        "profile": client.profile.model_dump(exclude_none=True),
        "contract": client.contract.model_dump(exclude_none=True),
    }
