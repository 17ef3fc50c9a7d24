"""A stand-in of a ticket system: what all of them do alike. Each states its own API after its documentation.

It is strict: wrong credentials, unknown fields and unknown tickets are refused as the original refuses them.
"""

from __future__ import annotations

import asyncio
import itertools
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Answer = Callable[..., Awaitable[Any]]


class Refused(Exception):
    """What the original would refuse."""

    def __init__(self, status: int, said: Any = "no") -> None:
        super().__init__(said)
        self.status = status
        self.said = said


@dataclass
class Note:
    """A note of a ticket; `text` as whoever reads it sees it."""

    id: int
    text: str
    author: str


@dataclass
class Ticket:
    """A ticket. `fields` are those of the original."""

    id: int
    fields: dict[str, Any]
    notes: list[Note] = field(default_factory=list)


class Desk(ABC):
    """A ticket system in memory. Tests look at `tickets` and `asked`.

    `answers` are statuses that are answered before anything is done, `lost` those that are answered after it was done.
    """

    system: ClassVar[str]
    credentials: ClassVar[dict[str, str]]
    map: ClassVar[dict[str, Any]] = {}
    open_status: ClassVar[Any]
    working_status: ClassVar[Any]
    closed_status: ClassVar[Any]
    base_path: ClassVar[str] = ""

    def __init__(self) -> None:
        self.url = ""
        self.tickets: dict[str, Ticket] = {}
        self.asked: list[tuple[str, str]] = []
        self.answers: list[int] = []
        self.lost: list[int] = []
        self.headers: dict[str, str] = {}
        self.talks = asyncio.Event()  # until it is set, what is done is not answered
        self.talks.set()
        self.done = asyncio.Event()  # something was done in silence
        self._ids = itertools.count(418_823)

    @property
    def base_url(self) -> str:
        return f"{self.url}{self.base_path}"

    def app(self) -> Starlette:
        """The application to serve."""
        return Starlette(
            routes=[
                Route(f"{self.base_path}{path}", self._door(do), methods=[method]) for method, path, do in self.routes()
            ]
        )

    @abstractmethod
    def routes(self) -> list[tuple[str, str, Answer]]:
        """(method, path, what it does), as the documentation names them."""

    @abstractmethod
    def authorise(self, request: Request) -> None:
        """Raise Refused unless the request is signed in as the documentation says."""

    def _door(self, do: Answer) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            self.asked.append((request.method, request.url.path))
            try:
                self.authorise(request)
                if self.answers:
                    raise Refused(self.answers.pop(0), "busy")
                body = await request.body()
                given = orjson.loads(body) if body and "json" in request.headers.get("content-type", "") else None
                before = self._written
                found = await do(request, given)
                if not self.talks.is_set() and self.tickets:
                    self.done.set()
                    await self.talks.wait()
                if self.lost and self._written != before:
                    raise Refused(self.lost.pop(0), "lost")
            except Refused as refused:
                return JSONResponse({"message": refused.said}, refused.status, headers=self.headers)
            return Response(status_code=204) if found is None else JSONResponse(found, 200)

        return answer

    @property
    def _written(self) -> int:
        return sum(1 + len(one.notes) for one in self.tickets.values())

    def add(self, fields: dict[str, Any]) -> Ticket:
        """Keep a new ticket."""
        ticket = Ticket(next(self._ids), fields)
        self.tickets[str(ticket.id)] = ticket
        return ticket

    def find(self, id: str) -> Ticket:
        """A ticket, by its id. Raises Refused."""
        if id not in self.tickets:
            raise Refused(404, "not found")
        return self.tickets[id]

    def note(self, ticket: Ticket, text: str, author: str) -> Note:
        """Add a note."""
        made = Note(next(self._ids), text, author)
        ticket.notes.append(made)
        return made

    @abstractmethod
    def title(self, ticket: Ticket) -> str:
        """What the ticket is called."""

    @abstractmethod
    def status(self, ticket: Ticket) -> Any:
        """The status as a caller would set it."""

    @abstractmethod
    def set_status(self, ticket: Ticket, status: Any) -> None:
        """What a technician does."""


def only(given: Any, *names: str, needed: tuple[str, ...] = ()) -> dict[str, Any]:
    """An object that holds nothing but `names`. Raises Refused."""
    if not isinstance(given, dict):
        raise Refused(400, "an object is needed")
    if unknown := given.keys() - set(names):
        raise Refused(400, f"unknown: {sorted(unknown)}")
    if missing := set(needed) - given.keys():
        raise Refused(400, f"missing: {sorted(missing)}")
    return given


def basic(request: Request, user: str, password: str) -> None:
    """Raise Refused unless this pair is given."""
    import base64

    wanted = base64.b64encode(f"{user}:{password}".encode()).decode()
    if request.headers.get("authorization") != f"Basic {wanted}":
        raise Refused(401, "who are you?")
