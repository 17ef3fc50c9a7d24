"""`holdfast keys`: create, list, revoke. For whoever administers the installation, past the permission table."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from app.cli.running import EXIT_REFUSED, Json, Tenant, fail, read_settings, run_on_database, say, table, tenant_of

if TYPE_CHECKING:
    from app.serving import Opened

commands = typer.Typer(no_args_is_help=True)


@commands.command()
def create(
    context: typer.Context,
    tenant: Tenant = None,
    person: Annotated[UUID | None, typer.Option(help="Id of the person it belongs to.")] = None,
    service_account: Annotated[UUID | None, typer.Option(help="Id of the service account it belongs to.")] = None,
    name: Annotated[str, typer.Option(help="What it is called.")] = "Issued by the command line",
    expires_at: Annotated[datetime | None, typer.Option(help="When it ends, in UTC.")] = None,
    as_json: Json = False,
) -> None:
    """Issue a key to a person or a service account. Without either to the first active administrator."""
    ends = expires_at.replace(tzinfo=UTC) if expires_at else None

    async def work(found: "Opened") -> dict[str, Any]:
        from app.keys import issue_key_for

        tenant_id = await tenant_of(found, tenant)
        async with found.database.transaction(tenant_id) as db:
            return await issue_key_for(db, person, service_account, name, ends)

    made = run_on_database(read_settings(context), work)
    say(made, as_json=as_json, lines=[f"Key {made['id']}, shown only here:", f"  {made['key']}"])


@commands.command("list")
def list_all(context: typer.Context, tenant: Tenant = None, as_json: Json = False) -> None:
    """List the keys of a tenant, oldest first, never their secrets."""

    async def work(found: "Opened") -> list[dict[str, Any]]:
        from app.keys import list_keys

        async with found.database.transaction(await tenant_of(found, tenant), read_only=True) as db:
            return [dict(row) for row in await list_keys(db)]

    columns = ("id", "name", "prefix", "holder", "expires_at", "last_used_at", "revoked_at")
    table(run_on_database(read_settings(context), work), columns, as_json=as_json)


@commands.command()
def revoke(
    context: typer.Context,
    key: Annotated[UUID, typer.Argument(help="Id of the key.")],
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """Revoke a key: it counts no more from the next request on."""

    async def work(found: "Opened") -> bool:
        from app.keys import revoke_any_key

        async with found.database.transaction(await tenant_of(found, tenant)) as db:
            return await revoke_any_key(db, key)

    if not run_on_database(read_settings(context), work):
        fail(f"There is no key {key} in this tenant.", EXIT_REFUSED)
    say({"id": key, "revoked": True}, as_json=as_json, lines=[f"Key {key} is revoked."])
