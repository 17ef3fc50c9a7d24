"""What clients asked for and what they were told, kept outside the processes that may die, and held against them.

A client says before each send what it is about to ask for. An answer makes that `done`; silence or a 5xx leaves it
open, and the same request with the same key is sent again until it is answered. So every request is answered in the
end, and each must have had exactly one effect.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import orjson

from bench.services import Process
from bench.site import HANG_SECONDS, Site, report

ACTION = "DL.1.1"
RETRY_SECONDS = 0.1
MAY_COME = frozenset({409, 429, 503})  # of a request that is to be sent again; 409: its twin is being worked on


@dataclass
class Wish:
    """One incident that a client wants opened, and an action of it completed."""

    key: str = field(default_factory=lambda: uuid4().hex)
    incident_id: str = ""
    completed: bool = False


class Journal:
    """All wishes of a run, also on disk, and every status that was answered."""

    def __init__(self, site: Site, path: Path, *, pause_seconds: float = 0.0) -> None:
        """`pause_seconds`: how long a client rests between two wishes."""
        self.site = site
        self.path = path
        self.pause_seconds = pause_seconds
        self.wishes: list[Wish] = []
        self.statuses: Counter[int] = Counter()
        self.silences = 0  # connections refused or cut
        self.slowest = 0.0
        self.longest_gap = 0.0  # seconds under load in which nothing at all succeeded
        self._succeeded_at = 0.0
        self.faults: list[str] = []

    def note(self, **line: object) -> None:
        """Append a line to the journal's file."""
        with self.path.open("ab") as file:
            file.write(orjson.dumps({"at": time.time(), **line}) + b"\n")

    async def send(self, http: httpx.AsyncClient, path: str, body: object, key: str = "") -> httpx.Response | None:
        """One request; None when no answer came."""
        began = time.monotonic()
        try:
            answer = await http.post(path, json=body, headers={"Idempotency-Key": key} if key else None)
        except httpx.TimeoutException:
            self.faults.append(f"no answer to {path} within {HANG_SECONDS:.0f} s")
            return None
        except httpx.HTTPError:
            self.silences += 1
            return None
        finally:
            self.slowest = max(self.slowest, time.monotonic() - began)
        self.statuses[answer.status_code] += 1
        if answer.is_success:
            self._succeed()
        if answer.status_code >= 500 and answer.status_code != 503:
            self.faults.append(f"{answer.status_code} from {path}: {answer.text[:300]}")
        return answer

    def _succeed(self) -> None:
        now = time.monotonic()
        if self._succeeded_at:
            self.longest_gap = max(self.longest_gap, now - self._succeeded_at)
        self._succeeded_at = now

    async def fulfil(self, http: httpx.AsyncClient, wish: Wish, ends_at: float) -> None:
        """Send what a wish still needs, again and again, until it has it or the time is up."""
        while not wish.completed and time.monotonic() < ends_at:
            if not wish.incident_id:
                answer = await self.send(http, "/v1/incidents", report(title=wish.key), wish.key)
                if answer is not None and answer.status_code == 201:
                    wish.incident_id = answer.json()["id"]
                    self.note(key=wish.key, incident=wish.incident_id)
            else:
                path = f"/v1/incidents/{wish.incident_id}/actions/{ACTION}/transitions"
                answer = await self.send(http, path, {"transition": "complete"}, f"{wish.key}-{ACTION}")
                if answer is not None and answer.status_code == 200:
                    wish.completed = True
                    self.note(key=wish.key, completed=True)
            if answer is None or answer.status_code in MAY_COME:
                await asyncio.sleep(RETRY_SECONDS)
            elif not answer.is_success:
                self.faults.append(f"{answer.status_code} for {wish.key}: {answer.text[:300]}")
                return

    async def load(self, process: Process, ended: asyncio.Event, clients: int) -> None:
        """Make wishes and fulfil them over one process until `ended`. What is under way then stays open."""

        async def one() -> None:
            async with self.site.client(process) as http:
                while not ended.is_set():
                    wish = Wish()
                    self.wishes.append(wish)
                    self.note(key=wish.key)
                    while not wish.completed and not ended.is_set():
                        await self.fulfil(http, wish, time.monotonic() + RETRY_SECONDS)
                    await asyncio.sleep(self.pause_seconds)

        self._succeeded_at = self._succeeded_at or time.monotonic()
        await asyncio.gather(*(one() for _ in range(clients)))
        self._succeeded_at = 0.0

    async def settle(self, process: Process) -> None:
        """Fulfil every wish that is still open, by the process that is left."""
        ends_at = time.monotonic() + HANG_SECONDS
        async with self.site.client(process) as http:
            await asyncio.gather(*(self.fulfil(http, wish, ends_at) for wish in self.wishes if not wish.completed))
        self.faults += [f"{wish.key} was never fulfilled" for wish in self.wishes if not wish.completed]

    async def verify(self, process: Process) -> list[str]:
        """What is wrong with what is stored: something acknowledged that is lost, something done twice."""
        faults = list(self.faults)
        async with self.site.client(process) as http:
            stored = await _titles(http)
            for wish in self.wishes:
                if stored.get(wish.key, []) != [wish.incident_id]:
                    faults.append(f"{wish.key} was answered {wish.incident_id}, stored is {stored.get(wish.key)}")
            gate = asyncio.Semaphore(8)

            async def look(wish: Wish) -> None:
                async with gate:
                    faults.extend(await _look(http, wish))

            await asyncio.gather(*(look(wish) for wish in self.wishes if wish.completed))
        return faults


async def _titles(http: httpx.AsyncClient) -> dict[str, list[str]]:
    """Title -> ids of the incidents that bear it, of all incidents."""
    found: dict[str, list[str]] = {}
    path: str | None = "/v1/incidents?limit=200"
    while path:
        page = (await http.get(path)).raise_for_status()
        for item in page.json()["items"]:
            found.setdefault(item["title"], []).append(item["id"])
        path = page.links["next"]["url"] if "next" in page.links else None
    return found


async def _look(http: httpx.AsyncClient, wish: Wish) -> list[str]:
    events: list[dict[str, Any]] = (
        (await http.get(f"/v1/incidents/{wish.incident_id}/timeline?limit=200")).raise_for_status().json()["items"]
    )
    faults = []
    if (times := sum(event["kind"] == "action.completed" for event in events)) != 1:
        faults.append(f"{wish.key}: {ACTION} was completed {times} times")
    if [event["seq"] for event in events] != list(range(1, len(events) + 1)):
        faults.append(f"{wish.key}: the timeline has gaps")
    return faults
