"""What a console follows goes on in another process, whatever happens to the one that served it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, WebSocketException

from bench.services import Process
from bench.site import Site
from tests.sockets import FOLLOW, Console, console

pytestmark = pytest.mark.timeout(120)

AGAIN_SECONDS = 0.2


def address(process: Process) -> str:
    return f"http://127.0.0.1:{process.port}"


async def write_on(process: Process, key: str, incident: str, ended: asyncio.Event) -> int:
    """Notes, one after the other, until told to end; how many were acknowledged."""
    done = 0
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=address(process), headers=headers, timeout=20, trust_env=False) as http:
        while not ended.is_set():
            with contextlib.suppress(httpx.TransportError):
                body = {"text": f"Note {done}."}
                answer = await http.post(f"/v1/incidents/{incident}/notes", json=body)
                done += answer.status_code == 201
            await asyncio.sleep(0.01)
    return done


async def follow_on(live: Console, found: list[dict[str, Any]]) -> None:
    """Keep what is told until the socket is gone."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            found.append(await live.told())


async def resumed(process: Process, key: str, incident: str, after: int, upto: int) -> list[dict[str, Any]]:
    """What is told after a place, up to another one, by a process that may have to find its database first."""
    deadline = time.monotonic() + 30
    while True:
        try:
            async with console(address(process), key) as live:
                await live.subscribe(FOLLOW, {"id": incident, "after": after})
                found = [await live.told()]
                while found[-1]["seq"] < upto:
                    found.append(await live.told())
                return found
        except (AssertionError, WebSocketException, OSError):
            assert time.monotonic() < deadline
            await asyncio.sleep(AGAIN_SECONDS)


async def test_a_killed_process_loses_no_event(tmp_path: Path) -> None:
    site = Site(tmp_path)
    try:
        serving = await site.start()
        other = await site.start()
        key = (site.data_dir / "admin-key").read_text().strip()
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=address(other), headers=headers, timeout=20, trust_env=False) as http:
            made = (await http.post("/v1/incidents", json={"title": "A paste", "playbook": "data-leakage"})).json()
            ended, told = asyncio.Event(), list[dict[str, Any]]()
            writing = asyncio.create_task(write_on(other, key, made["id"], ended))
            async with console(address(serving), key) as live:
                await live.subscribe(FOLLOW, {"id": made["id"]})
                listening = asyncio.create_task(follow_on(live, told))
                while len(told) < 20:
                    await asyncio.sleep(0.01)
                site.kill(serving)  # which runs the database, too
                await listening
            while (await http.get("/readyz")).status_code != 200:
                await asyncio.sleep(AGAIN_SECONDS)
            await asyncio.sleep(1)
            ended.set()
            assert await writing > len(told)
            page = await http.get(
                f"/v1/incidents/{made['id']}/timeline", params={"after": told[-1]["seq"], "limit": 200}
            )
            missed = page.json()["items"]
            again = await resumed(other, key, made["id"], told[-1]["seq"], missed[-1]["seq"])
        assert [one["seq"] for one in told] == list(range(told[0]["seq"], told[-1]["seq"] + 1))
        assert (again[0]["resync"], again[0]["seq"]) == (True, told[-1]["seq"])
        assert [(one["seq"], one["kind"]) for one in again[1:]] == [(one["seq"], one["kind"]) for one in missed]
        assert missed
    finally:
        site.stop()


async def test_a_process_told_to_end_says_so_and_does_not_wait_for_sockets(tmp_path: Path) -> None:
    site = Site(tmp_path)
    try:
        process = await site.start()
        key = (site.data_dir / "admin-key").read_text().strip()
        async with console(address(process), key) as one, console(address(process)) as two:
            await one.subscribe("subscription { boardChanged { resync } }")
            assert await one.told() == {"resync": True}
            started = time.monotonic()
            ending = asyncio.create_task(asyncio.to_thread(process.stop))
            assert [await one.closed(), await two.closed()] == [1012, 1012]
            assert await ending == 0
            assert time.monotonic() - started < 10
    finally:
        site.stop()
