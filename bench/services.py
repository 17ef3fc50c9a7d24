"""The processes of a measurement: a PostgreSQL, `holdfast serve` on it, the floor beside it."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Mapping
from pathlib import Path
from urllib.parse import quote

import asyncpg

from app.migrating import upgrade
from app.postgres import EmbeddedPostgres
from app.roles import RUNTIME
from bench.machine import ROOT

START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 30.0
NO_LIMITS: Mapping[str, str] = {
    "HOLDFAST_KEY_REQUESTS_PER_MINUTE": "60000000",
    "HOLDFAST_TENANT_REQUESTS_PER_MINUTE": "60000000",
    "HOLDFAST_SOURCE_REQUESTS_PER_MINUTE": "60000000",
    "HOLDFAST_REFUSED_CREDENTIALS_PER_MINUTE": "60000000",
    "HOLDFAST_INCIDENTS_PER_DAY": "100000000",
}


class Postgres:
    """A PostgreSQL of our own on a folder; it listens on a socket in that folder's private place only."""

    def __init__(self, folder: Path, options: Mapping[str, str] | None = None) -> None:
        bindir = os.environ.get("HOLDFAST_PG_BINDIR")
        self.server = EmbeddedPostgres(folder, bindir=Path(bindir) if bindir else None, options=options)

    def start(self) -> None:
        """Start it. Call from the main thread: it ends with the thread that started it."""
        self.server.start()

    def stop(self) -> None:
        """Stop it."""
        self.server.stop()

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        return int((self.server.cluster / "postmaster.pid").read_text().split()[0])

    def runtime_dsn(self, name: str) -> str:
        """Database `name` as the role the service runs as."""
        return self.server.dsn(RUNTIME, self.server.password_of(RUNTIME), name)

    def superuser_dsn(self, name: str) -> str:
        """Database `name` as the superuser."""
        return self.server.dsn("postgres", self.server.password_of("postgres"), name)

    async def create(self, name: str, *, migrated: bool = True) -> None:
        """Make database `name`, with our schema unless told otherwise."""
        connection = await asyncpg.connect(self.superuser_dsn("postgres"))
        try:
            await connection.execute(f'CREATE DATABASE "{quote(name, safe="_")}"')
        finally:
            await connection.close()
        if migrated:
            await upgrade(self.superuser_dsn(name), runtime_password=self.server.password_of(RUNTIME))


class Process:
    """A server process and the port it answers on."""

    def __init__(
        self, command: list[str], environment: Mapping[str, str], log: Path, *, cores: Collection[int] | None = None
    ) -> None:
        self.log = log
        self.port = 0
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HOLDFAST_", "DATABASE_URL"))}
        with log.open("ab") as output:
            self._popen = subprocess.Popen(  # noqa: S603 (our own programs, no shell)
                command, env={**kept, "PYTHONPATH": str(ROOT), **environment}, stdout=output, stderr=output
            )
        if cores is not None:
            os.sched_setaffinity(self._popen.pid, cores)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    @property
    def ended(self) -> bool:
        """Whether it is gone."""
        return self._popen.poll() is not None

    async def ready(self, path: str = "/readyz", seconds: float = START_SECONDS_MAX) -> None:
        """Wait until `path` answers 200. Raises RuntimeError with the end of its log when that takes too long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.ended:
            if await asyncio.to_thread(answers, self.port, path):
                return
            await asyncio.sleep(0.02)
        raise RuntimeError(f"the server did not get ready:\n{self.log.read_text()[-3000:]}")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._popen.send_signal(number)

    def wait(self) -> int:
        """Wait until it has ended by itself; its exit code."""
        return self._popen.wait(STOP_SECONDS_MAX)

    def kill(self) -> None:
        """End it without a warning."""
        self._popen.kill()
        self._popen.wait()

    def stop(self) -> int:
        """End it in good order, by force after a while; its exit code."""
        if not self.ended:
            self._popen.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self._popen.wait(STOP_SECONDS_MAX)
            self.kill()
        return self._popen.wait()


def holdfast(
    data_dir: Path,
    log: Path,
    *,
    dsn: str | None = None,
    port: int = 0,
    cores: Collection[int] | None = None,
    settings: Mapping[str, str] | None = None,
) -> Process:
    """`holdfast serve`, on the database of `dsn` or on the embedded one of `data_dir`."""
    port = port or free_port()
    environment = {
        "HOLDFAST_DATA_DIR": str(data_dir),
        "HOLDFAST_PORT": str(port),
        "HOLDFAST_METRICS_PORT": "0",
        **NO_LIMITS,
        **(settings or {}),
    }
    if bindir := os.environ.get("HOLDFAST_PG_BINDIR"):
        environment["HOLDFAST_PG_BINDIR"] = bindir
    if dsn is not None:
        environment |= {"HOLDFAST_DATABASE_URL": dsn, "HOLDFAST_MIGRATE": "off"}
    process = Process([sys.executable, "-m", "app.cli", "serve"], environment, log, cores=cores)
    process.port = port
    return process


def worker(
    data_dir: Path, log: Path, *, dsn: str, cores: Collection[int] | None, settings: Mapping[str, str]
) -> Process:
    """`holdfast worker` on the database of `dsn`."""
    environment = {
        "HOLDFAST_DATA_DIR": str(data_dir),
        "HOLDFAST_DATABASE_URL": dsn,
        "HOLDFAST_MIGRATE": "off",
        **settings,
    }
    return Process([sys.executable, "-m", "app.cli", "worker"], environment, log, cores=cores)


async def logged(process: Process, words: str) -> None:
    """Wait until a process has logged `words`. Raises RuntimeError with the end of its log when that takes too long."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while words not in process.log.read_text():
        if process.ended or time.monotonic() > deadline:
            raise RuntimeError(f"the process did not get ready:\n{process.log.read_text()[-3000:]}")
        await asyncio.sleep(0.02)


def floor(dsn: str, boards: str, log: Path, *, cores: Collection[int] | None = None) -> Process:
    """The floor under the same server program; `boards` is our database, read by hand."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "bench.floor:api", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    process = Process(command, {"BENCH_FLOOR_DSN": dsn, "BENCH_BOARD_DSN": boards}, log, cores=cores)
    process.port = port
    return process


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def answers(port: int, path: str) -> bool:
    """Whether a GET is answered with 200 within a second."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


async def wake(dsn: str) -> None:
    """Wait until a database answers again, at most as long as a start may take."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while True:
        try:
            connection = await asyncpg.connect(dsn, timeout=2)
            await connection.close()
            return
        except (OSError, asyncpg.PostgresError, TimeoutError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)


def statements(log: Path, position: int) -> int:
    """Round trips that the log tells of from byte `position` on, where every duration is logged."""
    with log.open("rb") as file:
        file.seek(position)
        return len(re.findall(rb"duration: [\d.]+ ms  (?:execute|statement)", file.read()))
