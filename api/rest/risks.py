"""The AI risk register: entries, what incidents propose for them, and revisions."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from api.calls import Call
from api.fields import In, Instant, JsonObject, Name, Out, Reason, Text, Word
from api.lists import answer_page
from api.routing import declares, router
from api.shapes import shape_of
from api.showing import inside, listed, shown
from app.answers import Answer, answer
from app.authentication import Principal
from app.database import Db
from app.reading import read_matching, read_one
from app.rights import require_inside
from app.risks import RevisionRequest, decide_revision, read_proposal, revise_risk
from app.statements import shape
from domain.refusals import NotFound
from domain.timeline import instant_text

routes = router("Risks")
REF = shape({"ref": None})

Score = Annotated[int, Field(strict=True, ge=1, le=5)]
Band = Literal["low", "medium", "high", "critical"]
RiskStatus = Literal["open", "treating", "accepted", "closed"]
RevisionStatus = Literal["proposed", "accepted", "rejected"]
Decision = Literal["accept", "edit", "no_change"]
Treatment = Literal["mitigate", "transfer", "avoid", "accept"]
Severity = Literal["SEV1", "SEV2", "SEV3", "SEV4"]


class RiskSummary(Out):
    """An entry as lists show one. Scores are likelihood times impact, 1 to 25: inherent before controls, residual
    with them in place."""

    ref: str
    id: UUID
    version: int
    title: str
    category: str
    owner_id: UUID | None
    status: RiskStatus
    likelihood: int
    impact: int
    inherent_score: int
    inherent_band: Band
    residual_likelihood: int
    residual_impact: int
    residual_score: int
    residual_band: Band
    last_reviewed_at: datetime | None
    next_review_at: datetime | None
    review_late: bool
    late_review_announced_at: datetime | None


class Revision(Out):
    """A decided or proposed change of an entry, or the statement that none is needed; `before` and `after` are whole
    entries, `proposal` what the incidents supported then."""

    id: UUID
    risk_ref: str
    incident_id: UUID | None
    decision: Decision
    status: RevisionStatus
    proposal: JsonObject | None
    before: JsonObject
    after: JsonObject
    reason: str
    cause: Literal["review", "incident", "treatment", "audit"]
    outcome: str | None
    author_id: UUID
    at: datetime
    decided_by: UUID | None
    decided_at: datetime | None
    decision_reason: str | None


class Risk(RiskSummary):
    """An entry with its latest 200 revisions, newest first."""

    description: str
    treatments: list[Treatment]
    treatment_plan: JsonObject | None
    acceptance: JsonObject | None
    controls: list[str]
    playbooks: list[str]
    maps_to: list[str]
    kris: list[Any]
    created_at: datetime
    updated_at: datetime
    revisions: list[Revision]


class RiskPage(Out):
    """A page of the register."""

    items: list[RiskSummary]
    next_cursor: str | None
    server_time: datetime


class RevisionPage(Out):
    """A page of revisions, newest first."""

    items: list[Revision]
    next_cursor: str | None


class Present(Out):
    """The judgement that stands."""

    likelihood: int
    impact: int
    residual_likelihood: int
    residual_impact: int
    inherent: int
    inherent_band: Band
    residual: int
    residual_band: Band
    status: RiskStatus


class CitedIncident(Out):
    """An incident against this risk: `revision_id` is the accepted revision that cites it."""

    id: UUID
    number: str
    status: str
    is_primary_risk: bool
    revision_id: UUID | None


class Proposal(Out):
    """What the incidents of the 12 months before `as_of` support. Scores rise to it and never fall; `because` says why.

    `version` is that of the entry: send it as `If-Match` to decide on exactly this.
    """

    ref: str
    version: int
    as_of: datetime
    present: Present
    incident: CitedIncident | None
    likelihood: int
    impact: int
    residual_likelihood: int
    residual_impact: int
    inherent: int
    residual: int
    inherent_band: Band
    residual_band: Band
    incident_count_12m: int
    last_incident_at: datetime | None
    highest_severity_12m: Severity | None
    because: list[str]


class PlannedAction(In):
    """One thing to do about a risk."""

    title: Name
    due: date | None = None


class TreatmentPlan(In):
    """What will be done. A high or critical residual needs a date, of the plan or of each action."""

    actions: Annotated[list[PlannedAction], Field(default_factory=list, max_length=50)]
    owner: UUID | None = None
    due: date | None = None
    note: Text | None = None


class Acceptance(In):
    """Until when the risk is accepted, at most a year. The approver is who decides; a proposal may name one."""

    expires_at: Instant
    approved_by: UUID | None = None


class KeyIndicator(In):
    """A measure that shows early whether the risk rises: what it should stay at, what it was when it was last read."""

    name: Name
    target: Name | None = None
    value: Name | None = None
    measured_at: Instant | None = None


class Edits(In):
    """Members to set; absent ones stay."""

    title: Name = Field(default="")
    description: Text = Field(default="")
    category: Name = Field(default="")
    owner_id: UUID | None = None
    status: RiskStatus = Field(default="open")
    likelihood: Score = Field(default=1)
    impact: Score = Field(default=1)
    residual_likelihood: Score = Field(default=1)
    residual_impact: Score = Field(default=1)
    treatments: Annotated[list[Treatment], Field(default_factory=list, max_length=4)]
    treatment_plan: TreatmentPlan | None = None
    acceptance: Acceptance | None = None
    controls: Annotated[list[Word], Field(default_factory=list, max_length=100)]
    playbooks: Annotated[list[Word], Field(default_factory=list, max_length=100)]
    maps_to: Annotated[list[Name], Field(default_factory=list, max_length=100)]
    kris: Annotated[list[Name | KeyIndicator], Field(default_factory=list, max_length=50)]


class RevisionIn(In):
    """`accept` takes the proposal, `edit` sets members, `no_change` states that the entry stands; each with a reason.

    With `incident_id` (an id or number) an accepted revision of the incident's primary risk completes its D10.
    `proposed_only` leaves the decision to somebody else.
    """

    decision: Decision
    reason: Reason
    incident_id: Word | None = None
    cause: Literal["review", "incident", "treatment", "audit"] | None = None
    edits: Edits | None = None
    proposed_only: Annotated[bool, Field(strict=True)] = False


class RevisionTransition(In):
    """Decide a proposed revision."""

    transition: Literal["accept", "reject"]
    reason: Reason


@routes.get("/risks", **declares("risk.read", answer=RiskPage))
async def page(
    call: Call,
    status: Annotated[list[RiskStatus] | None, Query(max_length=4)] = None,
    band: Annotated[list[Band] | None, Query(max_length=4)] = None,
    category: Annotated[str | None, Query(max_length=200)] = None,
    owner: UUID | None = None,
    review_late: bool | None = None,
    cursor: Annotated[str | None, Query(max_length=1_000)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """The register by reference; `band` is that of the residual score. CSV by `Accept`."""
    filters = {"status": status, "band": band, "category": category, "owner": owner, "review_late": review_late}
    return await listed(call, "risk.read", "risk", RiskSummary, filters, cursor=cursor, limit=limit, narrow=inside)


@routes.get("/risks/{ref}", **declares("risk.read", answer=Risk))
async def read(call: Call, ref: str) -> Response:
    """One entry with its revisions."""

    async def query(db: Db, principal: Principal) -> Answer | None:
        require_inside(principal)
        text = await read_one(db, "risk", shape_of(Risk, "risk"), ref, principal)
        return None if text is None else answer(text, version=orjson.loads(text)["version"])

    return await call.read("risk.read", query)


@routes.get("/risks/{ref}/revisions", **declares("risk.read", answer=RevisionPage))
async def revisions(
    call: Call,
    ref: str,
    status: Annotated[list[RevisionStatus] | None, Query(max_length=3)] = None,
    cursor: Annotated[str | None, Query(max_length=1_000)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Every revision of an entry, newest first. CSV by `Accept`."""

    async def narrow(db: Db, principal: Principal, bound: dict[str, Any]) -> dict[str, Any]:
        require_inside(principal)
        if await read_one(db, "risk", REF, ref, principal) is None:
            raise NotFound
        return bound

    filters = {"risk": ref, "status": status}
    return await answer_page(
        call, "risk.read", "risk_revision", Revision, filters, cursor=cursor, limit=limit, narrow=narrow
    )


@routes.get("/risks/{ref}/proposal", **declares("risk.read", answer=Proposal))
async def proposal(call: Call, ref: str, incident_id: Annotated[str | None, Query(max_length=40)] = None) -> Response:
    """What the incidents of the last 12 months propose, computed now."""
    return await call.read("risk.read", lambda db, principal: read_proposal(db, principal, ref, incident_id))


@routes.post(
    "/risks/{ref}/revisions",
    **declares(
        ("risk.propose", "risk.accept", "risk.accept_critical"), answer=Revision, status=201, refuses=[409, 412]
    ),
)
async def revise(call: Call, ref: str, body: RevisionIn) -> Response:
    """Revise an entry, or propose it. `If-Match` with the entry's version decides on exactly what you read."""
    request = RevisionRequest(
        decision=body.decision,
        reason=body.reason,
        incident=body.incident_id,
        cause=body.cause,
        edits=members_of(body.edits),
        proposed_only=body.proposed_only,
    )

    async def use_case(db: Db, principal: Principal) -> Answer:
        revision_id = await revise_risk(db, principal, ref, request, call.if_match)
        return await shown(
            db,
            principal,
            "risk_revision",
            Revision,
            revision_id,
            status=201,
            location=f"/v1/risks/{ref}/revisions/{revision_id}",
        )

    return await call.write("risk.propose", use_case)


@routes.get("/risks/{ref}/revisions/{revision_id}", **declares("risk.read", answer=Revision))
async def read_revision(call: Call, ref: str, revision_id: UUID) -> Response:
    """One revision."""

    async def query(db: Db, principal: Principal) -> str | None:
        require_inside(principal)
        filters = {"risk": ref, "id": revision_id}
        return await read_matching(db, "risk_revision", shape_of(Revision, "risk_revision"), filters, principal)

    return await call.read("risk.read", query)


@routes.post(
    "/risks/{ref}/revisions/{revision_id}/transitions",
    **declares(("risk.accept", "risk.accept_critical"), answer=Revision, refuses=[409]),
)
async def transition(call: Call, ref: str, revision_id: UUID, body: RevisionTransition) -> Response:
    """Accept or reject a proposed revision."""

    async def use_case(db: Db, principal: Principal) -> Answer:
        await decide_revision(db, principal, ref, revision_id, body.transition, body.reason)
        return await shown(db, principal, "risk_revision", Revision, revision_id)

    return await call.write(None, use_case)


def members_of(given: Edits | None) -> dict[str, Any]:
    """The members that were sent, nested ones as the JSON that is kept."""
    if given is None:
        return {}
    found = given.model_dump(exclude_unset=True)
    if "kris" in found:
        found["kris"] = [one if isinstance(one, str) else one.model_dump(mode="json") for one in given.kris]
    if given.treatment_plan is not None:
        found["treatment_plan"] = given.treatment_plan.model_dump(mode="json", exclude_none=True)
    if given.acceptance is not None:
        approver = given.acceptance.approved_by
        named = {"approved_by": str(approver)} if approver is not None else {}
        found["acceptance"] = {**named, "expires_at": instant_text(given.acceptance.expires_at)}
    return found
