"""What a message about an incident must not say, and where it must not go: names of people, the AI tool concerned."""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit
from uuid import UUID

from domain.changes import Change
from domain.record import Record


def names_in(text: str, change: Change) -> list[UUID]:
    """People involved whom the text names (G-ALL-5): whole words, case-sensitive.

    Full name, e-mail address or user name of the reporter, the person concerned and every participant; the family
    name alone only of a subject, victim or reporter.
    """
    record = change.record
    part = {p.person_id: p.involvement for p in record.participants.values()}
    for person_id in (record.incident.opened_by_id, record.incident.discovered_by_id):
        if person_id is not None:
            part.setdefault(person_id, "reporter")
    if record.incident.person_concerned_id is not None:
        part[record.incident.person_concerned_id] = "subject"
    found = []
    for person_id, involvement in part.items():
        person = change.around.people.get(person_id)
        if person is None:
            continue
        terms = [person.name, person.email, person.user_name]
        if involvement in ("subject", "victim", "reporter"):
            terms.append(person.name.split(" ")[-1])
        if any(term and re.search(rf"(?<!\w){re.escape(term)}(?!\w)", text) for term in terms):
            found.append(person_id)
    return found


def tool_in(places: Iterable[str], record: Record) -> str | None:
    """The AI system of D03 that one of these channels or recipients belongs to (G-ALL-9), by name or host."""
    value = record.documents["D03"].value
    systems = value.get("entries", ()) if isinstance(value, dict) else ()
    for system in systems:
        if system.get("identification") in ("unknown", "not_applicable"):
            continue
        host = _host(system.get("url") or "")
        parts = [part for part in ((system.get("name") or "").lower(), host) if part]
        for place in places:
            if any(re.search(rf"(?<![\w-]){re.escape(part)}(?![\w-])", place.lower()) for part in parts):
                return str(system.get("name") or host)
    return None


def _host(url: str) -> str:
    """The host of an address in lower case, with or without a scheme; empty where there is none."""
    try:
        return (urlsplit(url if "//" in url else f"//{url}").hostname or "").removeprefix("www.")
    except ValueError:
        return ""
