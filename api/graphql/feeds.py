"""Feeds: one thing followed by callers with one credential and one document. It is read once and told to each of them.

A feed keeps its last messages. A follower is a place in them: one that is slow costs nothing, and one that fell behind
what is kept reads the timeline by itself, or is told to load the list anew.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Protocol
from uuid import UUID

import structlog
from pydantic import ValidationError
from starlette.requests import Request

from api.calls import check_operation
from api.errors import Unavailable
from api.global_ids import AN_INCIDENT, own_id
from api.graphql.followed import Followed
from api.graphql.root_fields import PAGES
from api.graphql.roots import check_types, snake
from api.graphql.roots import told as told_of
from api.lists import plain_filters
from app.authentication import Principal
from app.database import DatabaseAway, Db
from app.following import Happened, events_after, heads_of
from app.incidents import incident_ref, visible_incident
from app.offers import IN_FULL, show_offers
from app.reading import read_slice
from app.secrets import Vault
from app.statements import Shape
from domain.refusals import Refusal

KEPT_MESSAGES_MAX = 200
KEPT_BYTES_MAX = 1_000_000
EVENTS_AT_ONCE = 20
INCIDENTS_AT_ONCE = 50
SEEN_MAX = 10_000  # incidents, the newest ones, that a board of a caller with limits remembers
log = structlog.get_logger("holdfast.following")
Message = dict[str, Any]
Work = Callable[[Db, Principal], Awaitable[Any]]


class Door(Protocol):
    """What a feed asks of the process it lives in."""

    vault: Vault

    async def within(self, request: Request, work: Work) -> Any:
        """Do `work` as the caller of `request`, who is authenticated anew, in one read-only transaction."""


class Feed(ABC):
    """One thing followed. Places count from 1; `head` is that of the last message, None before the first follower."""

    def __init__(self, door: Door, request: Request, what: Followed, variables: Mapping[str, Any]) -> None:
        self._door, self._request, self._what, self._variables = door, request, what, variables
        self.followers: set[object] = set()
        self.head: int | None = None
        self._kept: deque[tuple[int, bytes]] = deque()
        self._kept_bytes = 0
        self._news = asyncio.Event()
        self._ended: Refusal | None = None
        self._reading: asyncio.Task[None] | None = None
        self._again = False

    @abstractmethod
    async def begin(self, db: Db, by: Principal, after: int | None) -> tuple[bytes, int]:
        """The first message of a follower, and the place after which the others lie. Raises what a read does."""

    @abstractmethod
    async def _read_on(self) -> None:
        """Read what is new and keep it."""

    @abstractmethod
    def _missed(self, place: int) -> AsyncIterator[tuple[int, bytes]]:
        """What followed a place that is not kept any more."""

    def poke(self) -> None:
        """Something may be new: read it, unless that is being done."""
        self._again = True
        if self._reading is None and self._ended is None:
            self._reading = asyncio.create_task(self._read())

    def close(self) -> None:
        """Nobody follows any more."""
        if self._reading is not None:
            self._reading.cancel()

    async def follow(self, place: int) -> AsyncGenerator[bytes, None]:
        """Each message after a place, for ever. Raises the refusal that ends the feed."""
        while True:
            news = self._news
            if self._ended is not None:
                raise self._ended
            if self.head is None or place >= self.head:
                await news.wait()
            elif self._kept and self._kept[0][0] <= place + 1:
                for at, text in [one for one in self._kept if one[0] > place]:
                    yield text
                    place = at
            else:
                async for at, text in self._missed(place):
                    yield text
                    place = at

    async def _read(self) -> None:
        try:
            while self._again:
                self._again = False
                await self._read_on()
        except Refusal as refusal:
            self._end(refusal)
        except DatabaseAway as away:
            log.warning("database away", error=type(away).__name__)  # the next look pokes again
        except Exception as error:
            log.error("feed failed", error=type(error).__name__)
            self._end(Unavailable())
        finally:
            self._reading = None

    def _end(self, refusal: Refusal) -> None:
        self._ended = refusal
        self._tell_news()

    def _keep(self, place: int, message: Message) -> None:
        text = self._told(message)
        self._kept.append((place, text))
        self._kept_bytes += len(text)
        while len(self._kept) > 1 and (len(self._kept) > KEPT_MESSAGES_MAX or self._kept_bytes > KEPT_BYTES_MAX):
            self._kept_bytes -= len(self._kept.popleft()[1])
        self.head = place

    def _tell_news(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _told(self, message: Message) -> bytes:
        return self._what.tell(message, self._variables, self._request)


class IncidentFeed(Feed):
    """The timeline of one incident. Places are its sequence numbers, so they mean the same in every process."""

    def __init__(
        self, door: Door, request: Request, what: Followed, variables: Mapping[str, Any], given: Mapping[str, Any]
    ) -> None:
        super().__init__(door, request, what, variables)
        self._ref = incident_ref(own_id(given["id"], AN_INCIDENT))
        self.incident: UUID | None = None

    async def begin(self, db: Db, by: Principal, after: int | None) -> tuple[bytes, int]:
        """From `after` on, where the timeline reaches that far; else from its end."""
        check_operation("timeline.read", by)
        self.incident = await visible_incident(db, self._ref)
        head = (await heads_of(db, [self.incident]))[self.incident]
        place = head if after is None or not 0 <= after <= head else after
        incident = await self._incident(db, by)
        if self.head is None:
            self.head = head
        message = {"seq": place, "kind": None, "resync": True, "incident": incident, "step": None, "action": None}
        return self._told(message), place

    async def _read_on(self) -> None:
        assert self.head is not None, "it is poked once it has begun"
        while messages := await self._after(self.head):
            for message in messages:
                self._keep(message["seq"], message)
            self._tell_news()

    async def _missed(self, place: int) -> AsyncIterator[tuple[int, bytes]]:
        for message in await self._after(place):
            yield message["seq"], self._told(message)

    async def _after(self, seq: int) -> list[Message]:
        async def work(db: Db, by: Principal) -> list[Message]:
            check_operation("timeline.read", by)
            assert self.incident is not None, "it has begun"
            await visible_incident(db, self.incident)  # what the caller may not see any more has no events either
            happened = await events_after(db, self.incident, seq, EVENTS_AT_ONCE)
            if not happened:
                return []
            incident, things = await self._incident(db, by), dict[tuple[str, str], str | None]()
            return [await self._message(db, by, one, incident, things) for one in happened]

        found: list[Message] = await self._door.within(self._request, work)
        return found

    async def _message(
        self, db: Db, by: Principal, one: Happened, incident: str | None, things: dict[tuple[str, str], str | None]
    ) -> Message:
        message: Message = {"seq": one.seq, "kind": one.kind, "resync": False, "incident": incident}
        for member, key in (("step", one.step_id), ("action", one.action_id)):
            message[member] = None
            if key is not None and member in self._what.parts:
                if (member, key) not in things:
                    things[member, key] = await self._what.parts[member].read(db, by, f"{self.incident}:{key}")
                message[member] = things[member, key]
        return message

    async def _incident(self, db: Db, by: Principal) -> str | None:
        """The incident as it is selected."""
        part = self._what.parts.get("incident")
        return None if part is None else await part.read(db, by, str(self.incident))


class BoardFeed(Feed):
    """The incidents of a list. Places count the messages of this process, so each start begins with a resync."""

    def __init__(
        self, door: Door, request: Request, what: Followed, variables: Mapping[str, Any], given: Mapping[str, Any]
    ) -> None:
        super().__init__(door, request, what, variables)
        model = PAGES["incidents"].filter
        chosen = {snake(name): value for name, value in (given.get("filter") or {}).items() if value is not None}
        try:
            read = model.model_validate(chosen, strict=False)
        except ValidationError as error:
            raise told_of(error, "filter") from None
        self._filters = plain_filters({name: getattr(read, name) for name in model.model_fields})
        self._moved: set[UUID] = set()
        self._too_many = False
        self._seen: set[UUID] | None = None  # by a caller with limits

    async def begin(self, db: Db, by: Principal, after: int | None) -> tuple[bytes, int]:
        """From now on."""
        check_operation("incident.read", by)
        if self.head is None:
            await self._look_around(db, by)
            self.head = 0
        return self._told(RESYNC), self.head

    def moved(self, incidents: set[UUID] | None) -> None:
        """These incidents have new events; None: too many to tell one by one."""
        if incidents is None:
            self._too_many = True
        else:
            self._moved |= incidents
        if self._moved or self._too_many:
            self.poke()

    async def _read_on(self) -> None:
        assert self.head is not None, "it is poked once it has begun"
        if self._too_many:
            self._moved.clear()
            self._too_many = False
            try:
                await self._door.within(self._request, self._look_around)
            except BaseException:
                self._too_many = True
                raise
            self._keep(self.head + 1, RESYNC)
            self._tell_news()
        while some := list(self._moved)[:INCIDENTS_AT_ONCE]:
            self._moved.difference_update(some)  # before the read: what moves meanwhile is read again
            try:
                messages = await self._changed(some)
            except BaseException:
                self._moved.update(some)
                raise
            for message in messages:
                self._keep(self.head + 1, message)
            self._tell_news()

    async def _missed(self, place: int) -> AsyncIterator[tuple[int, bytes]]:
        assert self.head is not None
        yield self.head, self._told(RESYNC)

    async def _changed(self, incidents: list[UUID]) -> list[Message]:
        part = self._what.parts.get("incident")

        async def work(db: Db, by: Principal) -> list[Message]:
            check_operation("incident.read", by)
            shape, telling = (part.shape, part.telling) if part is not None else (ID_ALONE, IN_FULL)
            if part is not None:
                check_types(part.asked, by)
            filters, rows = {**self._filters, "ids": incidents}, dict[UUID, str]()
            found = await read_slice(db, "incident", shape, filters, by, self._door.vault, limit=INCIDENTS_AT_ONCE)
            for at, text in zip(found.positions, found.items, strict=True):
                rows[UUID(at.id)] = show_offers(text, by.roles, by.person_id, telling)
            left = await self._left(db, [one for one in incidents if one not in rows])
            if self._seen is not None:
                self._seen = (self._seen | set(rows)) - left
            here = [_moved(one, text if part is not None else None) for one, text in rows.items()]
            return [*here, *(_moved(one, None, left=True) for one in sorted(left))]

        found: list[Message] = await self._door.within(self._request, work)
        return found

    async def _left(self, db: Db, incidents: list[UUID]) -> set[UUID]:
        """Those that the caller sees and that do not pass the filter, or that the caller saw and sees no more. What
        the caller never saw is not among them."""
        if not incidents:
            return set()
        visible = {row["id"] for row in await db.fetch(SEEN, db.tenant_id, incidents)}
        return visible | (set(incidents) & (self._seen or set()))

    async def _look_around(self, db: Db, by: Principal) -> None:
        """Note what a caller with limits sees, to know of it when it is out of sight."""
        if by.is_limited:
            self._seen = {row["id"] for row in await db.fetch(IN_SIGHT, db.tenant_id, SEEN_MAX)}


def _moved(incident: UUID, text: str | None, *, left: bool = False) -> Message:
    return {"resync": False, "left": left, "incidentId": f"Incident:{incident}", "incident": text}


RESYNC: Message = {"resync": True, "left": False, "incidentId": None, "incident": None}
ID_ALONE = Shape((("id", "id", None),))
SEEN = "SELECT id FROM incidents WHERE tenant_id = $1 AND id = ANY ($2::uuid[])"
IN_SIGHT = "SELECT id FROM incidents WHERE tenant_id = $1 ORDER BY id DESC LIMIT $2"
FEEDS: Mapping[str, type[IncidentFeed | BoardFeed]] = {"incidentChanged": IncidentFeed, "boardChanged": BoardFeed}
