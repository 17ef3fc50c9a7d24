"""Reviews: who approves a text before it leaves, seat by seat, and the actions of a playbook that this fulfils.

An action with `drafts` asks for a text of that kind; one with `reviews` is decided by approving every such text. Each
role of its `approvals_from` is a seat, taken by a person who neither wrote the text nor took another seat.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from domain.approvals import wanted_roles
from domain.changes import Change
from domain.early_notices import early_senders
from domain.gating import View
from domain.playbooks import Action
from domain.record import ActionRun, Notification
from domain.relations import is_among, with_stand_ins
from domain.timeline import instant_text
from domain.verdicts import Who

APPROVERS = frozenset({"risk_owner", "legal_counsel"})
STAND_INS_OF_MANAGER = frozenset({"account_owner", "risk_owner"})
LEFT = frozenset({"sent", "acknowledged"})
"""States of a text that is out: what was asked of it then is what counts, whatever is asked of later ones."""


class Seat(Struct, frozen=True):
    """One approval that a text needs. `action_id` is the action that asks for it, null where no playbook does."""

    role: str
    action_id: str | None
    who: Who


def seats(view: View, text: Notification) -> list[Seat]:
    """Every approval the text needs. A seat whose condition is unknown counts until it is known to be false."""
    found = [
        Seat(role, action.id, _holders(view, text, role))
        for action in reviews_of(view.change, text.kind)
        for role in wanted_roles(view, action)
    ]
    return found or [Seat("approver", None, _holders(view, text, "approver"))]


def open_seats(view: View, text: Notification) -> list[Seat]:
    """The seats that nobody has taken yet."""
    taken = {(a["role"], a["action_id"]) for a in text.approvals if a["outcome"] == "approved"}
    return [seat for seat in seats(view, text) if (seat.role, seat.action_id) not in taken]


def reviews_of(change: Change, kind: str) -> list[Action]:
    """The actions of the playbook that are decided by approving texts of this kind."""
    return [a for a in change.playbook.actions.values() if a.reviews == kind] if change.playbook else []


def reviewers(view: View, text: Notification) -> tuple[Who, list[UUID]]:
    """Who may take an open seat, and who may not for having written the text or taken a seat already."""
    free = open_seats(view, text) or seats(view, text)
    who = Who(frozenset().union(*(s.who.roles for s in free)), frozenset().union(*(s.who.persons for s in free)))
    return who, barred(view, text)


def barred(view: View, text: Notification) -> list[UUID]:
    """Writers, early senders and approvers of the text so far, and those who could act as one of them."""
    given = [UUID(a["person_id"]) for a in text.approvals]
    doers = [text.author_id, *text.editor_ids, *early_senders(view.record, text), *given]
    return with_stand_ins(view.change.around.people, doers)


def _holders(view: View, text: Notification, role: str) -> Who:
    people = view.change.around.people
    author = people.get(text.author_id)
    manager = author.manager_id if author is not None else None
    if role == "approver":
        return Who(APPROVERS, frozenset({manager} if manager else ()))
    if role != "manager":
        return Who(frozenset({role}))
    writers = with_stand_ins(people, [text.author_id, *text.editor_ids])
    if manager is not None and manager in people and manager not in writers:
        return Who(persons=frozenset({manager}))
    return Who(STAND_INS_OF_MANAGER)


def take_seat(change: Change, text: Notification, outcome: str, note: str | None) -> Seat:
    """Note what the acting person says about the text, in the seat that the fewest others could take."""
    view = View(change)
    eligible = [seat for seat in open_seats(view, text) if is_among(seat.who, change.actor)]
    # Who acts alone under C13 may hold none of the roles: nobody of the tenant does.
    seat = min(eligible or open_seats(view, text), key=lambda s: sum(_could_take(view, s.who)))
    said = {
        "person_id": str(change.actor.id),
        "role": seat.role,
        "action_id": seat.action_id,
        "outcome": outcome,
        "note": note,
        "at": instant_text(change.now),
    }
    text.approvals = [*text.approvals, said]
    return seat


def _could_take(view: View, who: Who) -> Iterable[bool]:
    return (bool(p.roles & who.roles) or p.id in who.persons for p in view.change.around.people.values())


def settle_texts(view: View) -> None:
    """Bring unsent texts into line with the seats asked for now: a fact may add a seat, or take one away."""
    change = view.change
    for text in change.record.notifications.values():
        if text.status not in ("in_review", "approved") or not reviews_of(change, text.kind):
            continue
        waits = bool(open_seats(view, text))
        if waits and text.status == "approved":
            text.status, text.approved_by, text.approved_at = "in_review", None, None
            change.emit("notification.review_reopened", notification_id=text.id)
        elif not waits and text.status == "in_review":
            complete_review(change, text)


def complete_review(change: Change, text: Notification) -> None:
    """Every seat is taken: the text is approved, by the last who took one."""
    text.status = text.status if text.status in LEFT else "approved"
    text.approved_by, text.approved_at = UUID(text.approvals[-1]["person_id"]), change.now


def settle_review(view: View, action: Action, run: ActionRun) -> datetime | None:
    """When an action that texts fulfil was done; None while it is not. Outcome and approvals follow the texts."""
    if action.drafts is not None:
        drafted = [n.created_at for n in _texts(view, action.drafts)]
        return min(drafted, default=None)
    texts = _texts(view, action.reviews or "")
    mine = [a for text in texts for a in text.approvals if a["action_id"] == action.id]
    asked = [seat.action_id == action.id for t in texts if t.status not in LEFT for seat in open_seats(view, t)]
    done = bool(texts) and not any(asked)
    run.approvals = [_as_given(a) for a in mine]
    wanting = any(a["outcome"] == "changes_requested" for t in texts for a in t.approvals)
    run.outcome = "approved" if done else "changes_requested" if wanting else None
    if not done:
        return None
    given = [datetime.fromisoformat(a["at"]) for a in mine]
    return max(given, default=max(t.approved_at or t.sent_at or view.change.now for t in texts))


def _texts(view: View, kind: str) -> list[Notification]:
    """Texts of the kind that count: one set aside counts only if it had been approved before."""
    return [
        n
        for n in view.record.notifications.values()
        if n.kind == kind and (n.status != "not_required" or not open_seats(view, n))
    ]


def _as_given(approval: dict[str, Any]) -> dict[str, Any]:
    return {name: approval[name] for name in ("person_id", "role", "outcome", "note", "at")}
