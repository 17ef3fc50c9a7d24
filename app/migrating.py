"""Bringing a database to the schema of this code: roles, migrations, the shipped playbooks."""

import asyncio
import re
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg

from app.catalogue import import_catalogue
from app.roles import RUNTIME, lend_rights, prepare_roles, set_password, take_rights_back

# Any two processes may start at once; the second waits and finds nothing left to do.
_LOCK = 4_830_012

_MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"


@cache
def head() -> str:
    """The newest revision of this code. Read from the file names, since importing Alembic takes most of a second."""
    names = (path.name for path in (_MIGRATIONS / "versions").glob("*.py"))
    return max(found[1] for name in names if (found := re.match(r"(\d{4})_\w+\.py$", name)))


async def revision(connection: asyncpg.Connection) -> str | None:
    """The revision that a database is on; null for an empty one."""
    try:
        found: str | None = await connection.fetchval("SELECT version_num FROM public.alembic_version")
    except asyncpg.UndefinedTableError:
        return None
    return found


async def upgrade(
    owner_dsn: str, *, runtime_role: str = RUNTIME, runtime_password: str | None = None, to: str = "head"
) -> bool:
    """Bring the database of `owner_dsn` to the newest revision; true when there was something to do.

    `owner_dsn` logs in as a superuser (embedded), as holdfast_owner or as an administrator who may create roles.
    Raises app.roles.RolesMissing when an administrator has to prepare a role first.
    """
    connection = await asyncpg.connect(owner_dsn, timeout=10, server_settings={"TimeZone": "UTC"})
    try:
        if to == "head" and await revision(connection) == head():
            if runtime_password is not None:
                await set_password(connection, runtime_role, runtime_password)
            return await import_catalogue(connection)
        await prepare_roles(connection, runtime_role, runtime_password)
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        owner_role = await lend_rights(connection)
        try:
            attributes = {"dsn": owner_dsn, "runtime_role": runtime_role, "owner_role": owner_role}
            await asyncio.to_thread(_run, "upgrade", to, attributes)
            await import_catalogue(connection)
        finally:
            await take_rights_back(connection)
        return True
    finally:
        await connection.close()


async def downgrade(owner_dsn: str, to: str, *, runtime_role: str = RUNTIME) -> None:
    """Take migrations back, down to revision `to` (exclusive) or `base`. What they had stored is lost."""
    connection = await asyncpg.connect(owner_dsn, timeout=10)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        owner_role = await lend_rights(connection)
        try:
            attributes = {"dsn": owner_dsn, "runtime_role": runtime_role, "owner_role": owner_role}
            await asyncio.to_thread(_run, "downgrade", to, attributes)
        finally:
            await take_rights_back(connection)
    finally:
        await connection.close()


def _run(command: str, to: str, attributes: dict[str, Any]) -> None:
    from alembic import command as commands  # 0.9 s, and needed only when there is something to do
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes.update(attributes)
    getattr(commands, command)(config, to)
