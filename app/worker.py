"""The worker: finds out which tenants have due work, claims it, does it. Any number of workers may run.

It wakes when the database says that something is due, and looks by itself at least every POLL_SECONDS: a notification
lost with its connection costs that much and no more. An idle installation costs one question per look, however many
tenants it has.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import structlog

from app.announcing import KIND as DEADLINE
from app.announcing import announce_deadlines
from app.courier import Courier
from app.database import Database, DatabaseAway
from app.deliveries import FETCH
from app.delivery_lookups import Lookups
from app.delivery_retention import KIND as RETENTION
from app.delivery_retention import forget_deliveries
from app.dialling import Dialler
from app.due_work import CHANNEL, Claim, claim_due, put_off
from app.evidence_store import EvidenceStore
from app.evidence_sweep import KIND as SWEEP
from app.evidence_sweep import SWEPT_AFTER_SECONDS, sweep, sweep_claimed
from app.following import CHANNEL as EVENTS
from app.reevaluating import reevaluate
from app.reevaluation import KIND as REEVALUATE
from app.risk_reviews import KIND as RISK_REVIEW
from app.risk_reviews import announce_late_reviews
from app.secrets import vault_of
from app.sequencer import Sequencer
from app.settings import Settings
from app.source_files import Keeping
from app.source_silence import KIND as SILENCE
from app.source_silence import announce_silence
from app.tool_entries import REVIEW, announce_review
from app.waiting_tenants import DUE_WORK, waiting_tenants

POLL_SECONDS = 5.0
POLL_UNHEARD_SECONDS = 1.0  # while nothing wakes us: without a listening connection, or while it is down
PAUSE_SECONDS = 0.05  # between two looks, so that a burst of notifications is one look
CLAIMS_AT_ONCE = 4
SWEEP_ALL_SECONDS = 24 * 3600.0
log = structlog.get_logger("holdfast.worker")

Work = Callable[[Database, Claim], Awaitable[None]]


def utc_now() -> datetime:
    """The clock of this machine."""
    return datetime.now(UTC)


class Worker:
    """One worker. `run` works until `stop`; `work_for` does what is due for one tenant and returns.

    `clock` tells what time it is. `listen_dsn` is where to listen for wake-ups (default: the database of `settings`);
    behind a pooler in transaction mode there are none, and looking does. `kinds` adds to what the worker can do.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        clock: Callable[[], datetime] = utc_now,
        listen_dsn: str | None = None,
        kinds: Mapping[str, Work] | None = None,
    ) -> None:
        self.database = database
        self._clock = clock
        given = settings.database_url
        self._dsn = listen_dsn or (given.get_secret_value() if given else None)
        self._store = EvidenceStore(settings.data_dir / "evidence")
        vault, keeping = vault_of(settings), Keeping(self._store, settings)
        lookups = Lookups(vault, Dialler(settings), keeping)
        self._kinds: dict[str, Work] = {
            DEADLINE: announce_deadlines,
            FETCH: lookups.work,
            REEVALUATE: reevaluate,
            RETENTION: forget_deliveries,
            REVIEW: announce_review,
            RISK_REVIEW: announce_late_reviews,
            SILENCE: announce_silence,
            SWEEP: lambda database, claim: sweep_claimed(database, claim, self._store),
            **(kinds or {}),
        }
        self.courier = Courier(database, settings, vault, clock=clock)
        self.sequencer = Sequencer(database)
        self._wake = asyncio.Event()
        self._stopping = False
        self._is_heard = False
        self._at_once = asyncio.Semaphore(CLAIMS_AT_ONCE)

    async def run(self) -> None:
        """Work until `stop` is called; what is in hand then is finished. A database that is away is waited for."""
        sending = [asyncio.create_task(one.run()) for one in (self.courier, self.sequencer)]
        beside = [asyncio.create_task(self._listen()), asyncio.create_task(self._sweep_all())]
        try:
            while not self._stopping:
                self._wake.clear()
                if await self._look():
                    continue
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS if self._is_heard else POLL_UNHEARD_SECONDS):
                        await self._wake.wait()
                await asyncio.sleep(PAUSE_SECONDS)
            await asyncio.gather(*sending)
        finally:
            for task in (*sending, *beside):
                task.cancel()
            await asyncio.gather(*sending, *beside, return_exceptions=True)

    def stop(self) -> None:
        """Let `run` return after what it is doing."""
        self._stopping = True
        self._wake.set()
        self.courier.stop()
        self.sequencer.stop()

    async def work_for(self, tenant_id: UUID) -> int:
        """Do what is due for a tenant until nothing is; how many pieces of work that was, failed ones included."""
        done = 0
        while not self._stopping and (some := await self._some_of(tenant_id)):
            done += some
        return done

    async def _some_of(self, tenant_id: UUID) -> int:
        """Do some of what is due for a tenant; how much. One that has very much due does not keep others waiting."""
        claims = await claim_due(self.database, tenant_id, self._kinds, self._clock())
        await asyncio.gather(*(self._do(claim) for claim in claims))
        return len(claims)

    async def _look(self) -> bool:
        """Whether anything was done."""
        try:
            tenants = await waiting_tenants(self.database, DUE_WORK)
            random.shuffle(tenants)  # workers that wake together begin with different tenants
            done = False
            for tenant_id in tenants:
                if self._stopping:
                    break
                done = await self._some_of(tenant_id) > 0 or done
            return done
        except DatabaseAway as away:
            log.warning("database away", error=type(away).__name__)
            return False
        except Exception as error:
            log.error("worker failed", error=type(error).__name__)
            return False

    async def _do(self, claim: Claim) -> None:
        async with self._at_once:
            try:
                await self._kinds[claim.kind](self.database, claim)
                return
            except Exception as error:
                # Messages may hold what callers typed; kind, subject and type are enough to find it.
                log.error(
                    "work failed",
                    kind=claim.kind,
                    tenant=str(claim.tenant_id),
                    subject=str(claim.subject_id),
                    attempts=claim.attempts,
                    error=type(error).__name__,
                )
            with suppress(DatabaseAway):  # then the lease ends by itself
                await put_off(self.database, claim)

    def _wake_up(self) -> None:
        self._wake.set()
        self.courier.wake.set()
        self.sequencer.wake.set()

    async def _listen(self) -> None:
        """Hold one connection of our own that hears wake-ups; open it again whenever it is lost."""
        while self._dsn is not None:
            lost = asyncio.Event()
            connection = None
            try:
                connection = await asyncpg.connect(self._dsn, timeout=4, server_settings={"jit": "off"})
                connection.add_termination_listener(lambda _, lost=lost: lost.set())
                await connection.add_listener(EVENTS, lambda *_: self.sequencer.wake.set())
                await connection.add_listener(CHANNEL, lambda *_: self._wake_up())
                self._is_heard = self.courier.is_heard = self.sequencer.is_heard = True
                self._wake_up()  # something may have become due while nobody listened
                await lost.wait()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("not listening", error=type(error).__name__)
            finally:
                self._is_heard = self.courier.is_heard = self.sequencer.is_heard = False
                if connection is not None:
                    connection.terminate()
            await asyncio.sleep(1)

    async def _sweep_all(self) -> None:
        """Sweep once after the start, since a crash leaves files that nobody queued, and then daily."""
        while True:
            try:
                removed = await sweep(self.database, self._store)
                if removed:
                    log.info("evidence swept", removed=removed)
            except (DatabaseAway, OSError) as error:
                log.warning("evidence not swept", error=type(error).__name__)
                await asyncio.sleep(SWEPT_AFTER_SECONDS)
                continue
            await asyncio.sleep(SWEEP_ALL_SECONDS)
