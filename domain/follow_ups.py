"""Follow-ups: owed after the incident, each with a person as owner and a date. Closing does not close them (C8)."""

from datetime import datetime
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from domain.changes import Change
from domain.doings import require_reason
from domain.record import FollowUp
from domain.refusals import Conflict, InputError, Invalid, NotFound

TRANSITIONS: dict[tuple[str, str], str] = {
    ("open", "start"): "in_progress",
    ("open", "finish"): "done",
    ("in_progress", "finish"): "done",
    ("open", "cancel"): "cancelled",
    ("in_progress", "cancel"): "cancelled",
    ("done", "reopen"): "open",
    ("cancelled", "reopen"): "open",
}


class NewFollowUp(Struct, frozen=True, kw_only=True):
    """What is owed, by whom, until when."""

    title: str
    owner_id: UUID
    due_at: datetime
    action_id: str | None = None
    control: str | None = None
    risk: str | None = None


class FollowUpEdit(Struct, frozen=True, kw_only=True):
    """A transition, or another owner or date."""

    transition: str | None = None
    reason: str | None = None
    owner_id: UUID | UnsetType = UNSET
    due_at: datetime | UnsetType = UNSET


def add_follow_up(change: Change, wanted: NewFollowUp) -> FollowUp:
    """Add one. Raises Invalid when the owner is nobody of the tenant or the date has passed."""
    _check(change, wanted.owner_id, wanted.due_at)
    made = FollowUp(
        id=change.new_id(),
        title=wanted.title,
        owner_id=wanted.owner_id,
        due_at=wanted.due_at,
        action_id=wanted.action_id,
        control=wanted.control,
        risk=wanted.risk,
        created_by=change.person_id,
        created_at=change.now,
    )
    change.record.follow_ups[str(made.id)] = made
    change.emit("follow_up.added", follow_up_id=made.id, owner_id=made.owner_id)
    return made


def edit_follow_up(change: Change, follow_up_id: str, edit: FollowUpEdit) -> None:
    """Move or hand over one. Raises NotFound, Conflict for an impossible transition, Invalid without a reason."""
    found = change.record.follow_ups.get(follow_up_id)
    if found is None:
        raise NotFound
    if edit.owner_id is not UNSET or edit.due_at is not UNSET:
        owner = found.owner_id if edit.owner_id is UNSET else edit.owner_id
        due_at = found.due_at if edit.due_at is UNSET else edit.due_at
        _check(change, owner, due_at)
        found.owner_id, found.due_at = owner, due_at
        change.emit("follow_up.edited", follow_up_id=found.id, owner_id=owner, due_at=due_at)
    if edit.transition is None:
        return
    status = TRANSITIONS.get((found.status, edit.transition))
    if status is None:
        raise Conflict(f"The follow-up is {found.status}.", current={"status": found.status})
    if status == "cancelled":
        found.reason = require_reason(edit.reason, "cancel a follow-up")
    found.status, found.done_at = status, change.now if status == "done" else None
    change.emit("follow_up.moved", follow_up_id=found.id, status=status)


def _check(change: Change, owner_id: UUID, due_at: datetime) -> None:
    if owner_id not in change.around.people:
        text = "has to be an active person of this tenant, not a role"
        raise Invalid(f"/owner_id {text}.", errors=[InputError("/owner_id", text)])
    if due_at <= change.now:
        raise Invalid("/due_at has passed.", errors=[InputError("/due_at", "has passed")])
