"""Running a command: settings, the database it works on, and what it says when something stands in the way."""

import importlib
import json
import os
import sys
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar
from uuid import UUID

import typer

if TYPE_CHECKING:
    from app.serving import Opened
    from app.settings import Settings

T = TypeVar("T")
Json = Annotated[bool, typer.Option("--json", help="Answer JSON, for scripts.")]
Tenant = Annotated[UUID | None, typer.Option(help="Id of the tenant; may be left away where there is one.")]
EXIT_REFUSED = 1
EXIT_UNUSABLE = 2


@dataclass
class Chosen:
    """Settings that were chosen by options of the command line."""

    given: dict[str, Any] = field(default_factory=dict)


def read_settings(context: typer.Context, **more: Any) -> "Settings":
    """The settings of the environment and of options. Ends the process with one line per wrong setting."""
    from pydantic import ValidationError

    from app.settings import Settings, explain

    given = {**context.obj.given, **{name: value for name, value in more.items() if value is not None}}
    try:
        settings = Settings(**given)
    except ValidationError as error:
        fail(explain(error), EXIT_UNUSABLE)
    for name in unknown_variables(Settings.model_fields):
        print(f"{name}: is no setting and does nothing.", file=sys.stderr)
    return settings


def unknown_variables(known: Collection[str]) -> list[str]:
    """Variables of the environment that read like settings and are none: a slip of the pen is otherwise never found."""
    names = {f"HOLDFAST_{name.upper()}" for name in known}
    return sorted(name for name in os.environ if name.upper().startswith("HOLDFAST_") and name.upper() not in names)


def run_on_database(
    settings: "Settings", work: Callable[["Opened"], Awaitable[T]], *, may_make: bool = False, quiet: bool = True
) -> T:
    """Do `work` on the database of the settings: the embedded one is attached to, or started for so long.

    `may_make` lets a data folder without a database get one. Ends the process with a message when it cannot.
    """
    from app.logs import configure
    from app.postgres_programs import PostgresFailed
    from app.serving import StartRefused, embedded_server, opened
    from domain.refusals import Refusal

    configure(level="error" if quiet else settings.log_level, style=settings.log_format)

    async def main() -> T:
        async with opened(settings, server, serves=False, pool_max=2) as found:
            return await work(found)

    server = None
    try:
        server = embedded_server(settings, must_exist=not may_make)
        done: T = run(main())
        return done
    except (StartRefused, PostgresFailed) as error:
        fail(str(error), EXIT_UNUSABLE)
    except Refusal as refusal:
        fail("\n".join([refusal.detail, *(f"  {one.pointer}: {one.reason}" for one in refusal.errors)]), EXIT_REFUSED)
    finally:
        if server is not None:
            server.stop()


def run(main: Any) -> Any:
    """Run a coroutine on the fast event loop where there is one."""
    import asyncio

    try:
        from uvloop import new_event_loop as loop_factory
    except ImportError:  # not on Windows
        loop_factory = asyncio.new_event_loop  # type: ignore[assignment]
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(main)


def door(name: str) -> Any:
    """A module of the floor above. The command line stands before all doors, although it lives on this floor."""
    return importlib.import_module(name)


async def tenant_of(found: "Opened", given: UUID | None) -> UUID:
    """The tenant that was named, or the only one there is. Ends the process when that is not clear."""
    from app.serving import owner_dsn
    from app.tenants import find_tenant, list_tenants

    if given is not None:
        if await find_tenant(found.database, given) is None:
            fail(f"There is no tenant {given}.", EXIT_REFUSED)
        return given
    tenants = await list_tenants(owner_dsn(found.addresses))
    if len(tenants) != 1:
        fail(f"There are {len(tenants)} tenants: name one with --tenant (`holdfast tenants list`).", EXIT_REFUSED)
    only: UUID = tenants[0]["id"]
    return only


def say(value: Any, *, as_json: bool, lines: Sequence[str]) -> None:
    """Answer: as JSON for scripts, else as lines."""
    if as_json:
        print(json.dumps(value, default=_text, ensure_ascii=False))
    else:
        print("\n".join(lines))


def table(rows: Sequence[dict[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    """Answer with rows: as a JSON array for scripts, else as a table."""
    if as_json:
        print(json.dumps(list(rows), default=_text, ensure_ascii=False))
        return
    from rich.cells import cell_len, set_cell_size

    cells = [[" ".join(_text(row[name]).split()) if row[name] is not None else "" for name in columns] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(columns, *cells, strict=True)]
    for line in [list(columns), *cells]:  # never cut to the width of the terminal: an id is there to be copied
        print("  ".join(map(set_cell_size, line, widths)).rstrip())


def fail(message: str, code: int) -> NoReturn:
    """End the process with a message on standard error."""
    print(message, file=sys.stderr)
    raise SystemExit(code)


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if hasattr(value, "isoformat"):
        return str(value.isoformat()).replace("+00:00", "Z")
    return str(value)
