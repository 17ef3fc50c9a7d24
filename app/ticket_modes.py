"""Endpoints that write to tickets: what they are given beside other endpoints, checked against their connection."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from app.database import Db
from domain.connections import connection_system
from domain.event_formats import TICKET
from domain.event_types import check_types
from domain.refusals import Conflict, InputError, Invalid
from domain.tickets import TicketMode, check_mode

_FIND = "SELECT system, base_url, status FROM connections WHERE tenant_id = $1 AND id = $2 FOR KEY SHARE"
_HOLD = "SELECT 1 FROM connections WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE"
_OPENS = """
SELECT name FROM webhook_endpoints WHERE tenant_id = $1 AND connection_id = $2 AND id <> $3 AND status = 'active'
    AND ticket -> 'create_ticket' <> 'null' AND (client_ids IS NULL OR $4::uuid[] IS NULL OR client_ids && $4::uuid[])
LIMIT 1
"""
_CLIENTS = "SELECT id FROM clients WHERE tenant_id = $1 AND id = ANY ($2)"


async def endpoint_columns(db: Db, given: Mapping[str, Any], form: str, *, is_new: bool) -> dict[str, Any]:
    """The columns of an endpoint of this form. Of one that writes to tickets, address and types follow from `ticket`.

    Raises Invalid for members that do not belong together.
    """
    columns = {name: value for name, value in given.items() if name != "ticket"}
    ticket, plain = given.get("ticket"), ("url", "event_types")
    if form != TICKET:
        faults = [InputError("/ticket", "belongs to the format `ticket`")] if ticket is not None else []
        faults += [InputError(f"/{one}", "needed") for one in plain if is_new and columns.get(one) is None]
    else:
        faults = [InputError("/ticket", "needed by the format `ticket`")] if is_new and ticket is None else []
        faults += [InputError(f"/{one}", "follows from `ticket`") for one in plain if columns.get(one) is not None]
    if faults:
        raise Invalid("These members do not belong together; `errors` says which.", errors=faults)
    return {**columns, **(await ticket_columns(db, ticket) if ticket is not None else {})}


async def check_only_opener(db: Db, endpoint_id: UUID, row: Mapping[str, Any]) -> None:
    """Raise Conflict (`connection-opens-tickets`) when another endpoint opens tickets of the same incidents.

    Two would work on one incident at the same time and open two tickets. `row` holds connection_id, ticket, client_ids.
    """
    if row["ticket"] is None or row["ticket"].get("create_ticket") is None:
        return
    await db.execute(_HOLD, db.tenant_id, row["connection_id"])
    other = await db.value(_OPENS, db.tenant_id, row["connection_id"], endpoint_id, row["client_ids"])
    if other is not None:
        said = f"The endpoint {other} opens tickets over this connection already."
        more = "Change that one, or limit both to clients that they do not share."
        raise Conflict(f"{said} {more}", code="connection-opens-tickets")


async def ticket_columns(db: Db, given: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of an endpoint that writes to tickets: `given` is connection_id and the members of a TicketMode.

    The address shown is that of the connection, the types of events follow from what is wanted. Raises Invalid.
    """
    connection_id = UUID(str(given["connection_id"]))
    row = await db.row(_FIND, db.tenant_id, connection_id)
    if row is None or row["status"] != "active":
        reason = "names no connection" if row is None else "names a connection that is retired"
        raise Invalid("Tickets need a connection.", errors=[InputError("/ticket/connection_id", reason)])
    plain = {name: value for name, value in given.items() if name != "connection_id" and value is not None}
    mode = msgspec.convert(plain, TicketMode)
    check_mode(mode, connection_system(row["system"]))
    if mode.add_note:
        check_types(mode.add_note)
    await _check_clients(db, mode)
    return {
        "url": row["base_url"],
        "event_types": mode.event_types,
        "connection_id": connection_id,
        "ticket": msgspec.to_builtins(mode),
    }


async def _check_clients(db: Db, mode: TicketMode) -> None:
    wanted = [UUID(one) for one in (mode.create_ticket.clients if mode.create_ticket else ())]
    known = {row["id"] for row in await db.fetch(_CLIENTS, db.tenant_id, wanted)} if wanted else set()
    faults = [
        InputError(f"/ticket/create_ticket/clients/{one}", "names no client") for one in wanted if one not in known
    ]
    if faults:
        raise Invalid("The map of tickets names what is no client.", errors=faults[:20])
