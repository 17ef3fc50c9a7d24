"""What a caller says about tickets: when one is opened, with which words, what is told to it."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from api.fields import In
from domain.glossary import IncidentStatus

EventType = Annotated[str, StringConstraints(max_length=121)]
TicketValue = Annotated[str, StringConstraints(min_length=1, max_length=200)] | int
BySeverity = Annotated[dict[Annotated[str, StringConstraints(max_length=20)], TicketValue], Field(max_length=10)]
TicketWords = Annotated[
    dict[Annotated[str, StringConstraints(max_length=50)], TicketValue | BySeverity], Field(max_length=30)
]


class CreateTicketIn(In):
    """When a ticket is opened, and with which words of its system (`/v1/connection-systems`).

    A word is a value, or one value per severity with `default` for the others. `clients` holds words of single clients,
    by their ids, which go before those of `map`.
    """

    when: Literal["declared"] = "declared"
    map: TicketWords = Field(default_factory=dict)
    clients: Annotated[dict[UUID, TicketWords], Field(max_length=1_000)] = Field(default_factory=dict)


class SetStatusIn(In):
    """The status that a ticket gets for that of its incident; where nothing is said, it stays."""

    status_map: Annotated[dict[IncidentStatus, TicketValue], Field(min_length=1)]


class TicketIn(In):
    """What is told to tickets over a connection. `add_note` are the types of events that become notes.

    `on_closed_ticket` says what becomes of a ticket that is closed while its incident goes on: it is opened again,
    there is a new one, or it is noted in as it is.
    """

    connection_id: UUID
    create_ticket: CreateTicketIn | None = None
    add_note: Annotated[list[EventType], Field(max_length=100)] = Field(default_factory=list)
    set_status: SetStatusIn | None = None
    on_closed_ticket: Literal["reopen", "new_ticket", "note"] = "note"
