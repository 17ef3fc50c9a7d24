"""Who may open restricted evidence: actors of the incident's steps by role or assignment, and who attached it.

Roles that everybody holds open nothing here: they make an actor of a step, not a reader of what leaked.
"""

from domain.actors import Actor
from domain.changes import Change
from domain.permissions import allows
from domain.record import Evidence, Record
from domain.refusals import Forbidden
from domain.relations import OPEN_TO_MEMBERS


def require_restricted(change: Change, item: Evidence) -> None:
    """Raise Forbidden unless the actor of `change` may open `item`, which is restricted."""
    actor = change.actor
    held = set()
    if _is_role_actor(change, actor):
        held.add("role_actor")
    if actor.id == item.attached_by_id:
        held.add("author")
    if not allows("evidence.read_restricted", actor.roles, actor.kind, held):
        raise Forbidden("This file is restricted: its steps' owners, counsel, risk owner and auditor may open it.")


def _is_role_actor(change: Change, actor: Actor) -> bool:
    record: Record = change.record
    if any(run.assignee_id == actor.id for run in record.steps.values()):
        return True
    owners = {role for step in (change.playbook.steps if change.playbook else ()) for role in step.owner_roles}
    return bool(actor.roles & (owners - OPEN_TO_MEMBERS))
