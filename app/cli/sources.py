"""`holdfast sources`: the systems that send webhooks."""

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from app.cli.running import read_settings, run_on_database, table, tenant_of

if TYPE_CHECKING:
    from app.serving import Opened

commands = typer.Typer(no_args_is_help=True)


@commands.callback()
def _sources() -> None:
    """Systems that send webhooks to a tenant."""


@commands.command("list")
def list_all(
    context: typer.Context,
    tenant: Annotated[UUID | None, typer.Option(help="Id of the tenant; may be left away where there is one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer JSON, for scripts.")] = False,
) -> None:
    """List the sources of a tenant, with how many deliveries each has brought."""

    async def work(found: "Opened") -> list[dict[str, Any]]:
        async with found.database.transaction(await tenant_of(found, tenant), read_only=True) as db:
            rows = await db.fetch(
                "SELECT id, name, system, instance, status, created_at, (SELECT count(*) FROM hook_deliveries d"
                " WHERE d.tenant_id = s.tenant_id AND d.source_id = s.id) AS deliveries"
                " FROM sources s ORDER BY created_at, id"
            )
        return [dict(row) for row in rows]

    columns = ("id", "name", "system", "instance", "status", "deliveries")
    table(run_on_database(read_settings(context), work), columns, as_json=as_json)
