"""The courier: sends what is queued for webhook endpoints, each lane in order, as many lanes at once as there is room.

At least once: an attempt is recorded after the receiver answered, so a courier that dies in between leaves a lease that
ends, and the event is sent again with the id that it had.
"""

import asyncio
import random
import ssl
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import httpx
import structlog

from app.database import Database, DatabaseAway
from app.dialling import CallFailed, Dialler
from app.fetching import FetchFailed, Reply, Request, own_of, send
from app.gathering import Gathering
from app.lines import Lines
from app.outgoing_requests import excerpt_shown, request_of, request_shown
from app.secrets import Unsealable, Vault
from app.settings import Settings
from app.tickets import Telling, Tickets
from app.waiting_tenants import DUE_DELIVERIES, waiting_tenants
from app.webhook_deliveries import (
    Delivery,
    Lane,
    Outcome,
    Told,
    claim_lanes,
    park,
    record_outcomes,
)
from domain.event_formats import TICKET
from domain.retries import DISABLED_AFTER, next_try
from domain.webhook_endpoints import passes

POLL_SECONDS = 5.0
POLL_UNHEARD_SECONDS = 1.0  # while nothing wakes us
PAUSE_SECONDS = 0.02  # from one look to the next
LANES_AT_ONCE = 256  # on their way; with 8 of an endpoint, thirty that are silent leave room for the others
LANES_OF_ENDPOINT = 8
RECORDED_AT_ONCE = 64  # outcomes in one transaction
RECORDING_AT_ONCE = 2  # transactions: who calls us needs the other connections
RECORDING_LINGER_SECONDS = 0.003  # in which others may come; the receiver has its answer already
IN_A_ROW_MAX = 50  # deliveries of one lane before others get a turn
ATTEMPT_SECONDS_MAX = 15.0  # from looking up the name to the last byte that is read
ANSWER_BYTES_MAX = 16_384
log = structlog.get_logger("holdfast.courier")


class Courier:
    """One courier. `run` works until `stop`; `work_for` sends what is due for one tenant and returns.

    Whoever listens to the database sets `wake`, and says in `is_heard` whether it does.
    """

    def __init__(self, database: Database, settings: Settings, vault: Vault, *, clock: Callable[[], datetime]) -> None:
        self.database = database
        self.wake = asyncio.Event()
        self.is_heard = False
        self._settings = settings
        self._vault = vault
        self._clock = clock
        self._own = own_of(settings)
        self._tickets = Tickets(database, vault, Dialler(settings))
        self._authorities: ssl.SSLContext | None = None
        self._lines = Lines()
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._recording = Gathering(
            self._record,
            at_once=RECORDING_AT_ONCE,
            most=RECORDED_AT_ONCE,
            linger_seconds=RECORDING_LINGER_SECONDS,
        )
        self._in_hand: Counter[UUID] = Counter()
        self._failing: set[UUID] = set()

    async def run(self) -> None:
        """Send until `stop` is called; what is on its way then is finished. Cancelled, it drops that too."""
        try:
            while not self._stopping:
                self.wake.clear()
                looked_at = time.monotonic()
                if not await self._look():
                    with suppress(TimeoutError):
                        async with asyncio.timeout(POLL_SECONDS if self.is_heard else POLL_UNHEARD_SECONDS):
                            await self.wake.wait()
                await asyncio.sleep(looked_at + PAUSE_SECONDS - time.monotonic())
            await asyncio.gather(*self._tasks, return_exceptions=True)
        finally:
            for task in self._tasks:
                task.cancel()
            self._lines.close()

    def stop(self) -> None:
        """Let `run` return after what is on its way."""
        self._stopping = True
        self.wake.set()

    async def work_for(self, tenant_id: UUID) -> int:
        """Send what is due for a tenant until nothing is; how many lanes that was."""
        done = 0
        while not self._stopping:
            was_idle = not self._tasks  # what ends while we look may leave more to do
            started = await self._start_some(tenant_id)
            if was_idle and not started:
                break
            done += started
            if self._tasks:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        return done

    async def _look(self) -> bool:
        """Whether anything was begun."""
        try:
            tenants = await waiting_tenants(self.database, DUE_DELIVERIES)
            random.shuffle(tenants)  # couriers that wake together begin with different tenants
            begun = [await self._start_some(tenant) for tenant in tenants if not self._stopping]
            return any(begun)
        except DatabaseAway as away:
            log.warning("database away", error=type(away).__name__)
        except Exception as error:
            log.error("courier failed", error=type(error).__name__)
        return False

    async def _start_some(self, tenant_id: UUID) -> int:
        room = LANES_AT_ONCE - len(self._tasks)
        if room <= 0:
            return 0
        busy = {
            one
            for one, count in self._in_hand.items()
            if count >= LANES_OF_ENDPOINT or (count >= 1 and one in self._failing)
        }
        claimed = await claim_lanes(
            self.database,
            tenant_id,
            self._clock(),
            busy=busy,
            limit=room,
            per_endpoint=LANES_OF_ENDPOINT,
            base_url=self._settings.base_url,
        )
        for lane, delivery in claimed:
            if delivery is None:
                continue
            self._in_hand[lane.endpoint_id] += 1
            task = asyncio.create_task(self._hold(lane, delivery))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return len(claimed)

    async def _hold(self, lane: Lane, first: Delivery) -> None:
        """Work a claimed lane; whatever goes wrong, its lease ends by itself."""
        try:
            await self._work(lane, first)
        except DatabaseAway as away:
            log.warning("database away", error=type(away).__name__)
        except Exception as error:
            # Messages may hold what callers typed; the lane and the type are enough to find it.
            log.error("delivery failed", endpoint=str(lane.endpoint_id), error=type(error).__name__)
        finally:
            self._in_hand[lane.endpoint_id] -= 1
            if not self._in_hand[lane.endpoint_id]:
                del self._in_hand[lane.endpoint_id]
            self.wake.set()

    async def _work(self, lane: Lane, first: Delivery) -> None:
        delivery: Delivery | None = first
        for left in range(IN_A_ROW_MAX - 1, -1, -1):
            if delivery is None:
                return
            if delivery.status != "active" or (delivery.confirmed_at is None and lane.stream_id != lane.endpoint_id):
                await park(self.database, lane, self._clock())
                return
            outcome = await self._attempt(lane, delivery)
            (self._failing.add if outcome.error else self._failing.discard)(lane.endpoint_id)
            told = Told(lane, delivery, outcome, is_last=self._stopping or not left)
            delivery = await self._recording.do(lane.tenant_id, told)

    async def _record(self, tenant_id: UUID, told: Sequence[Told]) -> Sequence[Delivery | None]:
        return await record_outcomes(self.database, tenant_id, told, self._clock(), self._settings.base_url)

    async def _attempt(self, lane: Lane, delivery: Delivery) -> Outcome:
        """Send one delivery, unless it is kept back."""
        event, incident = delivery.event, delivery.event["incident"]
        if event["type"] != "webhook_endpoint.tested":
            if delivery.confirmed_at is None:  # of itself an endpoint is told from its first test on
                return Outcome(status="withheld")
            # The clients of an incident may have changed since the event was queued.
            clients = [] if incident is None else incident["client_ids"]
            allowed = None if delivery.client_ids is None else {str(one) for one in delivery.client_ids}
            if allowed is not None and not (clients and allowed.issuperset(clients)):
                return Outcome(status="withheld")
            if not passes(delivery.filter, event):
                return Outcome(status="withheld")
        at, began = self._clock(), time.monotonic()
        sent: Request | None = None
        try:
            if delivery.format == TICKET:
                return await self._tell_ticket(lane, delivery, at, began)
            sent = request_of(
                lane.tenant_id,
                lane.endpoint_id,
                delivery,
                event,
                self._vault,
                self._settings.base_url,
                datetime.now(UTC),
            )
            reply = await self._send(sent, lane.endpoint_id)
        except FetchFailed as failure:
            return _failed(delivery, at, _milliseconds(began), error=f"{failure}.", sent=sent)
        except Unsealable:
            error = "Its secrets cannot be opened: rotate the secret, give the address again."
            return _failed(delivery, at, _milliseconds(began), error=error)
        if 200 <= reply.status < 300:
            return Outcome(
                status="delivered",
                at=at,
                duration_ms=_milliseconds(began),
                request=request_shown(sent, delivery),
                response_status=reply.status,
                response_excerpt=excerpt_shown(reply, sent, delivery),
            )
        error = f"The receiver answered {reply.status}."
        return _failed(delivery, at, _milliseconds(began), error=error, sent=sent, reply=reply)

    async def _tell_ticket(self, lane: Lane, delivery: Delivery, at: datetime, began: float) -> Outcome:
        """Tell the ticket of the incident. Raises Unsealable."""
        assert delivery.connection_id is not None, "checked when the endpoint was made"
        assert delivery.ticket is not None, "checked when the endpoint was made"
        telling = Telling(
            tenant_id=lane.tenant_id,
            connection_id=delivery.connection_id,
            mode=delivery.ticket,
            event=delivery.event,
            is_full=delivery.payload == "full",
            may_repeat=delivery.may_repeat(at),
        )
        try:
            done = await self._tickets.tell(telling)
        except CallFailed as failure:
            return _failed(delivery, at, _milliseconds(began), error=failure.said, reply=failure.reply)
        if done is None:
            return Outcome(status="withheld")
        return Outcome(status="delivered", at=at, duration_ms=_milliseconds(began), response_excerpt=done)

    async def _send(self, request: Request, owner: UUID) -> Reply:
        if self._authorities is None:  # reading them takes a tenth of a second of CPU
            self._authorities = await asyncio.to_thread(httpx.create_ssl_context)
        return await send(
            request,
            bytes_max=ANSWER_BYTES_MAX,
            seconds_max=ATTEMPT_SECONDS_MAX,
            networks=self._settings.webhook_networks,
            authorities=self._authorities,
            own=self._own,
            lines=self._lines,
            owner=owner,
        )


def _failed(
    delivery: Delivery,
    at: datetime,
    duration_ms: int,
    *,
    error: str,
    sent: Request | None = None,
    reply: Reply | None = None,
) -> Outcome:
    """A failed attempt: when the next one is, or that there is none; and whether the endpoint is given up.

    An endpoint that says that it is gone (410) keeps the delivery for when it is activated again.
    """
    retry_after = reply.retry_after if reply is not None else None
    draw = random.random()  # noqa: S311
    again_at = next_try(delivery.attempts + 1, at, draw=draw, retry_after=retry_after)
    because = None
    if reply is not None and reply.status == httpx.codes.GONE:
        because = "gone"
    elif again_at is None and delivery.failing_since is not None and at - delivery.failing_since >= DISABLED_AFTER:
        because = "failing"
    return Outcome(
        status="failed" if again_at is None else "pending",
        at=at,
        again_at=again_at,
        duration_ms=duration_ms,
        request=request_shown(sent, delivery) if sent is not None else None,
        response_status=reply.status if reply is not None else None,
        response_excerpt=excerpt_shown(reply, sent, delivery) if reply is not None and sent is not None else None,
        error=error,
        disabled_because=because,
    )


def _milliseconds(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
