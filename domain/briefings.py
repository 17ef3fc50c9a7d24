"""Briefings that the rules draft: an action may carry what staff are told when it is required, or decided one way.

A draft is a proposal: its author edits and sends it, and G-ALL-5 is judged on what is sent.
"""

from domain.changes import Change
from domain.incident_tools import named_tools
from domain.playbooks import Action
from domain.record import Notification

AUDIENCE = "all staff"


def settle_briefings(change: Change) -> None:
    """Draft the briefing of each action that is required now, or was decided so, and has none yet."""
    record = change.record
    for action in change.playbook.briefings if change.playbook is not None else ():
        run = record.actions[action.id]
        drafted = [n for n in record.notifications.values() if n.kind == "briefing" and n.action_id == action.id]
        if action.briefing is not None and run.requirement == "required" and not drafted:
            _draft(change, action, action.briefing)
        of_outcome = action.briefing_on.get(run.outcome or "") if run.status == "done" else None
        # Decided anew, it is told anew: what was drafted for an earlier outcome speaks of that one.
        if of_outcome is not None and not any(n.created_at >= (run.recorded_at or change.now) for n in drafted):
            _draft(change, action, of_outcome)


def _draft(change: Change, action: Action, text: dict[str, str]) -> None:
    tools = [entry.tool for entry in named_tools(change)]
    names = ", ".join(tool.name for tool in tools) or "The tool"
    conditions = " ".join(dict.fromkeys(said for tool in tools for said in tool.conditions))
    briefing = Notification(
        id=change.new_id(),
        kind="briefing",
        audience=AUDIENCE,
        action_id=action.id,
        channel="to be chosen",
        subject=text["subject"],
        body=text["body"].replace("{tools}", names).replace("{conditions}", conditions),
        author_id=change.person_id or change.record.incident.opened_by_id,
        created_at=change.now,
        due_at=change.record.steps[action.step_id].due_at,
    )
    change.record.notifications[str(briefing.id)] = briefing
    change.emit("notification.drafted", notification_id=briefing.id, kind="briefing", action_id=action.id)
