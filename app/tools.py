"""The register of AI tools: requested by members, assessed against the vendor checklist, decided by those who may."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from msgspec import Struct, field

from app.authentication import Principal, lifted
from app.database import Db
from app.directory import directory
from app.ids import new_id
from app.rights import require, require_inside
from app.rows import check_version
from app.tool_entries import find_tool, lock_tools, save_tool
from domain.ai_services import service
from domain.refusals import Conflict, InputError, Invalid, NotFound
from domain.tool_decisions import Choice, approve, confirm_block, decide, reject
from domain.tools import Decision, Entry, Tool, answer_checks, judge_assessment, name_key, open_assessment

_SEEN = "SELECT id FROM tools WHERE tenant_id = $1 AND id = $2"
_ACTIVE = """
SELECT id FROM people WHERE tenant_id = $1 AND id = $2 AND kind = 'internal' AND active
AND (expires_at IS NULL OR expires_at > now())
"""


class ToolExists(Conflict):
    """The register has this tool already: `current` names it."""

    code = "tool-exists"


class ToolRequest(Struct, frozen=True, kw_only=True):
    """A tool as it is asked for. `service` is a slug of the directory of AI services."""

    name: str
    vendor: str | None = None
    domains: list[str] = field(default_factory=list)
    extension_ids: list[str] = field(default_factory=list)
    service: str | None = None
    owner_id: UUID | None = None
    intended_use: str | None = None


async def request_tool(db: Db, principal: Principal, given: ToolRequest) -> UUID:
    """Put a tool on the register as `requested`; its id. What the directory knows of its service is filled in.

    Raises ToolExists when the register has one of this name, Invalid for an owner or service that there is not.
    """
    require(principal, "tool.request")
    require_inside(principal)
    now = datetime.now(UTC)
    known = service(given.service)
    await _check_owner(db, given.owner_id)
    async with lifted(db, principal):
        taken = await find_tool(db, given.name, "")
        if taken is not None:
            raise ToolExists(f"The register has {given.name} already.", current={"id": str(taken)})
        tool = Tool(
            id=new_id(),
            name=" ".join(given.name.split()),
            name_key=name_key(given.name),
            vendor=given.vendor or (known.vendor if known else None),
            domains=given.domains or (list(known.domains) if known else []),
            extension_ids=given.extension_ids,
            service=given.service,
            owner_id=given.owner_id,
            intended_use=given.intended_use,
            requested_by_kind=principal.kind,
            requested_by_id=principal.id,
            created_at=now,
            updated_at=now,
        )
        await save_tool(db, None, Entry(tool=tool), [("tool.requested", {"name": tool.name})], principal.actor, now)
    return tool.id


async def change_tool(
    db: Db, principal: Principal, tool_id: UUID, given: Mapping[str, Any], if_match: str | None
) -> None:
    """Change what a tool is called and where it is reached. Its status changes by decisions alone.

    Raises NotFound, Forbidden, ToolExists, Invalid and Conflict.
    """
    require(principal, "tool.assess")
    require_inside(principal)
    entry, before = await _open(db, principal, tool_id)
    check_version(if_match, entry.tool.version)
    service(given.get("service"))
    await _check_owner(db, given.get("owner_id"))
    if "name" in given and name_key(given["name"]) != entry.tool.name_key:
        taken = await find_tool(db, given["name"], "")
        if taken is not None and taken != tool_id:
            raise ToolExists(f"The register has {given['name']} already.", current={"id": str(taken)})
        entry.tool.name_key = name_key(given["name"])
    for name, value in given.items():
        setattr(entry.tool, name, value)
    if entry == before:
        return
    async with lifted(db, principal):
        told = [("tool.changed", {"fields": sorted(given)})]
        await save_tool(db, before, entry, told, principal.actor, datetime.now(UTC))


async def assess_tool(
    db: Db, principal: Principal, tool_id: UUID, answers: Mapping[str, Any], given: Mapping[str, Any]
) -> UUID:
    """Answer checks of the open assessment of a tool, starting one where none is open; the id of the assessment.

    `given` may hold `personal_data` (whether personal data is in scope, null for unknown). A tool that was requested is
    then under review. Raises NotFound, Forbidden and Invalid.
    """
    require(principal, "tool.assess")
    require_inside(principal)
    entry, before = await _open(db, principal, tool_id)
    if entry.tool.status == "retired":
        raise Conflict(f"{entry.tool.name} is retired.", current={"status": "retired"})
    now = datetime.now(UTC)
    assessment = open_assessment(entry, now, new_id(), principal.person_id, None)
    if "personal_data" in given:
        assessment.personal_data = given["personal_data"]
    answer_checks(entry, assessment, answers, now, principal.id)
    judge_assessment(assessment, now)
    told = {"assessment_id": str(assessment.id), "what": sorted(answers)}
    async with lifted(db, principal):
        await save_tool(db, before, entry, [("tool.assessed", told)], principal.actor, now)
    return assessment.id


async def decide_tool(
    db: Db, principal: Principal, tool_id: UUID, outcome: str, reason: str, members: Mapping[str, Any]
) -> UUID:
    """Decide on a tool, or propose `approve` to the second person; the id of the decision.

    Raises what `domain.tool_decisions.decide` raises, and NotFound.
    """
    require(principal, "tool.decide")
    require_inside(principal)
    entry, before = await _open(db, principal, tool_id)
    await _check_owner(db, members.get("owner_id"))
    now = datetime.now(UTC)
    choice = Choice(outcome=outcome, reason=reason, members=members)
    decision = decide(entry, choice, principal.actor, now, new_id())
    kind = "tool.decided" if decision.status == "effective" else "tool.decision_proposed"
    await _save_decision(db, principal, before, entry, decision, kind, now)
    return decision.id


async def decide_proposed(
    db: Db,
    principal: Principal,
    tool_id: UUID,
    decision_id: UUID,
    transition: str,
    reason: str | None,
    occurred_at: datetime | None,
) -> None:
    """Approve or reject a proposal, or confirm that a block is in place. Raises as its rules do, and NotFound."""
    require(principal, "tool.decide")
    require_inside(principal)
    entry, before = await _open(db, principal, tool_id)
    decision = entry.decisions.get(str(decision_id))
    if decision is None:
        raise NotFound
    now = datetime.now(UTC)
    if transition == "approve":
        about = await directory(db, principal)
        approve(entry, decision, principal.actor, about.people, reason, now)
        kind = "tool.decided"
    elif transition == "reject":
        reject(decision, principal.actor, _reason(reason), now)
        kind = "tool.decision_rejected"
    else:
        confirm_block(entry, decision, _past(occurred_at, now))
        kind = "tool.block_confirmed"
    await _save_decision(db, principal, before, entry, decision, kind, now)


async def _save_decision(
    db: Db, principal: Principal, before: Entry, entry: Entry, decision: Decision, kind: str, now: datetime
) -> None:
    told = {"decision_id": str(decision.id), "outcome": decision.outcome, "suggested": decision.suggested}
    async with lifted(db, principal):
        await save_tool(db, before, entry, [(kind, told)], principal.actor, now)


async def _open(db: Db, principal: Principal, tool_id: UUID) -> tuple[Entry, Entry]:
    """Lock one tool that the caller may see, whole: the copy to change and the one to compare with. Raises NotFound."""
    if await db.value(_SEEN, db.tenant_id, tool_id) is None:
        raise NotFound
    async with lifted(db, principal):
        return (await lock_tools(db, [tool_id]))[tool_id]


async def _check_owner(db: Db, owner_id: UUID | str | None) -> None:
    if owner_id is not None and await db.value(_ACTIVE, db.tenant_id, UUID(str(owner_id))) is None:
        raise _fault("/owner_id", "names no active person")


def _reason(given: str | None) -> str:
    if given is None:
        raise _fault("/reason", "says why it is rejected")
    return given


def _past(given: datetime | None, now: datetime) -> datetime:
    if given is not None and given > now:
        raise _fault("/occurred_at", "lies in the future")
    return given or now


def _fault(pointer: str, reason: str) -> Invalid:
    return Invalid(f"{pointer} {reason}.", errors=[InputError(pointer, reason)])
