"""The command line. Nothing heavy is imported before a command runs, so `holdfast --help` answers at once."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli import connections, demo, keys, maintenance, service, sources, tenants
from app.cli.running import Chosen

commands = typer.Typer(
    name="holdfast",
    help="Incident response for AI systems.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@commands.callback()
def _choose(
    context: typer.Context,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of the embedded database, keys and evidence [HOLDFAST_DATA_DIR].")
    ] = None,
) -> None:
    """Incident response for AI systems. Settings come from the environment; options win over them."""
    context.obj = Chosen({} if data_dir is None else {"data_dir": data_dir})


commands.command()(service.serve)
commands.command()(service.worker)
commands.command()(demo.demo)
commands.command()(maintenance.migrate)
commands.command()(maintenance.rebuild)
commands.command("verify-lite")(maintenance.verify_lite)
commands.command("export-schemas")(maintenance.export_schemas)
commands.command("export-guides")(maintenance.export_guides)
commands.add_typer(tenants.commands, name="tenants", help="Organisations using the service.")
commands.add_typer(keys.commands, name="keys", help="API keys of a tenant.")
commands.add_typer(connections.commands, name="connections", help="Systems that a tenant calls.")
commands.add_typer(sources.commands, name="sources", help="Systems that send webhooks to a tenant.")


def main() -> None:
    """Run the command that the arguments name."""
    commands(prog_name="holdfast")
