"""What a ticket is told: a title that begins with the number of the incident, and notes that we know again.

A note begins and ends with a line of ours. The last names the event, so that a note that may have been written is
looked for before it is written again, and one that comes back through a source is known as our own.
"""

import html
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct

TITLE_MAX: Final = 100  # characters, the least that a system takes (ConnectWise)
TEXT_MAX: Final = 3_000  # characters of what somebody wrote, which a note repeats
TITLE_NUMBER: Final = re.compile(r"\[((?:INC|EX)-\d{1,12})\]")
_MARK = re.compile(r"<[^<>]*>")
_OWN = re.compile(r"\[Holdfast (?:INC|EX)-\d{1,12}\].*\bevt_[0-9a-f]{32}\s*", re.DOTALL)


class Note(Struct, frozen=True, kw_only=True):
    """A note, or the text of a new ticket. `marker` is in it and in no other."""

    title: str
    text: str
    html: str
    marker: str

    @property
    def told(self) -> dict[str, str]:
        """As operations are told."""
        return {"title": self.title, "text": self.text, "html": self.html, "marker": self.marker}


def ticket_note(event: Mapping[str, Any], incident: Mapping[str, Any], *, is_full: bool) -> Note:
    """What a ticket is told of an event. With `is_full` the title, the summary of a new ticket, and what people wrote.

    `incident` is that of the envelope with `title`, `summary`, `playbook` and `next_due_at`; any of them may be None.
    """
    number, kind = incident["number"], str(event["type"])
    what = kind.replace(".", " ").replace("_", " ")
    title = (incident["title"] if is_full else None) or f"AI incident: {incident['playbook'] or 'to be evaluated'}"
    lines = [f"[Holdfast {number}] {'Exercise: ' if incident.get('exercise') else ''}{what}"]
    lines += [f"{name}: {value}" for name, value in _facts(incident) if value]
    said = _said(event, incident) if is_full else None
    if said:
        lines += ["", said[:TEXT_MAX]]
    lines += ["", f"{incident['url']}", f"Holdfast {number} {event['id']}"]
    text = "\n".join(lines)
    return Note(
        title=f"[{number}] {' '.join(title.split())}"[:TITLE_MAX],
        text=text,
        html="<br>".join(html.escape(line) for line in lines),
        marker=str(event["id"]),
    )


def is_own_note(text: str | None) -> bool:
    """Whether this is a note of ours that comes back, and not one that quotes it."""
    return text is not None and _OWN.fullmatch(html.unescape(_MARK.sub("", text)).strip()) is not None


def number_in(title: str | None) -> str | None:
    """The number of the incident that a ticket of ours begins its title with."""
    found = TITLE_NUMBER.match(title) if title is not None else None
    return found[1] if found is not None else None


def _facts(incident: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    due = incident.get("next_due_at")
    deadline = None if due is None else f"{datetime.fromisoformat(due).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return [
        ("Severity", incident["severity"]),
        ("Status", incident["status"].replace("_", " ")),
        ("Next deadline", deadline),
    ]


def _said(event: Mapping[str, Any], incident: Mapping[str, Any]) -> str | None:
    text = (event["data"] or {}).get("text")
    if isinstance(text, str):
        return text
    return incident["summary"] if event["type"] == "incident.declared" else None
