"""What a channel is told of an event: which incident, how it stands, until when, and where to read on.

A channel has readers that we do not know. So a message holds number, status, severity, deadline and address, never a
title, a name or what somebody wrote.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

Body = dict[str, Any]
CARD_SCHEMA: Final = "http://adaptivecards.io/schemas/adaptive-card.json"
CARD_VERSION: Final = "1.4"  # the newest that Teams shows on every platform


def slack_message(event: Mapping[str, Any], told: Body, base_url: str) -> Body:
    """The body of an incoming webhook of Slack: `text` for notifications, `blocks` for the channel."""
    head, facts = _headline(event), _facts(event)
    text = f"*{_mrkdwn(head)}*"
    if facts:
        text += "\n" + "\n".join(f"{_mrkdwn(name)}: {_mrkdwn(value)}" for name, value in facts)
    blocks: list[Body] = [{"type": "section", "text": {"type": "mrkdwn", "text": text}}]
    if address := _address(event):
        button = {"type": "button", "text": {"type": "plain_text", "text": "Open the incident"}, "url": address}
        blocks.append({"type": "actions", "elements": [button]})
    return {"text": _mrkdwn(head), "blocks": blocks}


def teams_message(event: Mapping[str, Any], told: Body, base_url: str) -> Body:
    """The body for a workflow of Teams that posts a card when a webhook request is received."""
    body: list[Body] = [
        {"type": "TextBlock", "size": "Medium", "weight": "Bolder", "wrap": True, "text": _markdown(_headline(event))}
    ]
    if facts := _facts(event):
        told_facts = [{"title": name, "value": _markdown(value)} for name, value in facts]
        body.append({"type": "FactSet", "facts": told_facts})
    card: Body = {"$schema": CARD_SCHEMA, "type": "AdaptiveCard", "version": CARD_VERSION, "body": body}
    if address := _address(event):
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Open the incident", "url": address}]
    attached = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attached]}


def _headline(event: Mapping[str, Any]) -> str:
    """Such as `INC-1001: step completed`; of an exercise it says so first, lest somebody is alarmed."""
    what = event["type"].replace(".", " ").replace("_", " ")
    incident = event["incident"]
    if incident is None:
        return str(what).capitalize()
    return f"{'Exercise ' if incident.get('exercise') else ''}{incident['number']}: {what}"


def _facts(event: Mapping[str, Any]) -> list[tuple[str, str]]:
    incident = event["incident"]
    if incident is None:
        return []
    known = (
        ("Severity", incident["severity"]),
        ("Status", incident["status"].replace("_", " ")),
        ("Next deadline", _minute(incident.get("next_due_at"))),
    )
    return [(name, value) for name, value in known if value is not None]


def _minute(instant: str | None) -> str | None:
    """An instant as people read it, in UTC: a channel has no time zone of its own."""
    return None if instant is None else f"{datetime.fromisoformat(instant).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _address(event: Mapping[str, Any]) -> str | None:
    return None if event["incident"] is None else event["incident"]["url"]


def _mrkdwn(text: str) -> str:
    """Slack reads these three as markup, everywhere."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _markdown(text: str) -> str:
    """Cards read a part of Markdown: what would begin emphasis, a link or a list is taken as it is."""
    return "".join(f"\\{one}" if one in "\\*_[]#`" else one for one in text)
