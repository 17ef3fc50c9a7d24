"""What a transition would answer: the one judgement behind `allowed_transitions` and behind the refusal itself.

A verdict holds nothing that depends on the clock or on the caller: the part about persons is stored as conditions
(`any_role`, `only_persons`, `not_persons`) and matched against whoever reads or asks.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any
from uuid import UUID

from msgspec import Raw, Struct, field, json

from domain.actors import Actor
from domain.record import UNOFFERED
from domain.refusals import Conflict, Forbidden, GateRefused, Missing

SEGREGATION = "G-ALL-11"


class Verdict(Struct, kw_only=True, omit_defaults=True):
    """`permit` is `state` (not in this state), `gate` (a rule stands against it) or `allowed` (persons apart)."""

    transition: str
    permit: str
    gate: str | None = None
    message: str | None = None
    missing: list[Missing] = field(default_factory=list)
    any_role: list[str] = field(default_factory=list)
    only_persons: list[UUID] = field(default_factory=list)
    not_persons: list[UUID] = field(default_factory=list)
    needs_person: bool = False


class Who(Struct, frozen=True):
    """Who may do something: holders of any of `roles`, and `persons` by name."""

    roles: frozenset[str] = frozenset()
    persons: frozenset[UUID] = frozenset()


def verdict(
    transition: str,
    who: Who,
    *,
    state: str | None = None,
    gate: tuple[str, str, Iterable[Missing]] | None = None,
    not_persons: Collection[UUID | None] = (),
    needs_person: bool = True,
) -> Verdict:
    """Judge `transition`: `state` is a sentence why the state forbids it, `gate` is (id, message, what is missing)."""
    made = Verdict(
        transition=transition,
        permit="allowed",
        any_role=sorted(who.roles),
        only_persons=sorted(who.persons) if who.persons else [],
        not_persons=sorted({p for p in not_persons if p is not None}) if not_persons else [],
        needs_person=needs_person,
    )
    if state is not None:
        made.permit, made.message = "state", state
    elif gate is not None:
        made.permit, made.gate, made.message, made.missing = "gate", gate[0], gate[1], list(gate[2])
    return made


def stored(verdicts: Collection[Verdict]) -> Raw:
    """Verdicts as they are kept with what they are about.

    As JSON, since nothing decides by them; framed to the last blank as `app/offers.py` looks for them, which finds
    where they begin and end without parsing the answer around them.
    """
    return Raw(b'{"@": %b, "@@": 0}' % json.encode(verdicts)) if verdicts else UNOFFERED


def eligible(judged: Verdict, actor: Actor) -> bool:
    """Whether such a caller may do it at all: by role or by name, and as a person where one is needed."""
    if actor.kind == "system":
        return True
    if judged.needs_person and actor.kind != "person":
        return False
    return bool(actor.roles.intersection(judged.any_role)) or actor.id in judged.only_persons


def matches(judged: Verdict, actor: Actor) -> bool:
    """Whether the person part of the verdict lets this actor through, four eyes included."""
    return eligible(judged, actor) and not (actor.kind == "person" and actor.id in judged.not_persons)


def shown(judged: Verdict, actor: Actor) -> dict[str, Any]:
    """A verdict as this caller sees it: who may at all speaks first, then the state, four eyes, and the gate."""
    permit = judged.permit
    if not eligible(judged, actor) or (permit != "state" and not matches(judged, actor)):
        return {"transition": judged.transition, "permit": "person", "gate": None, "message": None, "missing": []}
    missing = [{"kind": m.kind, "ref": m.ref, "message": m.message, "href": m.href} for m in judged.missing]
    told = {"gate": judged.gate, "message": judged.message, "missing": missing}
    return {"transition": judged.transition, "permit": permit, **told}


def enforce(judged: Verdict, actor: Actor, current: Mapping[str, Any]) -> None:
    """Let the operation pass, or raise the refusal that the verdict stands for.

    Raises Forbidden for the wrong caller, Conflict for the wrong state, GateRefused for a gate, four eyes included.
    """
    if judged.needs_person and actor.kind == "service_account":
        raise Forbidden("Only a person can do this: use the personal key of somebody who holds the role.")
    if not eligible(judged, actor):
        roles = ", ".join(judged.any_role) or "a named person"
        raise Forbidden(f"Your roles do not allow {judged.transition} here. It takes: {roles}.")
    if judged.permit == "state":
        raise Conflict(judged.message or "This is not possible in this state.", current=current)
    if not matches(judged, actor):
        raise GateRefused(
            f"Somebody else has to {judged.transition} here: segregation of duties compares persons, not keys.",
            gate=SEGREGATION,
            missing=[Missing("person", judged.transition, "Another person than you with the role has to do it.")],
            current=current,
        )
    if judged.permit == "gate":
        raise GateRefused(
            judged.message or "A gate refuses this.", gate=judged.gate, missing=judged.missing, current=current
        )
