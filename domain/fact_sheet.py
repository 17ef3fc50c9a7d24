"""The facts of one incident: writing what a person says, and what the documents imply."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from domain.facts import FACTS, check_fact, state_of
from domain.refusals import InputError, Invalid
from domain.timeline import instant_text

Sheet = dict[str, Any]


def set_fact(sheet: Sheet, name: str, value: Any, *, set_by: UUID, at: datetime) -> bool:
    """Write one fact; whether that changed anything.

    Raises Invalid for an unknown name, an unfit value, or an instant that lies ahead: what runs a clock has happened.
    """
    checked = check_fact(name, value)
    is_instant = FACTS[name].type == "instant" and state_of(checked) == "known"
    if is_instant and datetime.fromisoformat(checked) > at + CLOCKS_DIFFER:
        text = "lies in the future; give the instant when it happened"
        raise Invalid(f"/facts/{name} {text}.", code="invalid-fact", errors=[InputError(f"/facts/{name}", text)])
    entry = sheet.get(name)
    if entry is not None and entry["value"] == checked:
        return False
    sheet[name] = {"value": checked, "state": state_of(checked), "set_by": str(set_by), "set_at": instant_text(at)}
    return True


def would_lower(sheet: Sheet, name: str | None, value: Any) -> bool:
    """Whether `value` would take back a yes-or-no fact that is known to be true."""
    return value is not True and (sheet.get(name or "") or {}).get("value") is True


def put_derived(sheet: Sheet, derived: Mapping[str, Any], *, at: datetime) -> None:
    """Bring the facts read from D04 and D05 up to date; one no longer implied goes, and the hand-set value returns."""
    for name, value in derived.items():
        entry = sheet.get(name)
        if entry is not None and entry["value"] == value:
            continue
        kept = None if entry is None or entry["set_by"] == DOCUMENTS else entry
        sheet[name] = {"value": value, "state": "known", "set_by": DOCUMENTS, "set_at": instant_text(at)}
        if kept is not None:
            sheet[name]["said"] = kept
    for name, entry in list(sheet.items()):
        if entry["set_by"] == DOCUMENTS and name not in derived:
            said = entry.get("said")
            if said is None:
                del sheet[name]
            else:
                sheet[name] = said


DOCUMENTS = "documents"
CLOCKS_DIFFER = timedelta(seconds=60)  # between the caller's clock and ours
