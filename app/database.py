"""The database: a pool, and transactions that are walled to one tenant.

A transaction is opened at the edge and handed down as `db: Db`; leaving the block commits, raising rolls back. All
waiting is bounded, and a database that is away, busy or full reads as DatabaseAway: the caller may try again.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import monotonic
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from app.roles import NotWalled, assert_walled

__all__ = ["Database", "DatabaseAway", "DatabaseBusy", "Db", "NotWalled", "assert_walled"]

T = TypeVar("T")
log = logging.getLogger(__name__)

STATEMENT_TIMEOUT_SECONDS = 10
LOCK_TIMEOUT_SECONDS = 4
IDLE_IN_TRANSACTION_TIMEOUT_SECONDS = 15
ACQUIRE_TIMEOUT_SECONDS = 4
CONNECT_TIMEOUT_SECONDS = 4
ROLLBACK_TIMEOUT_SECONDS = 2

NOBODY = UUID(int=0)  # stands for an empty client limit: '' would mean none


class DatabaseAway(Exception):
    """The database does not answer now: down, starting, restarting, full, or out of connections. Nothing was decided
    here unless the failure came with the commit itself, which is then known only to the database."""

    retry_after_seconds = 2


class DatabaseBusy(DatabaseAway):
    """The database answers, but the work waited too long for a lock, a connection or its turn."""

    retry_after_seconds = 1


class Db:
    """One open transaction, walled to one tenant. Parameters are $1, $2, ...; JSON goes in and comes out as text."""

    __slots__ = ("connection", "tenant_id")

    def __init__(self, connection: asyncpg.Connection, tenant_id: UUID | None) -> None:
        self.connection = connection
        self.tenant_id: UUID = tenant_id or NOBODY

    async def fetch(self, sql: str, *args: Any) -> list[asyncpg.Record]:
        """All rows."""
        rows: list[asyncpg.Record] = await self.connection.fetch(sql, *args)
        return rows

    async def row(self, sql: str, *args: Any) -> asyncpg.Record | None:
        """The first row, or None."""
        return await self.connection.fetchrow(sql, *args)

    async def value(self, sql: str, *args: Any) -> Any:
        """The first column of the first row, or None."""
        return await self.connection.fetchval(sql, *args)

    async def each(self, sql: str, values: Sequence[Sequence[Any]]) -> list[asyncpg.Record]:
        """The rows of a statement that is run once for each of `values`, in their order and in one round trip."""
        rows: list[asyncpg.Record] = await self.connection.fetchmany(sql, values) if values else []
        return rows

    async def execute(self, sql: str, *args: Any) -> str:
        """Run a statement; the answer is its command tag."""
        tag: str = await self.connection.execute(sql, *args)
        return tag

    async def wall(
        self,
        client_ids: Collection[UUID] | None,
        member_id: UUID | None,
        period_from: datetime | None = None,
        period_to: datetime | None = None,
    ) -> None:
        """Limit the rest of the transaction: to incidents of these clients alone, to incidents of this member, to
        incidents discovered in a period (half-open).

        None means no such limit; an empty collection of clients means that no client is visible.
        """
        await self.connection.execute(_limits(client_ids, member_id, period_from, period_to))

    async def hold(self, incident_id: UUID) -> None:
        """Name the incident that this transaction opens, for a caller with limits.

        The walls of its children look the incident up, and the statement that inserts both cannot see it yet.
        """
        await self.connection.execute(f"SET LOCAL app.incident_id='{UUID(int=incident_id.int)}'")


def _limits(
    client_ids: Collection[UUID] | None,
    member_id: UUID | None,
    period_from: datetime | None,
    period_to: datetime | None,
) -> str:
    """One simple query, which needs no preparing; made of UUIDs and instants alone, so there is nothing to quote."""
    settings = {
        "client_ids": None if client_ids is None else ",".join(str(UUID(int=one.int)) for one in client_ids) or NOBODY,
        "member_id": None if member_id is None else UUID(int=member_id.int),
        "period_from": None if period_from is None else period_from.astimezone(UTC).isoformat(),
        "period_to": None if period_to is None else period_to.astimezone(UTC).isoformat(),
    }
    return ";".join(f"SET LOCAL app.{name}='{'' if value is None else value}'" for name, value in settings.items())


class Database:
    """The pool of the runtime role. Make one with `Database.connect` and close it at the end.

    `dsn` is for the one connection beside the pool, which listens.
    """

    def __init__(self, pool: asyncpg.Pool, acquire_seconds: float, dsn: str) -> None:
        self._pool = pool
        self.dsn = dsn
        self._acquire_seconds = acquire_seconds

    @classmethod
    async def connect(
        cls,
        dsn: str,
        *,
        min_size: int = 1,
        max_size: int = 10,
        wait_seconds: float = 60,
        acquire_seconds: float = ACQUIRE_TIMEOUT_SECONDS,
        statement_cache_size: int = 256,
        application_name: str = "holdfast",
    ) -> "Database":
        """Open the pool, waiting up to `wait_seconds` for a database that is away or still starting.

        Afterwards a transaction waits up to `acquire_seconds` for a connection of the pool.
        `statement_cache_size=0` is for a pooler in transaction mode. Raises DatabaseAway when the wait was in vain and
        NotWalled when the role of `dsn` would look past row-level security.
        """
        deadline = monotonic() + wait_seconds
        pause = first_pause = 0.05
        while True:
            pool = asyncpg.create_pool(
                dsn,
                min_size=min_size,
                max_size=max_size,
                timeout=CONNECT_TIMEOUT_SECONDS,
                reset=_reset,
                statement_cache_size=statement_cache_size,
                max_inactive_connection_lifetime=300,
                server_settings=_server_settings(application_name),
            )
            try:
                await pool
                async with pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS) as connection:
                    await assert_walled(connection)
                return cls(pool, acquire_seconds, dsn)
            except BaseException as error:
                pool.terminate()
                away = _not_connected(error)
                if away is None:
                    raise
                if monotonic() + pause > deadline:
                    raise away from error
                if pause == first_pause:
                    log.warning("the database does not answer yet: asking again for %.0f s", wait_seconds)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 1)

    async def close(self, *, timeout_seconds: float = 5) -> None:
        """Wait for the transactions that are open, then drop what is left."""
        try:
            await asyncio.wait_for(self._pool.close(), timeout_seconds)
        except TimeoutError:
            self._pool.terminate()

    @property
    def size(self) -> tuple[int, int]:
        """Connections that are open, and how many of them are idle."""
        return self._pool.get_size(), self._pool.get_idle_size()

    @asynccontextmanager
    async def transaction(self, tenant_id: UUID | None, *, read_only: bool = False) -> AsyncIterator[Db]:
        """Commit when the block ends, roll back when it raises. Nothing else commits.

        Without a tenant every tenant table reads as empty. Raises DatabaseAway, whatever the driver called it.
        """
        begin = _begin(tenant_id, read_only=read_only)
        connection = await self._begun(begin)
        try:
            try:
                yield Db(connection, tenant_id)
                if await connection.execute("COMMIT") != "COMMIT":
                    # An error was caught inside the block, and the server rolls such a transaction back in silence.
                    raise asyncpg.InFailedSQLTransactionError("the transaction had failed and was rolled back")
            except BaseException as error:
                await _roll_back(connection)
                away = _away(error)
                if away is None:
                    raise
                raise away from error
        finally:
            await self._pool.release(connection)

    async def run(
        self,
        tenant_id: UUID | None,
        work: Callable[[Db], Awaitable[T]],
        *,
        retries: int = 2,
        read_only: bool = False,
    ) -> T:
        """Do `work` in a transaction; again, from the start, when it lost a race or met a stale plan.

        `work` must be safe to repeat: it is called with a fresh transaction after the earlier one was rolled back.
        """
        for left in range(retries, -1, -1):
            try:
                async with self.transaction(tenant_id, read_only=read_only) as db:
                    return await work(db)
            except _REPEATABLE as error:
                if left == 0:
                    raise DatabaseBusy("the transaction lost its race too often") from error
        raise AssertionError("the last try returns or raises")

    async def is_reachable(self) -> bool:
        """Whether the database answers a question within a second or two."""
        try:
            async with asyncio.timeout(2), self.transaction(None, read_only=True) as db:
                return bool(await db.value("SELECT 1") == 1)
        except (DatabaseAway, TimeoutError, asyncpg.PostgresError):
            return False

    async def _begun(self, begin: str) -> asyncpg.pool.PoolConnectionProxy:
        """A connection with the transaction open. A connection that died in the pool is dropped and replaced."""
        deadline = monotonic() + self._acquire_seconds
        while True:
            try:
                async with asyncio.timeout(max(deadline - monotonic(), 0.05)):  # the pool's own would cost a task
                    connection = await self._pool.acquire()
            except Exception as error:
                away = _not_connected(error)
                if away is None:
                    raise
                raise away from error
            try:
                await connection.execute(begin)
                return connection
            except BaseException as error:
                await asyncio.shield(self._drop(connection))
                away = _away(error)
                if away is None:
                    raise
                if monotonic() > deadline:
                    raise away from error

    async def _drop(self, connection: asyncpg.pool.PoolConnectionProxy) -> None:
        _terminate(connection)
        await self._pool.release(connection)


def _server_settings(application_name: str) -> dict[str, str]:
    """What every connection of the pool is set to."""
    return {
        "application_name": application_name,
        "TimeZone": "UTC",
        "jit": "off",
        # Our statements are long and few: planning one costs milliseconds, five times per connection, and
        # the plan for its values is the plan for any. Filters whose values are skewed ask otherwise.
        "plan_cache_mode": "force_generic_plan",
        # A plan made while its table was young would read it whole for ever: the checks of foreign keys are
        # planned once per connection. Every question of ours names its tenant, so an index always serves.
        "enable_seqscan": "off",
        "search_path": "public",
        "statement_timeout": f"{STATEMENT_TIMEOUT_SECONDS}s",
        "lock_timeout": f"{LOCK_TIMEOUT_SECONDS}s",
        "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_TIMEOUT_SECONDS}s",
    }


def _begin(tenant_id: UUID | None, *, read_only: bool) -> str:
    """BEGIN and the tenant in one round trip: a simple query takes several commands but no parameters.

    SET rather than set_config: there is nothing to plan and no row to send, which halves what it costs the database.
    """
    mode = " READ ONLY" if read_only else ""
    if tenant_id is None:
        return f"BEGIN{mode}"
    return f"BEGIN{mode};SET LOCAL app.tenant_id='{UUID(int=tenant_id.int)}'"


async def _roll_back(connection: asyncpg.pool.PoolConnectionProxy) -> None:
    """Roll back, or drop the connection where even that is not possible: then the server rolls back."""

    async def send() -> None:
        await connection.execute("ROLLBACK", timeout=ROLLBACK_TIMEOUT_SECONDS)

    rollback = asyncio.create_task(send())
    rollback.add_done_callback(lambda done: done.cancelled() or done.exception())  # told below, or too late to matter
    try:
        await asyncio.shield(rollback)
    except Exception:
        _terminate(connection)
    except BaseException:
        _terminate(connection)
        raise


def _terminate(connection: asyncpg.pool.PoolConnectionProxy) -> None:
    try:
        connection.terminate()
    except asyncpg.InterfaceError:
        pass  # the connection was lost, and the pool has taken it back already


async def _reset(connection: asyncpg.Connection) -> None:
    """Before a connection goes back: nothing to undo, since settings and locks are the transaction's own.

    The driver's own reset costs a round trip each time.
    """
    if connection.is_in_transaction():
        await connection.execute("ROLLBACK")


_REPEATABLE = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.InvalidCachedStatementError,
)

_BUSY = (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError, asyncpg.IdleInTransactionSessionTimeoutError)

_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.InternalClientError,  # how the driver meets the farewell of a server that ended the connection meanwhile
    ConnectionError,
)


def _away(error: BaseException) -> DatabaseAway | None:
    """The same failure as DatabaseAway or DatabaseBusy, when it is one."""
    if isinstance(error, _BUSY):
        return DatabaseBusy("the database took too long")
    if isinstance(error, _AWAY):
        return DatabaseAway("the database is away")
    # A connection that the server ended is closed, or the pool has taken it back already: the same loss.
    if isinstance(error, asyncpg.InterfaceError) and ("clos" in str(error) or "released" in str(error)):
        return DatabaseAway("the database connection was lost")
    return None


def _not_connected(error: BaseException) -> DatabaseAway | None:
    """As `_away`, for the act of getting a connection: there a timeout or a missing socket is the database's too."""
    if isinstance(error, TimeoutError):
        return DatabaseBusy("no database connection became free in time")
    if isinstance(error, OSError):
        return DatabaseAway("the database is away")
    return _away(error)
