"""How a generated client reaches the graph: queries and mutations by POST, subscriptions by a socket each."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
from pydantic import BaseModel
from websockets.asyncio.client import connect

PROTOCOL = "graphql-transport-ws"


class Refused(Exception):
    """The graph answered with errors instead of data."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__("; ".join(one["message"] for one in errors))
        self.errors = errors


class Transport:
    """One caller of one process. `address` is where it serves HTTP."""

    def __init__(self, address: str, key: str) -> None:
        self.address, self.key = address, key
        headers = {"Authorization": f"Bearer {key}"}
        self.http = httpx.AsyncClient(base_url=address, headers=headers, timeout=30, trust_env=False)

    async def asked(self, document: str, variables: dict[str, Any]) -> dict[str, Any]:
        """The data of a query or mutation. Raises Refused."""
        answer = await self.http.post("/graphql", json={"query": document, "variables": _sent(variables)})
        told: dict[str, Any] = answer.raise_for_status().json()
        if told.get("errors"):
            raise Refused(told["errors"])
        data: dict[str, Any] = told["data"]
        return data

    async def told(self, document: str, variables: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Each message of a subscription, until its socket is gone. Raises Refused."""
        address = f"{self.address.replace('http', 'ws', 1)}/graphql"
        async with connect(address, subprotocols=[PROTOCOL], proxy=None, max_size=None) as socket:  # type: ignore[list-item]
            start = {"type": "connection_init", "payload": {"Authorization": f"Bearer {self.key}"}}
            await socket.send(json.dumps(start))
            assert json.loads(await socket.recv())["type"] == "connection_ack"
            payload = {"query": document, "variables": _sent(variables)}
            await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
            async for text in socket:
                message = json.loads(text)
                if message["type"] == "error":
                    raise Refused(message["payload"])
                if message["type"] == "ping":
                    await socket.send('{"type":"pong"}')
                if message["type"] == "next":
                    yield message["payload"]["data"]


def _sent(variables: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.model_dump(exclude_unset=True) if isinstance(value, BaseModel) else value
        for name, value in variables.items()
        if value is not None
    }
