"""From settings to a database that can be used: the embedded server or the one of DATABASE_URL, its schema, the first
tenant. Whatever stands in the way is said as the name of a setting and what to do about it."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import asyncpg

from app.database import Database, DatabaseAway, NotWalled
from app.migrating import head, revision, upgrade
from app.postgres import SUPERUSER, EmbeddedPostgres
from app.roles import RUNTIME, RolesMissing
from app.settings import Settings
from app.tenants import NewTenant, create_tenant, list_tenants

DATABASE_NAME: Final = "holdfast"
FIRST_TENANT: Final = "First tenant"
ADMIN_KEY: Final = "admin-key"
CONNECT_SECONDS_MAX: Final = 60.0
_LOCK: Final = 4_830_013  # of pg_advisory_lock: two processes that start at once make one first tenant


class StartRefused(Exception):
    """The service cannot start like this. The message names the setting and says how to put it right."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """How to reach the database: as the role the service runs as, and as the one that owns the tables, if known."""

    runtime: str
    owner: str | None


@dataclass(frozen=True, slots=True)
class Opened:
    """A database that is ready. `first` is the tenant that was made just now, on the first start."""

    settings: Settings
    database: Database
    addresses: Addresses
    first: NewTenant | None = None


def embedded_server(settings: Settings, *, must_exist: bool = False) -> EmbeddedPostgres | None:
    """The server of the data folder, started or attached to; None where DATABASE_URL names another.

    Call it from the main thread: the server ends with the thread that started it. Raises StartRefused.
    """
    if not settings.embedded:
        return None
    if must_exist and not (settings.data_dir / "postgres" / "PG_VERSION").exists():
        raise StartRefused(
            f"HOLDFAST_DATA_DIR: there is no database in {settings.data_dir.absolute()}. Name the folder of the "
            "running service, set DATABASE_URL, or make one with `holdfast serve`."
        )
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartRefused(
            f"HOLDFAST_DATA_DIR: {settings.data_dir.absolute()} cannot be made ({error.strerror}). "
            "Name a folder that this user may write to."
        ) from error
    if not os.access(settings.data_dir, os.W_OK | os.X_OK):
        raise StartRefused(f"HOLDFAST_DATA_DIR: {settings.data_dir.absolute()} is not writable by this user.")
    server = EmbeddedPostgres(settings.data_dir, bindir=settings.pg_bindir, all_cores=settings.pg_all_cores)
    server.start()
    return server


@asynccontextmanager
async def opened(
    settings: Settings, server: EmbeddedPostgres | None, *, serves: bool = True, pool_max: int | None = None
) -> AsyncIterator[Opened]:
    """The database with a schema that this code can use, as HOLDFAST_MIGRATE says. Raises StartRefused.

    A process that `serves` also makes the first tenant of the embedded database and imports new shipped playbooks; for
    any other it is enough that the schema is there.
    """
    try:
        addresses = await _prepare(settings, server, serves=serves)
        database = await Database.connect(
            addresses.runtime,
            min_size=min(settings.pool_min, pool_max or settings.pool_min),
            max_size=pool_max or settings.pool_max,
            wait_seconds=CONNECT_SECONDS_MAX,
        )
    except DatabaseAway as error:
        raise StartRefused(
            f"DATABASE_URL: no database answered within {CONNECT_SECONDS_MAX:.0f} s. Is it running, and is the address "
            "right?"
        ) from error
    except (NotWalled, RolesMissing) as error:
        raise StartRefused(f"DATABASE_URL: {error}") from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as error:
        raise StartRefused(f"DATABASE_URL: {_first_line(error)}") from error
    try:
        if settings.migrate_mode == "check":
            await _check_schema(database)
        first = await _first_tenant(settings, database, addresses) if serves and server else None
        yield Opened(settings, database, addresses, first)
    finally:
        await database.close()


async def migrate(settings: Settings, server: EmbeddedPostgres | None) -> bool:
    """Bring the schema up to date, whatever HOLDFAST_MIGRATE says; true when there was something to do.

    Raises StartRefused.
    """
    addresses = await _addresses(settings, server)
    try:
        return await _upgrade(addresses, server)
    except RolesMissing as error:
        raise StartRefused(f"HOLDFAST_OWNER_DATABASE_URL: {error}") from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise StartRefused(f"HOLDFAST_OWNER_DATABASE_URL: {_first_line(error)}") from error


def owner_dsn(addresses: Addresses) -> str:
    """The address that looks past the walls of tenants. Raises StartRefused when nobody gave it."""
    if addresses.owner is None:
        raise StartRefused(
            "HOLDFAST_OWNER_DATABASE_URL: this needs the role that owns the tables. Set it to the same database with "
            "an administrator's login."
        )
    return addresses.owner


async def _prepare(settings: Settings, server: EmbeddedPostgres | None, *, serves: bool) -> Addresses:
    addresses = await _addresses(settings, server)
    if settings.migrate_mode == "auto":
        await _upgrade(addresses, server, even_at_head=serves)
    return addresses


async def _addresses(settings: Settings, server: EmbeddedPostgres | None) -> Addresses:
    if server is not None:
        await _make_database(server)
        runtime = server.dsn(RUNTIME, server.password_of(RUNTIME), DATABASE_NAME)
        return Addresses(runtime, server.dsn(SUPERUSER, server.password_of(SUPERUSER), DATABASE_NAME))
    assert settings.database_url is not None, "either embedded or named"
    owner = settings.owner_database_url
    return Addresses(settings.database_url.get_secret_value(), owner.get_secret_value() if owner else None)


async def _make_database(server: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(server.superuser_dsn)
    try:
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE_NAME):
            await connection.execute(f"CREATE DATABASE {DATABASE_NAME}")
    except (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
        pass  # another process was first
    finally:
        await connection.close()


async def _upgrade(addresses: Addresses, server: EmbeddedPostgres | None, *, even_at_head: bool = True) -> bool:
    """Migrate unless the schema is at the head of this code, or one ahead of it while a rollout is under way.

    `even_at_head` looks after passwords and shipped playbooks there too, which reads all playbooks.
    """
    owner = owner_dsn(addresses)
    connection = await asyncpg.connect(owner, timeout=10)
    try:
        found = await revision(connection)
        runtime = RUNTIME if server is not None else _user_of(addresses.runtime)
        exists = await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", runtime)
    finally:
        await connection.close()
    if found is not None and int(found) > int(head()):
        _check_revision(found)
        return False
    if found == head() and not even_at_head:
        return False
    password: str | None = None  # that of a role which exists is its administrator's business
    if server is not None:
        password = server.password_of(RUNTIME)
    elif not exists:
        password = _password_of(addresses.runtime)
    return await upgrade(owner, runtime_role=runtime, runtime_password=password)


async def _check_schema(database: Database) -> None:
    found: str | None = None
    try:
        async with database.transaction(None, read_only=True) as db:
            found = await db.value("SELECT version_num FROM public.alembic_version")
    except (asyncpg.UndefinedTableError, asyncpg.InsufficientPrivilegeError):
        pass  # nothing of ours is there yet
    _check_revision(found)


def _check_revision(found: str | None) -> None:
    """Code N runs on schema N and N+1. Raises StartRefused for any other."""
    if found is None or int(found) < int(head()):
        raise StartRefused(
            f"The database has schema {found or 'none'}, this version needs {head()}. Run `holdfast migrate` with "
            "HOLDFAST_OWNER_DATABASE_URL set, or let the service do it with HOLDFAST_MIGRATE=auto."
        )
    if int(found) > int(head()) + 1:
        raise StartRefused(
            f"The database has schema {found}, which is too new for this version ({head()}). Run a newer Holdfast."
        )


async def _first_tenant(settings: Settings, database: Database, addresses: Addresses) -> NewTenant | None:
    """The first start makes a tenant, so that there is a key to begin with. It is kept before it opens anything."""
    owner = owner_dsn(addresses)
    connection = await asyncpg.connect(owner)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        if await list_tenants(owner):
            return None
        return await create_tenant(database, FIRST_TENANT, keep=_keeper(settings.data_dir / ADMIN_KEY))
    finally:
        await connection.close()


def _keeper(path: Path) -> Callable[[NewTenant], None]:
    def keep(new: NewTenant) -> None:
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(new.key + "\n")
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)

    return keep


def _user_of(dsn: str) -> str:
    user = urlsplit(dsn).username
    if not user:
        raise StartRefused("DATABASE_URL: names no user. Write postgresql://user:password@host/database.")
    return unquote(user)


def _password_of(dsn: str) -> str | None:
    password = urlsplit(dsn).password
    return unquote(password) if password else None


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
