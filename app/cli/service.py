"""`holdfast serve` and `holdfast worker`: the processes that stay."""

import logging
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.lean_imports import without_terminals
from app.cli.running import EXIT_UNUSABLE, door, fail, read_settings, run

if TYPE_CHECKING:
    from app.serving import Opened


def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on [HOLDFAST_HOST].")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one [HOLDFAST_PORT].")] = None,
) -> None:
    """Serve the API and do the background work.

    It works on the embedded database unless DATABASE_URL names another.
    """
    settings = read_settings(context, host=host, port=port)  # before all else is imported: a wrong one is told at once

    with without_terminals():
        from app.logs import configure
        from app.postgres_programs import PostgresFailed
        from app.serving import StartRefused, embedded_server
        from app.standing import bind, free_metrics_port, stand

    configure(level=settings.log_level, style=settings.log_format)
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)  # six lines about itself
    server = None
    try:
        with bind(settings) as listener:
            settings = free_metrics_port(settings.model_copy(update={"port": listener.getsockname()[1]}))
            server = embedded_server(settings)
            with without_terminals():
                create_api = door("api.server").create_api
            run(stand(settings, server, listener, create_api, _welcome))
    except (StartRefused, PostgresFailed) as error:
        fail(str(error), EXIT_UNUSABLE)
    finally:
        if server is not None:
            server.stop()


def worker(context: typer.Context) -> None:
    """Do the background work alone. Any number of `holdfast serve` may run beside it."""
    settings = read_settings(context)

    with without_terminals():
        from app.logs import configure
        from app.postgres_programs import PostgresFailed
        from app.serving import StartRefused, embedded_server
        from app.standing import work_alone

    configure(level=settings.log_level, style=settings.log_format)
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)  # six lines about itself
    server = None
    try:
        server = embedded_server(settings)
        run(work_alone(settings, server))
    except (StartRefused, PostgresFailed) as error:
        fail(str(error), EXIT_UNUSABLE)
    finally:
        if server is not None:
            server.stop()


def _welcome(found: "Opened", address: str) -> None:
    """What is said once it listens; the first key is shown only by the start that made it."""
    if found.first is not None:
        kept = found.settings.data_dir / "admin-key"
        print(f"First tenant {found.first.tenant_id}. Key of its administrator, kept in {kept}:", flush=True)
        print(f"  {found.first.key}", flush=True)
    print(f"Holdfast listens on {address} (reference: {address}/docs)", flush=True)
