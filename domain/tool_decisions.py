"""Deciding on a tool of the register: one person for `conditional`, `block` and `retire`, two for `approve`.

The two persons hold `it_security` and `risk_owner` between them, and neither acts for the other (rule C13: nobody ever
approves a tool alone).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct, structs

from domain.actors import Actor
from domain.changes import Person
from domain.refusals import Conflict, Forbidden, GateRefused, InputError, Invalid, Missing
from domain.relations import with_stand_ins
from domain.schemas import check_schema
from domain.timeline import instant_text
from domain.tools import (
    APPROVERS,
    MEMBERS,
    STATUS_OF,
    Decision,
    Entry,
    check_outcome,
    member_fault,
    missing_of_artifact,
    take_effect,
    write_member,
)
from domain.verdicts import SEGREGATION

Json = Any
OTHERWISE_AT_LEAST = 20  # characters of a reason to decide otherwise than the checklist suggests


class Choice(Struct, frozen=True, kw_only=True):
    """A decision as asked for. `members` are columns of the artifact as JSON values."""

    outcome: str
    reason: str
    members: Mapping[str, Json]


def decide(entry: Entry, choice: Choice, actor: Actor, at: datetime, id: UUID) -> Decision:
    """Take a decision, or propose it where it takes a second person. Its artifact has to be whole.

    Raises Forbidden, GateRefused (G-SA-2), Conflict for a tool that has that status or a proposal already, and Invalid
    for what the artifact lacks.
    """
    _require_decider(actor)
    waiting = next((d for d in entry.decisions.values() if d.status == "proposed"), None)
    if waiting is not None:
        text = "A decision on this tool waits for its second person: approve or reject that one first."
        raise Conflict(text, current={"status": entry.tool.status, "decision_id": str(waiting.id)})
    if choice.outcome == "retire" and entry.tool.status == "retired":
        raise Conflict(f"{entry.tool.name} is retired already.", current={"status": "retired"})
    _check_members(entry, choice, at)
    check_outcome(entry, choice.outcome, at)
    assessment = entry.assessment
    suggested = (assessment.suggested or {}).get("outcome") if assessment is not None else None
    if suggested not in (None, choice.outcome) and len(choice.reason.strip()) < OTHERWISE_AT_LEAST:
        text = f"says in {OTHERWISE_AT_LEAST} or more characters why: the checklist suggests {suggested}"
        raise Invalid(f"/reason {text}.", errors=[InputError("/reason", text)])
    decision = Decision(
        id=id,
        assessment_id=assessment.id if assessment is not None else None,
        outcome=choice.outcome,
        status="proposed",
        reason=choice.reason.strip(),
        status_before=entry.tool.status,
        status_after=STATUS_OF[choice.outcome],
        suggested=suggested,
        artifact=dict(choice.members),
        approvals=[_approval(actor, _held(actor.roles)[0], None, at)],
        proposed_by=actor.id,
        proposed_at=at,
    )
    entry.decisions[str(id)] = decision
    if choice.outcome != "approve":
        _carry_out(entry, decision, at)
    else:
        _check_whole_later(entry, choice)
    return decision


def approve(
    entry: Entry, decision: Decision, actor: Actor, people: Mapping[UUID, Person], note: str | None, at: datetime
) -> None:
    """Give the second approval of a proposal, which then takes effect.

    Raises Conflict unless it is proposed, Forbidden without the other role, GateRefused for the same person or one who
    could act for it (G-ALL-11), and for checks that fail by now (G-SA-2).
    """
    _require_proposed(decision)
    _require_decider(actor)
    first = UUID(decision.approvals[0]["person_id"])
    if actor.id in with_stand_ins(people, [first]):
        text = "Another person than the one who proposed it approves a tool; nobody does it alone."
        raise GateRefused(text, gate=SEGREGATION, missing=[Missing("person", "approve", text)])
    known = people.get(first)
    theirs = _held(known.roles if known is not None else ())
    pair = next(((a, b) for a in theirs for b in _held(actor.roles) if a != b), None)
    if pair is None:
        raise Forbidden(f"`approve` takes {' and '.join(APPROVERS)}: two persons who hold one each.")
    check_outcome(entry, decision.outcome, at)
    decision.approvals = [{**decision.approvals[0], "role": pair[0]}, _approval(actor, pair[1], note, at)]
    _carry_out(entry, decision, at)


def reject(decision: Decision, actor: Actor, reason: str, at: datetime) -> None:
    """Reject a proposal. Raises Conflict unless it is proposed, Forbidden for who could not decide."""
    _require_proposed(decision)
    _require_decider(actor)
    decision.status = "rejected"
    decision.rejection = {"person_id": str(actor.id), "reason": reason, "at": instant_text(at)}


def confirm_block(entry: Entry, decision: Decision, at: datetime) -> None:
    """Note when IT confirmed that the domains are blocked. Raises Conflict where no block is in force."""
    tool = entry.tool
    if decision.outcome != "block" or decision.status != "effective" or tool.status != "blocked":
        raise Conflict("Only a block that is in force is confirmed.", current={"status": tool.status})
    if tool.block_requested_at is None or at < tool.block_requested_at:
        text = "lies before the block was requested"
        raise Invalid(f"/occurred_at {text}.", errors=[InputError("/occurred_at", text)])
    tool.block_confirmed_at = at
    decision.artifact = {**(decision.artifact or {}), "block_confirmed_at": instant_text(at)}


def _carry_out(entry: Entry, decision: Decision, at: datetime) -> None:
    members = dict(decision.artifact or {})
    if decision.outcome == "block":
        members.setdefault("block_requested_at", instant_text(at))
    take_effect(entry, decision, members, at)
    _check_whole(missing_of_artifact(entry.tool, decision.outcome))
    check_outcome(entry, decision.outcome, at)  # approved data classes may bring personal data into scope


def _check_members(entry: Entry, choice: Choice, at: datetime) -> None:
    """Each part of the artifact fits its schema, and instants can be."""
    for name, value in choice.members.items():
        check_schema(MEMBERS[name], value, f"/{name}")
    tried = structs.replace(entry.tool)
    for name, value in choice.members.items():
        write_member(tried, name, value)
    for name in choice.members:
        if fault := member_fault(tried, name, at):
            raise Invalid(f"/{name} {fault}.", errors=[InputError(f"/{name}", fault)])


def _check_whole_later(entry: Entry, choice: Choice) -> None:
    """A proposal names what its artifact needs, or stands on what the tool has already."""
    names = ("owner_id", "approved_uses", "approved_data_classes")
    _check_whole([name for name in names if not choice.members.get(name) and not getattr(entry.tool, name)])


def _check_whole(lacking: list[str]) -> None:
    if lacking:
        faults = [InputError(f"/{name}", "is needed for this outcome") for name in lacking]
        raise Invalid(f"{faults[0].pointer} {faults[0].reason}.", errors=faults)


def _require_decider(actor: Actor) -> None:
    if actor.kind != "person" or not _held(actor.roles):
        raise Forbidden(f"A tool is decided on by a person who holds {' or '.join(APPROVERS)}.")


def _require_proposed(decision: Decision) -> None:
    if decision.status != "proposed":
        raise Conflict(f"This decision is {decision.status}.", current={"status": decision.status})


def _held(roles: Any) -> list[str]:
    return [role for role in APPROVERS if role in roles]


def _approval(actor: Actor, role: str, note: str | None, at: datetime) -> dict[str, Any]:
    return {"person_id": str(actor.id), "role": role, "note": note, "at": instant_text(at)}
