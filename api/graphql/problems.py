"""Refusals as types: each mutation answers a union of its success and these, all of which implement Problem."""

from typing import Any

import strawberry

from api.graphql.objects import Missing
from api.graphql.scalars import JSON
from app.idempotency import InFlight, KeyReused
from domain.refusals import Conflict, Forbidden, GateRefused, Invalid, NotFound, Refusal


@strawberry.interface(name="Problem", description="Why nothing was changed. New kinds may come; these fields stay.")
class Problem:
    """What every refusal tells."""

    code: str = strawberry.field(description="A stable word, as in REST; /problems/<code> explains it.")
    message: str = strawberry.field(description="What was refused and what to do.")
    requestId: str = strawberry.field(name="requestId", description="What to name when asking about it.")


@strawberry.type(description="One fault of the input: a JSON pointer into it, and what is wrong there.")
class Fault:
    """An entry of `errors`."""

    pointer: str = strawberry.field(description="Where in the input.")
    reason: str = strawberry.field(description="What is wrong there.")


@strawberry.type(name="GateRefused", description="A gate of the playbook refuses it; the refusal is on the timeline.")
class GateRefusal(Problem):
    """With the gate and what it wants first."""

    gate: str | None = strawberry.field(description="The gate.")
    missing: list[Missing] = strawberry.field(description="What has to be supplied first.")
    current: JSON | None = strawberry.field(description="Status and version of what was to be changed.")


@strawberry.type(name="StateConflict", description="Not possible in this state, or not of this version.")
class StateRefusal(Problem):
    """With the present state."""

    current: JSON | None = strawberry.field(description="Status and version of what was to be changed.")
    missing: list[Missing] = strawberry.field(description="What has to be supplied first.")


@strawberry.type(name="Forbidden", description="The caller's roles do not allow it.")
class ForbiddenRefusal(Problem):
    """Who may is in the permission table."""


@strawberry.type(name="NotFound", description="Nothing there that the caller can see.")
class NotFoundRefusal(Problem):
    """Also for what exists and is none of the caller's business."""


@strawberry.type(name="InvalidInput", description="The input cannot be right whatever the state is.")
class InvalidRefusal(Problem):
    """With its faults."""

    errors: list[Fault] = strawberry.field(description="Each fault.")


@strawberry.type(name="IdempotencyConflict", description="The key answered another request, or its request is running.")
class IdempotencyRefusal(Problem):
    """Use another key, or repeat in a moment."""


REFUSALS = (GateRefusal, StateRefusal, ForbiddenRefusal, NotFoundRefusal, InvalidRefusal, IdempotencyRefusal)


def problem_of(refusal: Refusal, request_id: str) -> Any:
    """The refusal as the member of the union that it is."""
    common = {"code": refusal.code, "message": refusal.detail, "requestId": request_id}
    missing = [Missing(kind=m.kind, ref=m.ref, message=m.message, href=m.href) for m in refusal.missing]
    if isinstance(refusal, KeyReused | InFlight):
        return IdempotencyRefusal(**common)
    if isinstance(refusal, GateRefused):
        return GateRefusal(**common, gate=refusal.gate, missing=missing, current=refusal.current)  # type: ignore[arg-type]
    if isinstance(refusal, Conflict):
        return StateRefusal(**common, current=refusal.current, missing=missing)  # type: ignore[arg-type]
    if isinstance(refusal, Forbidden):
        return ForbiddenRefusal(**common)
    if isinstance(refusal, NotFound):
        return NotFoundRefusal(**common)
    assert isinstance(refusal, Invalid)
    return InvalidRefusal(**common, errors=[Fault(pointer=e.pointer, reason=e.reason) for e in refusal.errors])
