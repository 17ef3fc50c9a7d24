"""The register of AI tools: request, assess against the vendor checklist, decide; hidden from client-limited keys."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Query
from pydantic import Field, StringConstraints
from starlette.responses import Response

from api.calls import Call
from api.fields import In, Instant, JsonObject, Name, Out, Reason, Text
from api.routing import declares, router
from api.shapes import shape_of
from api.showing import inside, listed, shown
from app.answers import Answer
from app.authentication import Principal
from app.database import Db
from app.reading import read_matching
from app.rights import require_inside
from app.tools import ToolRequest, assess_tool, change_tool, decide_proposed, decide_tool, request_tool
from domain.timeline import instant_text

routes = router("AI tools")

ToolStatus = Literal["requested", "under_review", "approved", "conditional", "blocked", "retired"]
AssessmentStatus = Literal["draft", "complete", "decided", "expired"]
Outcome = Literal["approve", "conditional", "block", "retire"]
DecisionStatus = Literal["proposed", "effective", "rejected"]
Host = Annotated[
    str,
    StringConstraints(
        to_lower=True, max_length=253, pattern=r"^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9-]{2,63}$"
    ),
]
ExtensionId = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^\S+$")]
Slug = Annotated[str, StringConstraints(max_length=60, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
CheckId = Annotated[str, StringConstraints(max_length=10)]
Sentence = Annotated[str, StringConstraints(min_length=1, max_length=400)]
Hosts = Annotated[list[Host], Field(max_length=50)]
ExtensionIds = Annotated[list[ExtensionId], Field(max_length=50)]
Sentences = Annotated[list[Sentence], Field(max_length=50)]


class ToolSummary(Out):
    """A tool as lists show one. What a status means beside its name is in the columns of its artifact: approved uses
    and data classes, conditions of the acceptable use policy, or blocked domains with what IT was asked and confirmed.
    """

    id: UUID
    version: int
    name: str
    vendor: str | None
    status: ToolStatus
    domains: list[str]
    extension_ids: list[str]
    service: str | None
    owner_id: UUID | None
    intended_use: str | None
    approved_uses: list[str]
    approved_data_classes: list[str]
    conditions: list[str]
    conditions_from: date | None
    acknowledgement_required: bool
    blocked_domains: list[str]
    blocked_extension_ids: list[str]
    block_requested_at: datetime | None
    block_confirmed_at: datetime | None
    review_due_at: datetime | None
    review_overdue_at: datetime | None
    report_type: str | None
    report_period_start: date | None
    report_period_end: date | None
    requested_by_kind: str
    requested_by_id: UUID
    created_at: datetime
    updated_at: datetime


class ToolAssessment(Out):
    """One run through the vendor checklist: answers by check, and the outcome that they suggest with its reasons."""

    id: UUID
    tool_id: UUID
    status: AssessmentStatus
    answers: JsonObject
    personal_data: bool | None
    suggested: JsonObject | None
    incident_id: UUID | None
    started_by: UUID | None
    started_at: datetime
    completed_at: datetime | None
    decided_at: datetime | None


class ToolDecision(Out):
    """A change of a tool's status, decided or proposed: the change record, with who approved it and its artifact."""

    id: UUID
    tool_id: UUID
    tool_name: str
    assessment_id: UUID | None
    incident_id: UUID | None
    action_id: str | None
    outcome: Outcome
    status: DecisionStatus
    reason: str
    status_before: ToolStatus
    status_after: ToolStatus
    suggested: str | None
    artifact: JsonObject | None
    approvals: list[JsonObject]
    proposed_by: UUID | None
    proposed_at: datetime
    decided_at: datetime | None
    rejection: JsonObject | None


class Tool(ToolSummary):
    """A tool with its assessments and decisions, newest first."""

    assessments: list[ToolAssessment]
    decisions: list[ToolDecision]


class ToolPage(Out):
    """A page of the register."""

    items: list[ToolSummary]
    next_cursor: str | None


class ToolDecisionPage(Out):
    """A page of decisions on tools, newest first."""

    items: list[ToolDecision]
    next_cursor: str | None


class ToolIn(In):
    """A tool that somebody wants to use. `service` names an entry of the directory of AI services, which fills in what
    it knows."""

    name: Name
    vendor: Name | None = None
    domains: Hosts = Field(default_factory=list)
    extension_ids: ExtensionIds = Field(default_factory=list)
    service: Slug | None = None
    owner_id: UUID | None = None
    intended_use: Text | None = None


class ToolEdit(In):
    """What to change; members that are absent stay. The status changes by decisions alone."""

    name: Name = Field(default="")
    vendor: Name | None = None
    domains: Hosts = Field(default_factory=list)
    extension_ids: ExtensionIds = Field(default_factory=list)
    service: Slug | None = None
    owner_id: UUID | None = None
    intended_use: Text | None = None


class AssessmentEdit(In):
    """Answers by check, each as the checklist describes it; checks that are absent stay. `personal_data`: whether
    personal data is in scope of the use, null for unknown."""

    answers: Annotated[dict[CheckId, JsonObject], Field(default_factory=dict, max_length=20)]
    personal_data: Annotated[bool, Field(strict=True)] | None = None


class DecisionIn(In):
    """A decision with what its outcome needs: `approve` an owner, uses and data classes (and a second person);
    `conditional` its conditions (two standing ones by default); `block` the domains or extension ids (those of the tool
    by default). `retire` needs nothing."""

    outcome: Outcome
    reason: Reason
    owner_id: UUID | None = None
    approved_uses: Sentences | None = None
    approved_data_classes: Sentences | None = None
    review_due_at: Instant | None = None
    conditions: Sentences | None = None
    conditions_from: date | None = None
    acknowledgement_required: Annotated[bool, Field(strict=True)] | None = None
    blocked_domains: Hosts | None = None
    blocked_extension_ids: ExtensionIds | None = None
    block_requested_at: Instant | None = None
    block_confirmed_at: Instant | None = None


class DecisionTransition(In):
    """Approve a proposal as its second person, reject it, or confirm that a block is in place (`occurred_at`: since
    when)."""

    transition: Literal["approve", "reject", "confirm_block"]
    reason: Reason | None = None
    occurred_at: Instant | None = None


@routes.get("/tools", **declares("tool.read", answer=ToolPage))
async def page(
    call: Call,
    status: Annotated[list[ToolStatus] | None, Query(max_length=6)] = None,
    vendor: Annotated[str | None, Query(max_length=200)] = None,
    owner: UUID | None = None,
    domain: Annotated[str | None, Query(max_length=253)] = None,
    review_due_before: Instant | None = None,
    q: Annotated[str | None, Query(max_length=200)] = None,
    cursor: Annotated[str | None, Query(max_length=1_000)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """The register by name. CSV by `Accept`."""
    filters = {
        "status": status,
        "vendor": vendor,
        "owner": owner,
        "domain": domain,
        "review_due_before": review_due_before,
        "q": q,
    }
    return await listed(call, "tool.read", "tool", ToolSummary, filters, cursor=cursor, limit=limit, narrow=inside)


@routes.post("/tools", **declares("tool.request", answer=Tool, status=201, refuses=[409]))
async def add(call: Call, given: ToolIn) -> Response:
    """Ask for a tool. 409 `tool-exists` names the entry when the register has one of this name."""

    async def work(db: Db, principal: Principal) -> Answer:
        id = await request_tool(db, principal, ToolRequest(**given.model_dump()))
        return await shown(db, principal, "tool", Tool, id, status=201, location=f"/v1/tools/{id}")

    return await call.write("tool.request", work)


@routes.get("/tools/{id}", **declares("tool.read", answer=Tool))
async def read(call: Call, id: UUID) -> Response:
    """One tool with its assessments and decisions."""

    async def query(db: Db, principal: Principal) -> Answer:
        require_inside(principal)
        return await shown(db, principal, "tool", Tool, id)

    return await call.read("tool.read", query)


@routes.patch("/tools/{id}", **declares("tool.assess", answer=Tool, refuses=[409, 412]))
async def edit(call: Call, id: UUID, given: ToolEdit) -> Response:
    """Change what a tool is called and where it is reached; open incidents that name it are looked at again."""

    async def work(db: Db, principal: Principal) -> Answer:
        await change_tool(db, principal, id, given.model_dump(exclude_unset=True), call.if_match)
        return await shown(db, principal, "tool", Tool, id)

    return await call.write("tool.assess", work)


@routes.patch("/tools/{id}/assessment", **declares("tool.assess", answer=ToolAssessment, refuses=[409]))
async def assess(call: Call, id: UUID, given: AssessmentEdit) -> Response:
    """Answer checks of the open assessment; a new one begins where none is open, and a request is then under review."""

    async def work(db: Db, principal: Principal) -> Answer:
        scope = given.model_dump(exclude_unset=True, exclude={"answers"})
        made = await assess_tool(db, principal, id, given.answers, scope)
        return await shown(db, principal, "tool_assessment", ToolAssessment, made)

    return await call.write("tool.assess", work)


@routes.post("/tools/{id}/decisions", **declares("tool.decide", answer=ToolDecision, status=201, refuses=[409]))
async def decide(call: Call, id: UUID, given: DecisionIn) -> Response:
    """Decide on a tool. `approve` waits as `proposed` for a second person with the other of the two roles, and is
    refused (G-SA-2) while a mandatory check fails."""

    async def work(db: Db, principal: Principal) -> Answer:
        made = await decide_tool(db, principal, id, given.outcome, given.reason, _members(given))
        location = f"/v1/tools/{id}/decisions/{made}"
        return await shown(db, principal, "tool_decision", ToolDecision, made, status=201, location=location)

    return await call.write("tool.decide", work)


@routes.get("/tools/{id}/decisions/{decision_id}", **declares("tool.read", answer=ToolDecision))
async def read_decision(call: Call, id: UUID, decision_id: UUID) -> Response:
    """One decision."""

    async def query(db: Db, principal: Principal) -> str | None:
        require_inside(principal)
        filters = {"tool": id, "id": decision_id}
        return await read_matching(db, "tool_decision", shape_of(ToolDecision, "tool_decision"), filters, principal)

    return await call.read("tool.read", query)


@routes.post(
    "/tools/{id}/decisions/{decision_id}/transitions", **declares("tool.decide", answer=ToolDecision, refuses=[409])
)
async def transition(call: Call, id: UUID, decision_id: UUID, given: DecisionTransition) -> Response:
    """Approve or reject a proposal, or confirm a block."""

    async def work(db: Db, principal: Principal) -> Answer:
        await decide_proposed(db, principal, id, decision_id, given.transition, given.reason, given.occurred_at)
        return await shown(db, principal, "tool_decision", ToolDecision, decision_id)

    return await call.write("tool.decide", work)


@routes.get("/tool-decisions", **declares("tool.read", answer=ToolDecisionPage))
async def decisions(
    call: Call,
    outcome: Annotated[list[Outcome] | None, Query(max_length=4)] = None,
    status: Annotated[list[DecisionStatus] | None, Query(max_length=3)] = None,
    tool: UUID | None = None,
    incident: UUID | None = None,
    decided_from: Instant | None = None,
    decided_to: Instant | None = None,
    cursor: Annotated[str | None, Query(max_length=1_000)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Every decision on a tool, newest first: the population for CC8.1 and CC9.2. The period is half-open. CSV by
    `Accept`."""
    filters = {
        "outcome": outcome,
        "status": status,
        "tool": tool,
        "incident": incident,
        "decided_from": decided_from,
        "decided_to": decided_to,
    }
    return await listed(
        call, "tool.read", "tool_decision", ToolDecision, filters, cursor=cursor, limit=limit, narrow=inside
    )


def _members(given: DecisionIn) -> dict[str, Any]:
    """The columns of the artifact that were sent, as the JSON that is kept."""
    members = given.model_dump(mode="json", exclude={"outcome", "reason"}, exclude_none=True)
    for name in ("review_due_at", "block_requested_at", "block_confirmed_at"):
        instant = getattr(given, name)
        if instant is not None:
            members[name] = instant_text(instant)
    return members
