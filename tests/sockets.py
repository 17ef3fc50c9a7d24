"""A client of the live graph that sends what it is told to, right or wrong."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

PROTOCOL = "graphql-transport-ws"
ORIGIN = "https://console.example.com"  # of the console that a second server lets in
WAIT_SECONDS = 15.0
FOLLOW = """subscription Follow($id: ID!, $after: Int) { incidentChanged(id: $id, afterSeq: $after) {
  seq kind resync incident { id number status version } step { key status } action { key status } } }"""
BOARD = "subscription Board($filter: IncidentFilter) { boardChanged(filter: $filter) { resync left incidentId %s } }"


class Console:
    """One socket."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, **message: Any) -> None:
        await self.connection.send(json.dumps(message))

    async def hear(self) -> dict[str, Any]:
        """The next message."""
        async with asyncio.timeout(WAIT_SECONDS):
            found: dict[str, Any] = json.loads(await self.connection.recv())
        return found

    async def init(self, key: str) -> None:
        await self.send(type="connection_init", payload={"Authorization": f"Bearer {key}"})
        assert await self.hear() == {"type": "connection_ack"}

    async def subscribe(self, query: str, variables: dict[str, Any] | None = None, id: str = "1") -> None:
        await self.send(type="subscribe", id=id, payload={"query": query, "variables": variables or {}})

    async def told(self, id: str = "1") -> dict[str, Any]:
        """What the next message tells of the one root field."""
        message = await self.hear()
        assert (message["type"], message["id"]) == ("next", id), message
        assert "errors" not in message["payload"], message
        (found,) = message["payload"]["data"].values()
        return dict(found)

    async def until(self, kind: str) -> list[dict[str, Any]]:
        """What is told up to the event of this kind."""
        found = []
        while not found or found[-1]["kind"] != kind:
            found.append(await self.told())
        return found

    async def closed(self) -> int:
        """The code that the service closes with; what it tells before is skipped."""
        async with asyncio.timeout(WAIT_SECONDS):
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await self.connection.recv()
        assert self.connection.close_code is not None
        return self.connection.close_code


@contextlib.asynccontextmanager
async def console(address: str, key: str | None = None, **options: Any) -> AsyncIterator[Console]:
    """A socket to the service at an http address; with `key` it is initialised."""
    options = {"subprotocols": [PROTOCOL], "proxy": None, "compression": None, "max_size": None} | options
    async with connect(address.replace("http", "ws", 1) + "/graphql", **options) as connection:
        found = Console(connection)
        if key is not None:
            await found.init(key)
        yield found
