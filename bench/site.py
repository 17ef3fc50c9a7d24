"""A site under fault: one data folder, `holdfast serve` processes on it, and what a client may still say about them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from app.postgres import SUPERUSER, EmbeddedPostgres
from app.serving import DATABASE_NAME
from bench import services
from bench.machine import ROOT

HANG_SECONDS = 30.0  # longer than this without an answer is a fault of its own
HEAL_SECONDS = 10.0


class Site:
    """Processes on one data folder. The first one that starts runs the embedded database; another takes it over."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        """`settings`: of every process, beside those that a measurement needs."""
        self.folder = folder
        self.settings = settings or {}
        self.data_dir = folder / "data"
        self.processes: list[services.Process] = []
        self._started = 0

    async def start(self, *, port: int = 0) -> services.Process:
        """One more process, ready to serve."""
        self._started += 1
        log = self.folder / f"server-{self._started}.log"
        process = services.holdfast(self.data_dir, log, port=port, settings=self.settings)
        self.processes.append(process)
        await process.ready()
        return process

    def running(self) -> list[services.Process]:
        """The processes that have not ended, in the order of their start."""
        return [process for process in self.processes if not process.ended]

    def stop(self) -> None:
        """End every process."""
        for process in self.processes:
            process.stop()
        self.processes.clear()

    def kill(self, process: services.Process) -> None:
        """End a process without a warning."""
        process.kill()
        self.processes.remove(process)

    def kill_postmaster(self) -> None:
        """End the database's first process without a warning; its children find out by themselves."""
        os.kill(self.postmaster(), signal.SIGKILL)

    def postmaster(self) -> int:
        """The process id of the database's first process."""
        return int((self.data_dir / "postgres" / "postmaster.pid").read_text().split()[0])

    @property
    def superuser_dsn(self) -> str:
        """The database as its superuser, who looks past all walls."""
        server = EmbeddedPostgres(self.data_dir)
        return server.dsn(SUPERUSER, server.password_of(SUPERUSER), DATABASE_NAME)

    @property
    def key(self) -> str:
        """The key of the first tenant's administrator."""
        return (self.data_dir / "admin-key").read_text().strip()

    def client(self, process: services.Process) -> httpx.AsyncClient:
        """A caller of one process."""
        return httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{process.port}",
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=HANG_SECONDS,
            trust_env=False,
            limits=httpx.Limits(max_connections=64),
        )

    async def healed(self, process: services.Process, since: float) -> float:
        """Seconds from `since` (of the monotonic clock) until it is ready again. Raises RuntimeError after 30 s."""
        await process.ready(seconds=HANG_SECONDS)
        return time.monotonic() - since

    async def check(self) -> list[str]:
        """What `holdfast rebuild --check` finds: broken chains, digests that differ, state that is not its fold."""
        told = await asyncio.to_thread(self._rebuild)
        if told.returncode not in (0, 1) or not told.stdout:
            return [f"rebuild --check ended with {told.returncode}: {told.stderr[-500:]}"]
        return [fault for one in json.loads(told.stdout) for fault in one["faults"]]

    def _rebuild(self) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DATABASE_URL")}
        environment = {**kept, "HOLDFAST_DATA_DIR": str(self.data_dir), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "app.cli", "rebuild", "--check", "--json"]
        return subprocess.run(  # noqa: S603 (our own program)
            command, env=environment, capture_output=True, text=True, timeout=1800, check=False
        )


def report(**more: object) -> Mapping[str, Any]:
    """A report that is declared at once."""
    return {"title": "Client list pasted into a chatbot", "playbook": "data-leakage", **more}
