"""`holdfast connections`: the systems that are called."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from app.cli.running import EXIT_REFUSED, Json, Tenant, fail, read_settings, run_on_database, say, table, tenant_of

if TYPE_CHECKING:
    from app.connections import Checked
    from app.serving import Opened

commands = typer.Typer(no_args_is_help=True)


@commands.callback()
def _connections() -> None:
    """Systems that a tenant calls."""


@commands.command("list")
def list_all(
    context: typer.Context,
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """List the connections of a tenant, with what the last check found."""

    async def work(found: "Opened") -> list[dict[str, Any]]:
        async with found.database.transaction(await tenant_of(found, tenant), read_only=True) as db:
            rows = await db.fetch(
                "SELECT id, name, system, base_url, status, last_checked_at, last_error FROM connections"
                " ORDER BY created_at, id"
            )
        return [dict(row) for row in rows]

    columns = ("id", "name", "system", "base_url", "status", "last_checked_at", "last_error")
    table(run_on_database(read_settings(context), work), columns, as_json=as_json)


@commands.command("check")
def check_one(
    context: typer.Context,
    connection: Annotated[UUID, typer.Argument(help="Id of the connection.")],
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """Ask the system of a connection for something harmless. Ends with 1 when it cannot be asked."""
    from app.connections import ask, find_connection, record_check
    from app.dialling import Dialler
    from app.secrets import vault_of
    from domain.actors import SYSTEM
    from domain.refusals import Refusal

    settings = read_settings(context)

    async def work(found: "Opened") -> "Checked | str":
        tenant_id = await tenant_of(found, tenant)
        try:
            async with found.database.transaction(tenant_id, read_only=True) as db:
                known = await find_connection(db, connection, vault_of(settings))
        except Refusal as refusal:
            return refusal.detail
        checked = await ask(Dialler(settings), known, datetime.now(UTC))
        async with found.database.transaction(tenant_id) as db:
            await record_check(db, SYSTEM, connection, checked)
        return checked

    checked = run_on_database(settings, work)
    error = checked if isinstance(checked, str) else checked.error
    seen = {} if isinstance(checked, str) else checked.seen
    if as_json:
        say({"ok": error is None, "seen": seen, "error": error}, as_json=True, lines=[])
    elif error is None:
        say(None, as_json=False, lines=["It works.", *(f"  {name}: {value}" for name, value in seen.items())])
    if error is not None:
        fail(error, EXIT_REFUSED)
