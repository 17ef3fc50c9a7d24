"""`holdfast tenants`: create, list, show."""

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from app.cli.running import EXIT_REFUSED, Json, fail, read_settings, run_on_database, say, table

if TYPE_CHECKING:
    from app.serving import Opened
    from app.tenants import NewTenant

commands = typer.Typer(no_args_is_help=True)


@commands.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the organisation.")],
    person: Annotated[str, typer.Option(help="Name of its first person.")] = "First administrator",
    email: Annotated[str | None, typer.Option(help="Address of that person.")] = None,
    as_json: Json = False,
) -> None:
    """Create a tenant with its first person. That person's key is shown only here."""

    async def work(found: "Opened") -> "NewTenant":
        from app.tenants import create_tenant

        return await create_tenant(found.database, name, person_name=person, email=email)

    new = run_on_database(read_settings(context), work, may_make=True)
    answer = {
        "id": new.tenant_id,
        "name": new.name,
        "person_id": new.person_id,
        "key_id": new.key_id,
        "key": new.key,
    }
    lines = [f"Tenant {new.tenant_id} ({new.name}).", "Key of its administrator, shown only here:", f"  {new.key}"]
    say(answer, as_json=as_json, lines=lines)


@commands.command("list")
def list_all(context: typer.Context, as_json: Json = False) -> None:
    """List all tenants, oldest first."""

    async def work(found: "Opened") -> list[dict[str, Any]]:
        from app.serving import owner_dsn
        from app.tenants import list_tenants

        return [dict(row) for row in await list_tenants(owner_dsn(found.addresses))]

    table(run_on_database(read_settings(context), work), ("id", "name", "created_at"), as_json=as_json)


@commands.command()
def show(
    context: typer.Context,
    tenant: Annotated[UUID, typer.Argument(help="Id of the tenant.")],
    as_json: Json = False,
) -> None:
    """Show a tenant and how much it holds."""

    async def work(found: "Opened") -> dict[str, Any] | None:
        from app.tenants import find_tenant

        return await find_tenant(found.database, tenant)

    found = run_on_database(read_settings(context), work)
    if found is None:
        fail(f"There is no tenant {tenant}.", EXIT_REFUSED)
    say(found, as_json=as_json, lines=[f"{name}: {value}" for name, value in found.items()])
