"""Decisions that several persons take together: whose approval is still asked for, and in which role it is given."""

from domain.gating import View
from domain.playbooks import Action
from domain.record import ActionRun
from domain.relations import with_stand_ins
from domain.verdicts import Who


def wanted_roles(view: View, action: Action) -> tuple[str, ...]:
    """The roles that each have to approve. One whose condition rests on an unknown fact is asked for too."""
    conditions = action.approvals_if
    return tuple(r for r in action.approvals_from if r not in conditions or view.holds(conditions[r]) is not False)


def next_approvers(view: View, action: Action) -> Who:
    """Holders of a role that has not approved yet."""
    return Who(frozenset(_open_roles(view, action, view.record.actions[action.id])))


def approver_role(view: View, action: Action) -> str:
    """The role in which the actor approves, who holds one of those asked for.

    Of several, one that leaves each of the others to another active person, if there is such a choice.
    """
    wanted, change = _open_roles(view, action, view.record.actions[action.id]), view.change
    mine = [role for role in wanted if role in change.actor.roles]
    barred = set(with_stand_ins(change.around.people, [change.actor.id]))
    others = [person for person in change.around.people.values() if person.id not in barred]

    def leaves_enough(role: str) -> bool:
        return all(any(rest in person.roles for person in others) for rest in wanted if rest != role)

    return next((role for role in mine if leaves_enough(role)), mine[0])


def _open_roles(view: View, action: Action, run: ActionRun) -> list[str]:
    given = {approval["role"] for approval in run.approvals}
    return [role for role in wanted_roles(view, action) if role not in given]
