"""The set-up of a run: one PostgreSQL with our database and the floor's, one server on each, a tenant to work in."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx

from app.database import Database
from app.tenants import NewTenant, create_tenant
from bench import services
from bench.figures import Sample
from bench.floor import SCHEMA
from bench.load import drive, repeated, request
from bench.machine import Cores, cores, cpu_seconds, cpu_seconds_of_children

DATABASE = "holdfast"
FLOOR = "floor"
REPORT = {"title": "Client list pasted into a chatbot", "playbook": "data-leakage"}
SETTINGS = {"HOLDFAST_LOG_LEVEL": "info", "HOLDFAST_WEBHOOK_NETWORKS": "127.0.0.0/8"}
CONNECTIONS = 16  # as many as either server's pool


class Rig:
    """Everything a measurement needs, from `open` to `close`."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="holdfast-bench-"))
        self.cores: Cores = cores()
        os.sched_setaffinity(0, self.cores.rest)  # the generator's own core, which PostgreSQL inherits
        self.postgres = services.Postgres(self.folder / "database")
        self.processes: list[services.Process] = []
        self.own: services.Process
        self.floor: services.Process
        self.database: Database
        self.tenant: NewTenant

    async def open(self) -> None:
        """Start the database, both servers and a tenant."""
        (self.folder / "database").mkdir(mode=0o700)
        self.postgres.start()
        await self.postgres.create(DATABASE)
        await self.postgres.create(FLOOR, migrated=False)
        connection = await asyncpg.connect(self.postgres.superuser_dsn(FLOOR))
        try:
            await connection.execute(SCHEMA)
            await connection.execute("VACUUM (ANALYZE)")
        finally:
            await connection.close()
        self.database = await Database.connect(self.postgres.runtime_dsn(DATABASE), max_size=4)
        self.tenant = await create_tenant(self.database, "Benchmark")
        self.own = self.serve()
        dsn, boards = self.postgres.superuser_dsn(FLOOR), self.postgres.superuser_dsn(DATABASE)
        self.floor = services.floor(dsn, boards, self.folder / "floor.log", cores=self.cores.server)
        self.processes.append(self.floor)
        await self.own.ready()
        await self.floor.ready("/healthz")

    def serve(self, **settings: str) -> services.Process:
        """One more `holdfast serve` on the database of the run."""
        log = self.folder / f"server-{len(self.processes)}.log"
        dsn = self.postgres.runtime_dsn(DATABASE)
        process = services.holdfast(
            self.folder / "data",
            log,
            dsn=dsn,
            cores=self.cores.server,
            settings=SETTINGS | settings,
        )
        self.processes.append(process)
        return process

    def work(self) -> services.Process:
        """A `holdfast worker` on the database of the run, on the core of the generator."""
        log = self.folder / f"worker-{len(self.processes)}.log"
        dsn = self.postgres.runtime_dsn(DATABASE)
        process = services.worker(self.folder / "data", log, dsn=dsn, cores=self.cores.rest, settings=SETTINGS)
        self.processes.append(process)
        return process

    def end(self, process: services.Process) -> None:
        """End a process that `serve` or `work` started."""
        process.stop()
        self.processes.remove(process)

    async def close(self) -> None:
        """End every process and remove what they wrote."""
        for process in self.processes:
            process.stop()
        if hasattr(self, "database"):
            await self.database.close()
        self.postgres.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def sample(
        self,
        process: services.Process,
        requests: Callable[[], bytes | None],
        seconds: float,
        *,
        connections: int = CONNECTIONS,
        limit: int | None = None,
    ) -> Sample:
        """Drive one server, and say what it cost it and the database."""
        server, database = cpu_seconds(process.pid), cpu_seconds_of_children(self.postgres.pid)
        outcome = await drive(process.port, requests, connections=connections, seconds=seconds, limit=limit)
        server, database = (
            cpu_seconds(process.pid) - server,
            cpu_seconds_of_children(self.postgres.pid) - database,
        )
        answers = max(sum(outcome.statuses.values()), 1)
        return Sample(outcome, server / answers * 1e6, database / answers * 1e6, server / outcome.seconds)

    async def ask(self, method: str, path: str, body: object = None, *, key: str = "") -> Any:
        """One call of the preparation. Raises RuntimeError for anything but a success."""
        headers = self.headers(key)
        async with httpx.AsyncClient(headers=headers, timeout=60, trust_env=False) as http:
            answer = await http.request(method, f"http://127.0.0.1:{self.own.port}{path}", json=body)
        if not answer.is_success:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json()

    def headers(self, key: str = "") -> dict[str, str]:
        """The credential of the run's tenant, or another one."""
        return {"Authorization": f"Bearer {key or self.tenant.key}"}

    def get(self, path: str, *, key: str = "") -> Callable[[], bytes]:
        """The same authenticated GET for ever."""
        return repeated(request("GET", path, self.headers(key)))

    async def open_incident(self, key: str = "") -> UUID:
        """One declared incident, opened through the API."""
        return UUID((await self.ask("POST", "/v1/incidents", REPORT, key=key))["id"])

    async def plain_actions(self) -> Sequence[str]:
        """Actions of the playbook that a new incident lets one complete without inputs, found by doing."""
        found: list[str] = []
        incident = await self.ask("POST", "/v1/incidents", REPORT)
        for step in incident["steps"]:
            for action in step["actions"]:
                path = f"/v1/incidents/{incident['id']}/actions/{action['id']}/transitions"
                try:
                    await self.ask("POST", path, {"transition": "complete"})
                except RuntimeError:
                    continue
                found.append(action["id"])
        return found

    async def settle(self, seconds: float = 1.0) -> None:
        """Let the database write out what it holds and look at what it has, as it does by itself once a minute.

        Otherwise one figure would pay for the one before, and plans would be made for tables that were empty.
        """
        connection = await asyncpg.connect(self.postgres.superuser_dsn(DATABASE))
        try:
            await connection.execute("VACUUM (ANALYZE)")
            await connection.execute("CHECKPOINT")
        finally:
            await connection.close()
        await asyncio.sleep(seconds)
