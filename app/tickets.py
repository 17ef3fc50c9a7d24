"""Telling incidents to tickets: the ticket of an incident is found or opened, noted in and set to a status.

Nothing is done twice. A ticket that was opened is looked for by the id of the incident before another one is opened,
and a note by the id of its event, whenever an attempt may have been made before.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from msgspec import Struct

from app.connections import find_connection, note_account, note_refusal
from app.database import Database, Db
from app.dialling import CallFailed, Connection, Dialler, Replied, one_line
from app.incidents import begin_change, find_by_reference, lock_reference, write_change
from app.record import lock_record
from app.secrets import Vault
from domain.actors import SYSTEM_ID, Actor, Via
from domain.refusals import Refusal
from domain.reporting import Reference, add_reference
from domain.settling import settle
from domain.templates import STEPS
from domain.ticket_notes import Note, ticket_note
from domain.tickets import DECLARED, ENDED, TicketMode, Wanted, read_mode, wanted

DONE_MAX = 200  # characters that the log of deliveries shows
ID_MAX = 200  # characters of an id, a number or a status
URL_MAX = 2_000  # characters
LOCKED_OUT = (401, 403)
SECONDS_MAX = 45.0  # for all that one event asks for: less than a lane is leased

_CONTEXT = """
SELECT i.title, i.summary, i.declared_at IS NOT NULL AS is_declared,
    (SELECT coalesce(json_agg(json_build_object('id', r.external_id, 'number', r.key) ORDER BY r.added_at DESC,
        r.id DESC), '[]')::text
     FROM external_references r
     WHERE r.tenant_id = i.tenant_id AND r.incident_id = i.id AND r.system = $3 AND r.instance = $4) AS tickets,
    (SELECT json_build_object('id', c.id, 'name', c.name, 'reference',
        (SELECT r.external_id FROM client_references r WHERE r.tenant_id = c.tenant_id AND r.client_id = c.id
         AND r.system = $3 AND r.instance IN ($4, '-') ORDER BY r.instance = '-' LIMIT 1))::text
     FROM clients c WHERE c.tenant_id = i.tenant_id AND c.id = ANY (i.client_ids)
     ORDER BY array_position(i.client_ids, c.id) LIMIT 1) AS client,
    EXISTS (SELECT 1 FROM sources s WHERE s.tenant_id = i.tenant_id AND s.id = $5 AND s.system = $3
            AND s.instance = $4) AS came_from_there
FROM incidents i WHERE i.tenant_id = $1 AND i.id = $2
"""


class Telling(Struct, frozen=True, kw_only=True):
    """One event on its way to a ticket. `may_repeat`: an attempt may have been made before."""

    tenant_id: UUID
    connection_id: UUID
    mode: str
    event: dict[str, Any]
    is_full: bool
    may_repeat: bool


class _Talk(Struct, frozen=True, kw_only=True):
    """What is known while one event is told."""

    telling: Telling
    connection: Connection
    mode: TicketMode
    incident: dict[str, Any]
    client: dict[str, Any]
    tickets: list[str]  # those that the incident carries, the newest first
    note: Note
    wanted: Wanted

    def told(self, **more: Any) -> dict[str, Any]:
        """What an operation is told."""
        words = self.mode.words(self.incident["severity"], self.incident["client_ids"])
        event = {"id": self.telling.event["id"], "type": self.telling.event["type"]}
        known = {"incident": self.incident, "event": event, "client": self.client, "map": words}
        return {**known, "note": self.note.told, **more}


class Tickets:
    """Tells events to tickets, over connections."""

    def __init__(self, database: Database, vault: Vault, dialler: Dialler) -> None:
        self._database = database
        self._vault = vault
        self._dialler = dialler

    async def tell(self, telling: Telling) -> str | None:
        """Do what an event asks for; what was done, None when it asks for nothing.

        Raises CallFailed, and Unsealable for credentials that cannot be opened.
        """
        try:
            async with asyncio.timeout(SECONDS_MAX):
                return await self._tell(telling)
        except TimeoutError:
            raise CallFailed("retry", "It did not answer in time.") from None
        except Refusal as refusal:
            raise CallFailed("refused", refusal.detail) from None

    async def _tell(self, telling: Telling) -> str | None:
        if telling.event["type"] == "webhook_endpoint.tested":
            connection = await self._connection(telling)
            await self._dialler.call(connection, "check", {})
            return "The connection works."
        if telling.event["incident"] is None:
            return None
        talk = await self._talk(telling)
        return None if talk is None or talk.wanted.is_nothing else await self._do(talk)

    async def _connection(self, telling: Telling) -> Connection:
        async with self._database.transaction(telling.tenant_id, read_only=True) as db:
            return await find_connection(db, telling.connection_id, self._vault)

    async def _talk(self, telling: Telling) -> _Talk | None:
        """What is known of the incident and its tickets; None for what came from there."""
        event, origin = telling.event, telling.event["origin"]
        if origin["connection_id"] == str(telling.connection_id):
            return None
        async with self._database.transaction(telling.tenant_id, read_only=True) as db:
            connection = await find_connection(db, telling.connection_id, self._vault)
            source = None if origin["source_id"] is None else UUID(origin["source_id"])
            about = UUID(event["incident"]["id"]), connection.system, connection.instance, source
            row = await db.row(_CONTEXT, telling.tenant_id, *about)
        if row is None or row["came_from_there"]:
            return None
        incident = {**event["incident"], "title": row["title"], "summary": row["summary"]}
        mode, tickets = read_mode(telling.mode), [one["id"] for one in orjson.loads(row["tickets"])]
        asked = wanted(mode, event["type"], incident, is_declared=row["is_declared"], has_ticket=bool(tickets))
        return _Talk(
            telling=telling,
            connection=connection,
            mode=mode,
            incident=incident,
            client={} if row["client"] is None else orjson.loads(row["client"]),
            tickets=tickets,
            note=ticket_note(event, incident, is_full=telling.is_full),
            wanted=asked,
        )

    async def _do(self, talk: _Talk) -> str:
        done: list[str] = []
        if not talk.tickets:
            ticket = await self._open(talk, done)
            # Its own text says what the event says.
            has_note = talk.telling.event["type"] == DECLARED or not talk.wanted.note
        else:
            ticket, has_note = await self._present(talk, done), not talk.wanted.note
        if not has_note:
            await self._note(talk, ticket, done)
        await self._set(talk, ticket, done)
        number = ticket.get("number") or ticket["id"]
        return f"Ticket {number}: {', '.join(done) or 'it says so already'}."[:DONE_MAX]

    async def _present(self, talk: _Talk, done: list[str]) -> dict[str, Any]:
        """The ticket that the incident carries, or another one where it is gone, or closed and not wanted so."""
        ticket = await self._read(talk, talk.tickets[0])
        if ticket is None:
            if talk.mode.create_ticket is None:
                raise CallFailed("refused", f"The ticket {talk.tickets[0]} is not there any more.")
            return await self._open(talk, done)
        if not ticket.get("is_closed") or talk.incident["status"] in ENDED:
            return ticket
        if talk.mode.on_closed_ticket == "new_ticket":
            return await self._open(talk, done)
        status = talk.mode.open_status
        if talk.mode.on_closed_ticket == "reopen" and status is not None:
            await self._call(talk, "set_status", ticket=ticket, status=status)
            done.append(f"opened again as {status}")
            return {**ticket, "status": status}
        return ticket

    async def _read(self, talk: _Talk, ticket_id: str) -> dict[str, Any] | None:
        try:
            replied = await self._call(talk, "get_ticket", ticket={"id": ticket_id})
        except CallFailed as failure:
            if failure.kind == "gone":
                return None
            raise
        return None if replied.values.get("id") is None else _ticket(replied.values)

    async def _open(self, talk: _Talk, done: list[str]) -> dict[str, Any]:
        """A ticket that the incident does not carry yet: one that an earlier attempt has opened, or a new one."""
        ticket = None
        if talk.telling.may_repeat:
            found = [_ticket(one) for one in (await self._call(talk, "find_ticket")).items]
            ours = [one for one in found if one["id"] not in talk.tickets]
            # A new one after a closed one is open; the first one may have been closed meanwhile.
            ticket = next((one for one in ours if not talk.tickets or not one.get("is_closed")), None)
        if ticket is None:
            replied = await self._call(talk, "create_ticket")
            if replied.values.get("id") is None:
                raise CallFailed("retry", "It names no ticket that it has made.")
            ticket = _ticket(replied.values)
        taken = await self._refer(talk, ticket)
        done.append("opened" if taken is None else f"opened, and carried by {taken}")
        return ticket

    async def _note(self, talk: _Talk, ticket: Mapping[str, Any], done: list[str]) -> None:
        if talk.telling.may_repeat and (await self._call(talk, "find_note", ticket=ticket)).items:
            return
        replied = await self._call(talk, "add_note", ticket=ticket)
        id = replied.values.get("id")
        done.append("noted" if id is None else f"noted as {one_line(id, ID_MAX)}")

    async def _set(self, talk: _Talk, ticket: Mapping[str, Any], done: list[str]) -> None:
        status = talk.wanted.status
        if status is None or str(ticket.get("status") or "").casefold() == status.casefold():
            return
        await self._call(talk, "set_status", ticket=ticket, status=status)
        done.append(f"set to {status}")

    async def _call(self, talk: _Talk, operation: str, **more: Any) -> Replied:
        try:
            replied = await self._dialler.call(talk.connection, operation, talk.told(**more))
        except CallFailed as failure:
            if failure.reply is not None and failure.reply.status in LOCKED_OUT:
                await self._notice(talk, failure.said)
            raise
        await self._notice(talk, None)
        account = replied.values.get("account")
        if account and talk.connection.account is None:
            await self._remember(talk, str(account))
        return replied

    async def _notice(self, talk: _Talk, error: str | None) -> None:
        """Let it be seen, and heard by whoever listens, that the system lets us in no more, or does again."""
        if (talk.connection.last_error is None) == (error is None):
            return

        async def work(db: Db) -> None:
            await note_refusal(db, talk.connection.id, datetime.now(UTC), error)

        await self._database.run(talk.telling.tenant_id, work)

    async def _remember(self, talk: _Talk, account: str) -> None:
        """Keep who we are there, before what we write comes back."""

        async def work(db: Db) -> None:
            await note_account(db, talk.connection.id, account)

        await self._database.run(talk.telling.tenant_id, work)

    async def _refer(self, talk: _Talk, ticket: Mapping[str, Any]) -> str | None:
        """Let the incident carry the ticket; the number of another incident that carries it already."""
        connection, incident_id = talk.connection, UUID(talk.incident["id"])

        async def work(db: Db) -> str | None:
            await lock_reference(db, connection.system, connection.instance, ticket["id"])
            taken = await find_by_reference(db, connection.system, connection.instance, ticket["id"])
            if taken is not None:
                number = "SELECT number FROM incidents WHERE tenant_id = $1 AND id = $2 AND id <> $3"
                other: str | None = await db.value(number, db.tenant_id, taken, incident_id)
                return other
            stored = await lock_record(db, incident_id)
            via = Via(kind="connection", connection_id=connection.id, external_event_id=ticket["id"])
            change = await begin_change(db, None, stored, Actor(kind="system", id=SYSTEM_ID, via=via))
            reference = Reference(
                system=connection.system,
                instance=connection.instance,
                id=ticket["id"],
                key=ticket.get("number"),
                url=ticket.get("url"),
            )
            add_reference(change, reference)
            settle(change)
            await write_change(db, None, stored, change)
            return None

        return await self._database.run(talk.telling.tenant_id, work)


def _ticket(values: Mapping[str, Any]) -> dict[str, Any]:
    """A ticket as operations are told of it: ids and numbers are texts, however the system writes them.

    What cannot be kept is no ticket's id. Raises CallFailed.
    """
    ticket = {name: value if value is None or isinstance(value, bool) else str(value) for name, value in values.items()}
    if not ticket["id"] or ticket["id"] != one_line(ticket["id"], ID_MAX) or ticket["id"] in STEPS:
        raise CallFailed("refused", "It names its ticket by something that is no id.")
    shown = {"number": ID_MAX, "status": ID_MAX, "url": URL_MAX}
    return ticket | {name: one_line(ticket[name], most) for name, most in shown.items() if ticket.get(name)}
