"""Differences of two playbooks: two versions of one, or two that have little in common."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from domain.playbooks import Playbook

PLACED = frozenset({"position", "actions"})
"""Members that say where a part stands: shifted by every part put before it, so `reordered` tells it instead."""


class Edited(Struct, frozen=True):
    """One member that reads differently."""

    member: str
    before: Any
    after: Any


class EditedPart(Struct, frozen=True):
    """A step, action or gate that both have and that reads differently."""

    id: str
    members: list[Edited]


class Parts(Struct, frozen=True):
    """Parts of one kind: ids that only one side has, what both have but reads differently, ids that changed places."""

    added: list[str]
    removed: list[str]
    edited: list[EditedPart]
    reordered: list[str]


class Differences(Struct, frozen=True):
    """What the later playbook says otherwise than the earlier one."""

    is_same: bool
    header: list[Edited]
    steps: Parts
    actions: Parts
    gates: Parts


def differences(earlier: Playbook, later: Playbook) -> Differences:
    """What changed from `earlier` to `later`. Equal content has equal hashes and no difference."""
    before, after = earlier.spelled_out(), later.spelled_out()
    of_steps = _parts(before["steps"], after["steps"])
    of_actions = _parts(_actions(before), _actions(after))
    of_gates = _parts(before["gates"], after["gates"])
    header = _edited(before, after, frozenset({"steps", "gates", "hash"}))
    return Differences(earlier.hash == later.hash, header, of_steps, of_actions, of_gates)


def _actions(playbook: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [action for step in playbook["steps"] for action in step["actions"]]


def _parts(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> Parts:
    old, new = {part["id"]: part for part in before}, {part["id"]: part for part in after}
    edited = [EditedPart(ref, _edited(old[ref], part, PLACED)) for ref, part in new.items() if ref in old]
    stayed = [ref for ref in old if ref in new]
    places = zip(stayed, [ref for ref in new if ref in old], strict=True)
    return Parts(
        added=[ref for ref in new if ref not in old],
        removed=[ref for ref in old if ref not in new],
        edited=[part for part in edited if part.members],
        reordered=[now for then, now in places if then != now],
    )


def _edited(before: Mapping[str, Any], after: Mapping[str, Any], without: frozenset[str]) -> list[Edited]:
    members = [name for name in dict.fromkeys([*before, *after]) if name not in without]
    found = [Edited(name, before.get(name), after.get(name)) for name in members]
    return [edit for edit in found if edit.before != edit.after]
