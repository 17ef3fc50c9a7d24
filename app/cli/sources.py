"""`holdfast sources`: the systems that send webhooks."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from app.cli.running import (
    EXIT_REFUSED,
    EXIT_UNUSABLE,
    Json,
    Tenant,
    fail,
    read_settings,
    run_on_database,
    say,
    table,
    tenant_of,
)

if TYPE_CHECKING:
    from app.serving import Opened
    from app.source_previews import Preview

commands = typer.Typer(no_args_is_help=True)


@commands.callback()
def _sources() -> None:
    """Systems that send webhooks to a tenant."""


@commands.command("list")
def list_all(
    context: typer.Context,
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """List the sources of a tenant. With how many deliveries each has brought."""

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


@commands.command("preview")
def preview_body(
    context: typer.Context,
    body: Annotated[Path, typer.Argument(help="File with the body as it is sent.", exists=True, dir_okay=False)],
    source: Annotated[UUID, typer.Option(help="Id of the source that it would be sent to.")],
    mapping: Annotated[
        Path | None, typer.Option(help="File with a mapping to try instead of the source's.", exists=True)
    ] = None,
    header: Annotated[list[str] | None, typer.Option(help="A header, as `Name: value`.")] = None,
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """Tell what a delivery would do, without doing it."""
    from msgspec import to_builtins

    from app.source_previews import preview
    from domain.refusals import NotFound
    from domain.signatures import Received

    pairs = [one.partition(":") for one in header or []]
    headers = {"content-type": "application/json"} | {name.strip().lower(): text.strip() for name, _, text in pairs}
    received = Received(body=body.read_bytes(), headers=headers)
    try:
        given = json.loads(mapping.read_text(encoding="utf-8")) if mapping is not None else None
    except ValueError:
        fail(f"{mapping}: this is not JSON.", EXIT_UNUSABLE)

    async def work(found: "Opened") -> "Preview":
        try:
            return await preview(found.database, await tenant_of(found, tenant), source, received, given)
        except NotFound:
            fail("There is no such source. `holdfast sources list` shows them.", EXIT_REFUSED)

    said = run_on_database(read_settings(context), work)
    lines = [f"{said.result}: {said.because}"]
    lines += [f"  {event['action']} because of {event['rule']}" for event in said.events]
    lines += [f"    {name}: {value}" for event in said.events for name, value in event.items() if name not in SAID]
    lines += [f"  fault at {one['pointer']}: {one['reason']}" for one in said.errors]
    say(to_builtins(said), as_json=as_json, lines=lines)


SAID = ("action", "rule", "because")
