"""Telling an incident to a ticket: what a tenant wants of it, and what an event then asks for."""

from collections.abc import Collection, Mapping
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct, field

from domain.connections import ConnectionSystem
from domain.glossary import IncidentStatus
from domain.refusals import InputError, Invalid

DECLARED: Final = "incident.declared"
STATUS_EVENTS: Final = tuple(
    f"incident.{name}"
    for name in (
        "acknowledged",
        "closed",
        "contained",
        "declared",
        "held",
        "in_progress",
        "post_incident",
        "reclassified",
        "rejected",
        "reopened",
        "resumed",
    )
)
"""Types of events after which an incident may stand elsewhere than before."""
NEEDED: Final = frozenset({"create_ticket", "get_ticket", "find_ticket", "add_note", "find_note", "set_status"})
"""What a system has to do for its tickets to be written to."""
ENDED: Final = ("closed", "rejected")
STATUSES: Final = frozenset(one.value for one in IncidentStatus)

Value = str | int | dict[str, str | int]
Words = dict[str, Value]


class CreateTicket(Struct, frozen=True):
    """When a ticket is opened, and with which words: for all clients, and over them for one (by its id).

    A word is a value, or one value per severity with `default` for the others.
    """

    when: Literal["declared"] = "declared"
    map: Words = {}
    clients: dict[str, Words] = {}


class SetStatus(Struct, frozen=True):
    """The status that a ticket gets for that of its incident."""

    status_map: dict[str, str | int] = {}


class TicketMode(Struct, frozen=True):
    """What a tenant wants told to tickets."""

    create_ticket: CreateTicket | None = None
    add_note: list[str] = field(default_factory=list)
    set_status: SetStatus | None = None
    on_closed_ticket: Literal["reopen", "new_ticket", "note"] = "note"

    @property
    def event_types(self) -> list[str]:
        """The types of events that something may follow from."""
        wanted = set(self.add_note)
        if self.create_ticket is not None:
            wanted.add(DECLARED)
        if self.set_status is not None:
            wanted.update(STATUS_EVENTS)
        return sorted(wanted)

    def status_for(self, status: str) -> str | None:
        """The status of a ticket whose incident stands at `status`; None: it stays as it is."""
        found = None if self.set_status is None else self.set_status.status_map.get(status)
        return None if found is None else str(found)

    @property
    def open_status(self) -> str | None:
        """What a closed ticket is set to when its incident goes on."""
        return self.status_for("reopened") or self.status_for("in_progress")

    def words(self, severity: str | None, client_ids: Collection[str]) -> dict[str, str | int]:
        """The words of a new ticket: those of all clients, and over them those of the first client that has its own."""
        if self.create_ticket is None:
            return {}
        own = next((self.create_ticket.clients[one] for one in client_ids if one in self.create_ticket.clients), {})
        found = {name: _of_severity(value, severity) for name, value in {**self.create_ticket.map, **own}.items()}
        return {name: value for name, value in found.items() if value is not None}


def read_mode(stored: str) -> TicketMode:
    """A mode as it was stored."""
    return msgspec.json.decode(stored, type=TicketMode)


def check_mode(mode: TicketMode, system: ConnectionSystem) -> None:
    """Raise Invalid, with pointers below `/ticket`, for a mode that could not work with this system."""
    faults: list[InputError] = []
    if missing := NEEDED - system.operations.keys():
        raise Invalid(
            f"{system.title} has no tickets that could be written to.",
            errors=[InputError("/ticket/connection_id", f"{system.title} cannot be asked for {sorted(missing)[0]}")],
        )
    if mode.create_ticket is None and not mode.add_note and mode.set_status is None:
        faults.append(InputError("/ticket", "say what to do: create_ticket, add_note or set_status"))
    if "add_note" not in system.operations:
        faults.append(InputError("/ticket", f"{system.title} is only read; it has no tickets to write to"))
    if mode.create_ticket is not None:
        faults += _word_faults("/ticket/create_ticket/map", mode.create_ticket.map, system, is_whole=True)
        for client_id, words in mode.create_ticket.clients.items():
            faults += _word_faults(f"/ticket/create_ticket/clients/{client_id}", words, system, is_whole=False)
    unknown = sorted(set(mode.set_status.status_map if mode.set_status else ()) - STATUSES)
    if unknown:
        there_are = ", ".join(sorted(STATUSES))
        faults.append(InputError(f"/ticket/set_status/status_map/{unknown[0][:60]}", f"one of {there_are}"))
    if mode.on_closed_ticket == "reopen" and mode.open_status is None:
        reason = "`reopen` needs the status to open it with: `reopened` or `in_progress` of the status_map"
        faults.append(InputError("/ticket/on_closed_ticket", reason))
    if mode.on_closed_ticket == "new_ticket" and mode.create_ticket is None:
        faults.append(InputError("/ticket/on_closed_ticket", "`new_ticket` needs create_ticket"))
    if faults:
        raise Invalid("Tickets cannot be written like this; `errors` says why.", errors=faults[:20])


def _word_faults(pointer: str, words: Words, system: ConnectionSystem, *, is_whole: bool) -> list[InputError]:
    there_are = ", ".join(system.map)
    faults = [InputError(f"{pointer}/{one[:60]}", f"one of {there_are}") for one in words if one not in system.map]
    if is_whole:
        missing = [name for name, one in system.map.items() if one.needed and name not in words]
        faults += [InputError(f"{pointer}/{name}", f"{system.title} needs it") for name in missing]
    return faults


def _of_severity(value: Value, severity: str | None) -> str | int | None:
    return value.get(severity or "", value.get("default")) if isinstance(value, dict) else value


class Wanted(Struct, frozen=True, kw_only=True):
    """What an event asks for. `ticket`: there shall be one; `status` None: it stays."""

    ticket: bool
    note: bool
    status: str | None

    @property
    def is_nothing(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.ticket or self.note or self.status)


def wanted(mode: TicketMode, kind: str, incident: Mapping[str, Any], *, is_declared: bool, has_ticket: bool) -> Wanted:
    """What an event of this kind asks for, with the incident as it stands now."""
    creates = mode.create_ticket is not None and is_declared
    # Whoever opens the ticket of an incident that has one already finds its number there.
    announces = creates and has_ticket and kind == DECLARED
    note = (kind in mode.add_note or f"{kind.partition('.')[0]}.*" in mode.add_note or "*" in mode.add_note) and (
        has_ticket or creates
    )
    status = mode.status_for(incident["status"]) if kind in STATUS_EVENTS and (has_ticket or creates) else None
    return Wanted(ticket=creates and not has_ticket, note=note or announces, status=status)
