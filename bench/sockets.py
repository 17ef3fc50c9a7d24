"""What open sockets cost, and how long an event takes to reach all of them."""

import asyncio
import base64
import json
import os
import time
from typing import Any
from uuid import UUID

from app.database import Database
from app.ids import new_id
from app.secrets import new_api_key
from bench.figures import Figure
from bench.machine import cpu_seconds, memory_bytes
from bench.rig import Rig

SOCKETS = 1_000
PEOPLE = 50  # whose keys they come with: each has a feed of its own
EVENTS = 20
PAUSE_SECONDS = 0.5
WAIT_SECONDS = 60.0
BOARD = "subscription { boardChanged { resync incidentId incident { number status severity nextDueAt slaState } } }"
PING = b"\x89\x04"
TOLD = b'"type":"next"'


class _Watcher(asyncio.Protocol):
    """A socket that follows the board and notes when it is told. It reads no more of a message than it has to."""

    def __init__(self, key: str, told: list[float]) -> None:
        self._key, self._told = key, told
        self.is_told: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        """Ask for the socket."""
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET /graphql HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Say what is next, answer a ping, or note when it was told."""
        if data.startswith(PING) and len(data) == 6:
            self.transport.write(b"\x8a\x84" + bytes(4) + data[2:])
            return
        if data.startswith(b"HTTP/1.1 101"):
            self._send({"type": "connection_init", "payload": {"Authorization": f"Bearer {self._key}"}})
        elif b"connection_ack" in data:
            self._send({"type": "subscribe", "id": "1", "payload": {"query": BOARD}})
        elif count := data.count(TOLD):
            if not self.is_told.done():
                self.is_told.set_result(None)
            self._told += [time.monotonic()] * count
        elif not self.is_told.done():
            self.is_told.set_exception(RuntimeError(data[:500].decode("utf-8", "replace")))

    def connection_lost(self, exc: Exception | None) -> None:
        """It was closed, by whom ever."""
        if not self.is_told.done():
            self.is_told.set_exception(exc or RuntimeError("closed before anything was told"))

    def _send(self, message: object) -> None:
        body = json.dumps(message).encode()
        head = bytes([0x81]) + (bytes([0x80 | len(body)]) if len(body) < 126 else b"\xfe" + len(body).to_bytes(2))
        self.transport.write(head + bytes(4) + body)  # masked by nothing: the mask is four zeros


async def sockets(rig: Rig) -> list[Figure]:
    """Open sockets at a process of their own, then report incidents through another one."""
    process = rig.serve(HOLDFAST_METRICS_PORT="0")
    await process.ready()
    keys = await _people(rig.database, rig.tenant.tenant_id)
    told: list[float] = []
    loop = asyncio.get_running_loop()
    watchers: list[_Watcher] = []
    before = 0.0
    for number in range(SOCKETS + PEOPLE):
        if number == PEOPLE:  # the first of each person are not counted: feeds, statements and documents come with them
            before = memory_bytes(process.pid)
        key = keys[number % PEOPLE]
        _, watcher = await loop.create_connection(lambda key=key: _Watcher(key, told), "127.0.0.1", process.port)
        await asyncio.wait_for(watcher.is_told, WAIT_SECONDS)
        watchers.append(watcher)
    each = (memory_bytes(process.pid) - before) / SOCKETS / 1e3
    delays, used = list[float](), 0.0
    for number in range(EVENTS + 1):
        if number == 1:  # the first event finds no statement prepared, and is not counted
            delays, used = [], cpu_seconds(process.pid)
        told.clear()
        started = time.monotonic()
        await rig.open_incident()
        await _until(told, len(watchers))
        delays += [at - started for at in told]
        await asyncio.sleep(PAUSE_SECONDS)
    used = (cpu_seconds(process.pid) - used) / EVENTS * 1e3
    for watcher in watchers:
        watcher.transport.close()
    process.stop()
    delays.sort()
    middle, slow = delays[len(delays) // 2] * 1e3, delays[int(len(delays) * 0.95)] * 1e3
    note = f"{PEOPLE} people, another process writes; p50 {middle:.0f} ms with the write; {used:.0f} ms of processor"
    return [
        Figure(f"Event to each of {SOCKETS:,} sockets, p95", "ms", [slow], 500.0, note=note),
        Figure("Memory of a socket", "kB", [each], 60.0),
    ]


async def _until(told: list[float], count: int) -> None:
    """Wait until so much was told. Raises TimeoutError."""
    deadline = time.monotonic() + WAIT_SECONDS
    while len(told) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(told)} of {count} sockets were told")
        await asyncio.sleep(0.005)


async def _people(database: Database, tenant_id: UUID) -> list[str]:
    """Keys of people who read every incident."""
    keys = [new_api_key(tenant_id) for _ in range(PEOPLE)]
    async with database.transaction(tenant_id) as db:
        for key in keys:
            person = new_id()
            await db.execute(
                "INSERT INTO people (tenant_id, id, kind, name, roles) VALUES ($1, $2, 'internal', 'Watcher', $3)",
                *(tenant_id, person, ["auditor"]),
            )
            await db.execute(
                "INSERT INTO api_keys (tenant_id, id, person_id, name, prefix, secret_hash)"
                " VALUES ($1, $2, $3, 'Bench', $4, $5)",
                *(tenant_id, new_id(), person, key.prefix, key.hash),
            )
    return [key.text for key in keys]
