"""Playbooks: what is run, and every input, gate, mark and basis of it; the versions, and what differs between them."""

from typing import Annotated, Any

import msgspec
import orjson
from fastapi import Query
from starlette.responses import Response

from api.calls import Call
from api.fields import JsonObject, Out
from api.lists import answer_page
from api.routing import declares, router
from api.shapes import shape_of
from app.answers import Page
from app.authentication import Principal
from app.database import Db
from app.playbooks import Stored, stored
from app.reading import read_page
from domain.differences import differences
from domain.glossary import ActionType, Mark, Phase, PlaybookStatus, Role, Severity, SlaKind

routes = router("Playbooks")


class PlaybookSummary(Out):
    """A playbook version in a list. `extends` is the base of a variant."""

    hash: str
    slug: str
    version: str
    status: PlaybookStatus
    title: str
    description: str
    extends: str | None
    primary_risk: str | None
    risks: list[str]
    severity_floor: Severity


class PlaybookSla(Out):
    """A step's time limit: `value` is an ISO 8601 duration, null where `kind` says it all."""

    kind: SlaKind
    value: str | None
    clock_start: str


class PlaybookAction(Out):
    """One action. `required_if` null means always; `source` is S, A or X, and `basis` says on what it rests.

    `approvals_from` are roles that each have to approve, for the outcomes of `approvals_when` or for all; `drafts` and
    `reviews` name the kind of notification whose draft, or whose approval, fulfils it; `kinds` those that a notifying
    action takes, all that fit where it is empty; `opens` is the playbook of the linked incident that it opens.
    """

    id: str
    position: int
    text: str
    type: ActionType
    source: Mark
    basis: str | None
    required_if: str | None
    outcomes: list[str]
    role: Role | None
    fills: list[str]
    inputs: list[JsonObject]
    closing: bool
    blocks_step: bool
    fulfilled_by: list[str] | None
    same_as: str | None
    approvals_from: list[Role]
    approvals_if: dict[str, str]
    approvals_when: list[str]
    never_alone: bool
    opens: JsonObject | None
    kinds: list[str]
    ahead_of_approval: JsonObject | None
    raises: list[str]
    drafts: str | None
    reviews: str | None
    restricts: str | None
    evidence_of: list[str]
    decides: str | None
    briefing: JsonObject | None
    briefing_on: dict[str, JsonObject]


class PlaybookStep(Out):
    """One step. The first of `owner_roles` is accountable; `owner_roles_if` holds roles that a condition adds."""

    id: str
    position: int
    phase: Phase
    title: str
    summary: str
    owner_roles: list[Role]
    owner_roles_if: dict[str, str]
    sla: PlaybookSla
    controls: list[str]
    controls_suggested: list[str]
    risk: str | None
    source: Mark
    actions: list[PlaybookAction]


class PlaybookGate(Out):
    """One gate: the operations it listens to (`when`) and the condition that lets them pass (`unless`).

    `enforced_by` names the part of the service that holds it where it is no condition. Without an `override_role`
    nobody overrides it, and the actions it names are never skipped.
    """

    id: str
    text: str
    message: str
    source: Mark
    basis: str | None
    when: list[JsonObject]
    unless: str | None
    enforced_by: str | None
    override_role: Role | None
    override_rule: str | None
    approver_role: Role | None
    names_actions: list[str]
    frees: JsonObject | None


class AddedParts(Out):
    """What a variant has beyond its base: ids of steps, actions, gates; roles and controls by step."""

    steps: list[str]
    actions: list[str]
    gates: list[str]
    roles: dict[str, list[Role]]
    roles_if: dict[str, dict[str, str]]
    controls: dict[str, list[str]]


class Playbook(PlaybookSummary):
    """A playbook version whole, a variant with all that it inherits.

    `satisfied` names the common actions left out and the action that does their work. `resolved` is the content that
    `hash` is taken of: SHA-256 of its canonical JSON (RFC 8785).
    """

    prefix: str
    extends_version: str | None
    added: AddedParts | None
    standards: list[str]
    standards_note: str | None
    sources: list[JsonObject]
    satisfied: dict[str, str]
    workflow: JsonObject | None
    steps: list[PlaybookStep]
    gates: list[PlaybookGate]
    resolved: JsonObject


class PlaybookPage(Out):
    """A page of playbook versions."""

    items: list[PlaybookSummary]
    next_cursor: str | None


class EditedMember(Out):
    """A member that reads differently."""

    member: str
    before: Any
    after: Any


class EditedPart(Out):
    """A step, action or gate that both versions have."""

    id: str
    members: list[EditedMember]


class PartDifferences(Out):
    """Ids that only the later or only the earlier one has, what both have but reads differently, what moved."""

    added: list[str]
    removed: list[str]
    edited: list[EditedPart]
    reordered: list[str]


class VersionName(Out):
    """One version."""

    slug: str
    version: str
    hash: str


class PlaybookDifferences(Out):
    """What `later` says otherwise than `earlier`."""

    earlier: VersionName
    later: VersionName
    is_same: bool
    header: list[EditedMember]
    steps: PartDifferences
    actions: PartDifferences
    gates: PartDifferences


Cursor = Annotated[str | None, Query(max_length=1_000)]
Limit = Annotated[int, Query(ge=1, le=200)]


@routes.get("/playbooks", **declares("playbook.read", answer=PlaybookPage))
async def page(call: Call, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """Every version of every playbook."""
    return await answer_page(call, "playbook.read", "playbook", PlaybookSummary, {}, cursor=cursor, limit=limit)


@routes.get("/playbooks/{slug}", **declares("playbook.read", answer=Playbook))
async def read(call: Call, slug: str) -> Response:
    """The newest version of a playbook, variants resolved."""
    return await _whole(call, slug)


@routes.get("/playbooks/{slug}/versions", **declares("playbook.read", answer=PlaybookPage))
async def versions(call: Call, slug: str, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """The versions of one playbook. One whose content was replaced before its release reads `superseded`."""

    async def query(db: Db, principal: Principal) -> Page | None:
        if await stored(db, slug) is None:
            return None
        shape, filters = shape_of(PlaybookSummary, "playbook"), {"slug": slug}
        return await read_page(db, "playbook", shape, filters, principal, call.vault, cursor=cursor, limit=limit)

    return await call.read("playbook.read", query)


@routes.get("/playbooks/{slug}/versions/{version}", **declares("playbook.read", answer=Playbook))
async def read_version(call: Call, slug: str, version: str) -> Response:
    """One version of a playbook."""
    return await _whole(call, slug, version)


@routes.get(
    "/playbooks/{slug}/versions/{version}/differences/{later}",
    **declares("playbook.read", answer=PlaybookDifferences),
)
async def differ(call: Call, slug: str, version: str, later: str) -> Response:
    """What changed from one version of a playbook to another."""

    async def query(db: Db, principal: Principal) -> bytes | None:
        before, after = await stored(db, slug, version), await stored(db, slug, later)
        if before is None or after is None:
            return None
        found = msgspec.to_builtins(differences(before.playbook, after.playbook))
        return orjson.dumps({"earlier": _name(before), "later": _name(after), **found})

    return await call.read("playbook.read", query)


def _name(one: Stored) -> dict[str, str]:
    return {"slug": one.playbook.slug, "version": one.playbook.version, "hash": one.playbook.hash}


async def _whole(call: Call, slug: str, version: str | None = None) -> Response:
    async def query(db: Db, principal: Principal) -> str | None:
        found = await stored(db, slug, version)
        if found is None:
            return None
        told = {**found.playbook.spelled_out(), "resolved": found.playbook.resolved()}
        whole = Playbook.model_validate({**told, "status": found.status}, extra="ignore")
        return whole.model_dump_json()

    return await call.read("playbook.read", query)
