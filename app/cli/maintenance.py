"""What an operator or a developer runs now and then: `holdfast migrate`, `rebuild`, `verify-lite`, the exports."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from app.cli.running import (
    EXIT_REFUSED,
    EXIT_UNUSABLE,
    Json,
    door,
    fail,
    read_settings,
    run,
    run_on_database,
    say,
)

if TYPE_CHECKING:
    from app.serving import Opened

Tenant = Annotated[UUID | None, typer.Option(help="Id of the tenant; all of them when left away.")]


def migrate(context: typer.Context, as_json: Json = False) -> None:
    """Bring the database up to this version. Its schema, and the shipped playbooks with it."""
    from app.logs import configure
    from app.postgres_programs import PostgresFailed
    from app.serving import StartRefused, embedded_server
    from app.serving import migrate as bring_up

    settings = read_settings(context)
    configure(level="error", style=settings.log_format)
    server = None
    try:
        server = embedded_server(settings)
        moved = run(bring_up(settings, server))
    except (StartRefused, PostgresFailed) as error:
        fail(str(error), EXIT_UNUSABLE)
    finally:
        if server is not None:
            server.stop()
    say({"changed": moved}, as_json=as_json, lines=["Brought up to date." if moved else "Nothing to do."])


def rebuild(
    context: typer.Context,
    check: Annotated[bool, typer.Option("--check", help="Only compare; nothing is written.")] = False,
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """Compare what is stored with what the events fold to. Ends with 1 where they differ."""
    if not check:
        fail("State is compared, never overwritten: run `holdfast rebuild --check`.", EXIT_UNUSABLE)
    _report(context, tenant, as_json, compare=True)


def verify_lite(context: typer.Context, tenant: Tenant = None, as_json: Json = False) -> None:
    """Verify the hash chains of all events. The digest of every event too; ends with 1 where one is broken."""
    _report(context, tenant, as_json, compare=False)


def _report(context: typer.Context, tenant: UUID | None, as_json: bool, *, compare: bool) -> None:
    async def work(found: "Opened") -> list[dict[str, Any]]:
        from app.cli.running import tenant_of
        from app.rebuild import check_tenant
        from app.serving import owner_dsn
        from app.tenants import list_tenants

        if tenant is not None:
            ids = [await tenant_of(found, tenant)]
        else:
            ids = [row["id"] for row in await list_tenants(owner_dsn(found.addresses))]
        return [await check_tenant(found.database, one, compare=compare) for one in ids]

    reports = run_on_database(read_settings(context), work)
    lines = [
        f"{one['tenant_id']}: {one['streams']} streams, {one['events']} events, faults: {len(one['faults'])}"
        for one in reports
    ]
    faults = [f"{one['tenant_id']}: {fault}" for one in reports for fault in one["faults"]]
    say(reports, as_json=as_json, lines=[*lines, *faults])
    if faults:
        raise SystemExit(EXIT_REFUSED)


def export_schemas(
    context: typer.Context,
    check: Annotated[bool, typer.Option("--check", help="Only compare; end with 1 where they differ.")] = False,
    folder: Annotated[Path, typer.Option(help="Where they are kept.")] = Path("openapi"),
) -> None:
    """Write openapi.json and schema.graphql. Their diff is the review of an API change."""
    from secrets import token_urlsafe

    settings = read_settings(context, secret_key=token_urlsafe(32))  # nothing is sealed; no file is made for it
    texts = {
        "openapi.json": door("api.schemas").text(door("api.server").create_api(settings)),
        "schema.graphql": door("api.graphql.schema").text(),
    }
    for name, wanted in texts.items():
        _write(folder / name, wanted, check=check)


def export_guides(
    check: Annotated[bool, typer.Option("--check", help="Only compare; end with 1 where they differ.")] = False,
    folder: Annotated[Path, typer.Option(help="Where they are kept.")] = Path("docs"),
) -> None:
    """Write the guides that are made of data. They tell of systems, tickets, settings and types of events."""
    from app.guides import guides
    from app.settings_guide import settings_guide
    from app.ticket_guide import ticket_guide
    from domain.event_types import event_types_page

    for name, wanted in guides().items():
        _write(folder / "systems" / name, wanted, check=check)
    _write(folder / "settings.md", settings_guide(), check=check)
    _write(folder / "ticket-systems.md", ticket_guide(), check=check)
    _write(folder / "event-types.md", event_types_page(), check=check)


def _write(path: Path, wanted: str, *, check: bool) -> None:
    is_current = path.exists() and path.read_text(encoding="utf-8") == wanted
    if check and not is_current:
        fail(f"{path} is not what the code says: run `make openapi` and commit it.", EXIT_REFUSED)
    if not is_current:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted, encoding="utf-8")
    print(f"{path} is up to date." if is_current else f"{path} is written.")
