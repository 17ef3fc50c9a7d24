"""`python -m bench.telling --minutes N`: servers are killed while receivers fail, and what these were told is held
against what happened: every event first comes in its order, none is missing, no id changes, every signature fits."""

import argparse
import asyncio
import os
import random
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import orjson
import uvloop
from rich.console import Console
from standardwebhooks import Webhook, WebhookVerificationError

from bench.journal import Journal
from bench.services import Process
from bench.site import Site

FAILING, RESET = 0.4, 0.1  # shares of the requests
WIND_SECONDS = 0.25
RECEIVERS = 2
BETWEEN_SECONDS = (0.5, 1.5)  # from when a server is ready to when one is killed
REST_SECONDS = 0.5  # of a client between two incidents
CLIENTS = 2
SETTLE_SECONDS = 120.0
SETTINGS = {"HOLDFAST_WEBHOOK_NETWORKS": "127.0.0.0/8"}
_WAITING = """
UPDATE webhook_lanes l SET next_at = now() FROM webhook_deliveries d
WHERE d.tenant_id = l.tenant_id AND d.endpoint_id = l.endpoint_id AND d.stream = l.stream AND d.stream_id = l.stream_id
AND d.status = 'pending' AND d.next_attempt_at = l.next_at AND l.next_at > now()
"""
_LEASED = "UPDATE webhook_lanes SET next_at = now() WHERE next_at > now() AND next_at < 'infinity'"


@dataclass(frozen=True)
class Heard:
    """One message as it came."""

    headers: dict[str, str]
    body: bytes
    event: dict[str, Any]


class Flaky:
    """A receiver that answers some requests with an error and cuts the connection of others, drawn from a seed."""

    def __init__(self, seed: int) -> None:
        self.heard: list[Heard] = []
        self.failing, self.reset = FAILING, RESET
        self.endpoint: dict[str, Any] = {}
        self._random = random.Random(seed)  # noqa: S311 (which request fails is no secret)
        self._server: asyncio.Server

    async def open(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/events"

    def heal(self) -> None:
        """Take everything from now on."""
        self.failing = self.reset = 0.0

    def close(self) -> None:
        """Stop listening."""
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass  # the sender died or was done
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[1:]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.heard.append(Heard(headers, body, orjson.loads(body)))
        draw = self._random.random()
        if draw < self.reset:
            writer.transport.abort()
            return False
        status = b"500 No" if draw < self.reset + self.failing else b"200 OK"
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        return headers.get("connection") != "close"

    def faults(self, timelines: dict[str, list[dict[str, Any]]]) -> list[str]:
        """What is wrong with what it was told of these incidents."""
        found = []
        first: dict[str, list[int]] = {}
        ids: dict[tuple[str, int], str] = {}
        verifier = Webhook(self.endpoint["secret"])
        for one in self.heard:
            stream, seq, event_id = one.event["stream_id"], one.event["seq"], one.event["id"]
            try:
                verifier.verify(one.body, one.headers)
            except WebhookVerificationError as error:
                found.append(f"{event_id}: the signature does not fit ({error})")
            if one.headers["webhook-id"] != event_id or ids.setdefault((stream, seq), event_id) != event_id:
                found.append(f"{stream} {seq}: its id changed to {event_id}")
            if seq not in first.setdefault(stream, []):
                first[stream].append(seq)
        for incident, timeline in timelines.items():
            happened = [event["seq"] for event in timeline]
            if first.get(incident) != happened:
                found.append(f"{incident}: {happened} happened, first came {first.get(incident)}")
            kinds = {(incident, event["seq"]): event["kind"] for event in timeline}
            told = {(one.event["stream_id"], one.event["seq"]): one.event["type"] for one in self.heard}
            found += [
                f"{place} was told as {told[place]}"
                for place in kinds.keys() & told.keys()
                if told[place] != kinds[place]
            ]
        return found


class Telling:
    """Receivers of a site, and time that passes for them."""

    def __init__(self, site: Site, receivers: int, seed: int) -> None:
        self.site = site
        self.receivers = [Flaky(seed + number) for number in range(receivers)]

    async def open(self, process: Process) -> None:
        """Listen, and have every event sent to each."""
        async with self.site.client(process) as http:
            for number, one in enumerate(self.receivers):
                await one.open()
                body = {"name": f"Receiver {number}", "url": one.url, "event_types": ["*"]}
                one.endpoint = (await http.post("/v1/webhook-endpoints", json=body)).raise_for_status().json()

    def close(self) -> None:
        """Stop listening."""
        for one in self.receivers:
            one.close()

    @asynccontextmanager
    async def winding(self) -> AsyncIterator[None]:
        """Let what waits for another attempt become due at once, for the length of the block."""

        async def wind() -> None:
            while True:
                await self.pass_time(_WAITING)
                await asyncio.sleep(WIND_SECONDS)

        task = asyncio.create_task(wind())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def end_leases(self) -> None:
        """Let the time pass in which nobody else takes what a process held, be it dead or not."""
        await self.pass_time(_LEASED)

    async def pass_time(self, statement: str) -> None:
        """Change when lanes are due; not while the database is away."""
        try:
            connection = await asyncpg.connect(self.site.superuser_dsn, timeout=5)
            try:
                await connection.execute(statement)
            finally:
                await connection.close(timeout=2)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            pass

    async def settle(self, process: Process, incidents: Sequence[str], seconds: float) -> list[str]:
        """Heal the receivers, wait until all was told, and say what is wrong with it."""
        for one in self.receivers:
            one.heal()
        async with self.site.client(process) as http:
            timelines = {incident: await _timeline(http, incident) for incident in incidents}
            total = {(incident, event["seq"]) for incident, timeline in timelines.items() for event in timeline}
            ends_at = asyncio.get_running_loop().time() + seconds
            async with self.winding():
                while asyncio.get_running_loop().time() < ends_at:
                    if all(
                        total <= {(o.event["stream_id"], o.event["seq"]) for o in one.heard} for one in self.receivers
                    ):
                        break
                    await asyncio.sleep(0.1)
        return [fault for one in self.receivers for fault in one.faults(timelines)]


async def _timeline(http: httpx.AsyncClient, incident: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    path: str | None = f"/v1/incidents/{incident}/timeline?limit=200"
    while path:
        page = (await http.get(path)).raise_for_status()
        found += page.json()["items"]
        path = page.links["next"]["url"] if "next" in page.links else None
    return found


@dataclass(frozen=True)
class Survived:
    """What became of a run."""

    faults: list[str]
    incidents: int
    messages: int
    repeats: int


async def survive(
    folder: Path, seed: int, *, kills: int = 1 << 30, seconds: float = 1e9, processes: int = 1
) -> Survived:
    """Open incidents over `processes` servers and kill one after another, `kills` in all or for `seconds`."""
    draw = random.Random(seed)  # noqa: S311 (which server dies next is no secret)
    site = Site(folder, SETTINGS)
    telling = Telling(site, RECEIVERS, seed)
    try:
        for _ in range(processes):
            await site.start()
        await telling.open(site.running()[0])
        journal, ended = Journal(site, folder / "journal", pause_seconds=REST_SECONDS), asyncio.Event()
        loads = [asyncio.create_task(journal.load(process, ended, CLIENTS)) for process in site.running()]
        ends_at = time.monotonic() + seconds
        async with telling.winding():
            while kills > 0 and time.monotonic() < ends_at:
                kills -= 1
                await asyncio.sleep(draw.uniform(*BETWEEN_SECONDS))
                dying = draw.choice(site.running())
                site.kill(dying)
                await site.start(port=dying.port)
                await telling.end_leases()
            await asyncio.sleep(BETWEEN_SECONDS[1])
        ended.set()
        await asyncio.gather(*loads)
        last = site.running()[0]
        await journal.settle(last)
        await telling.end_leases()
        incidents = [wish.incident_id for wish in journal.wishes]
        faults = journal.faults + await telling.settle(last, incidents, SETTLE_SECONDS)
        messages = sum(len(one.heard) for one in telling.receivers)
        told = sum(len({heard.event["id"] for heard in one.heard}) for one in telling.receivers)
        return Survived(faults, len(incidents), messages, messages - told)
    finally:
        telling.close()
        await asyncio.to_thread(site.stop)


def main() -> None:
    """Run, say what was wrong, end with 1 if anything was."""
    parser = argparse.ArgumentParser(prog="python -m bench.telling", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long servers are killed")
    parser.add_argument("--seed", type=int, default=None, help="repeats the faults of an earlier run")
    chosen = parser.parse_args()
    seed = chosen.seed if chosen.seed is not None else int.from_bytes(os.urandom(4))
    folder, console = Path(tempfile.mkdtemp(prefix="holdfast-telling-")), Console()
    found = uvloop.run(survive(folder, seed, seconds=chosen.minutes * 60, processes=2))
    console.print(
        f"{found.incidents} incidents, {found.messages:,} messages to {RECEIVERS} receivers, {found.repeats:,} of them"
        f" sent again; seed {seed}",
        highlight=False,
    )
    for fault in found.faults:
        console.print(f"[red]WRONG[/] {fault}", highlight=False)
    if found.faults:
        raise SystemExit(1)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
