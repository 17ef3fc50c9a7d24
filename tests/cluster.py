"""The PostgreSQL of a test run: one server, a migrated template, one database per worker copied from it."""

import asyncio
import os
import shutil
import tempfile
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from app.postgres import EmbeddedPostgres

TEMPLATE = "holdfast_template"
RUNTIME = "holdfast"

# Durability is for data that someone wants back.
FAST: Mapping[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "200",
    "autovacuum_naptime": "10min",
}


@dataclass
class Cluster:
    """Addresses of the run's server. `data_dir` is the server's own folder, gone after the run."""

    data_dir: Path
    server: EmbeddedPostgres = field(init=False)

    def __post_init__(self) -> None:
        bindir = os.environ.get("HOLDFAST_PG_BINDIR")
        self.server = EmbeddedPostgres(self.data_dir, bindir=Path(bindir) if bindir else None, options=FAST)

    @property
    def runtime_password(self) -> str:
        return self.server.password_of(RUNTIME)

    @property
    def fault_path(self) -> Path:
        """Holds the reason when the template could not be made."""
        return self.data_dir / "template-fault"

    def runtime_dsn(self, name: str) -> str:
        """Database `name` as the role the service runs as."""
        return self.server.dsn(RUNTIME, self.runtime_password, name)

    def superuser_dsn(self, name: str = "postgres") -> str:
        """Database `name` as the superuser."""
        return self.server.dsn("postgres", self.server.password_of("postgres"), name)

    async def create(self, name: str, *, template: str = TEMPLATE) -> None:
        """A database of its own; `template0` for one without our schema."""
        connection = await asyncpg.connect(self.superuser_dsn())
        try:
            await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
        finally:
            await connection.close()

    async def drop(self, name: str) -> None:
        """Remove a database, whoever is connected to it."""
        connection = await asyncpg.connect(self.superuser_dsn())
        try:
            await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        finally:
            await connection.close()


def start() -> Cluster:
    """Start the run's server and make the migrated template."""
    cluster = Cluster(Path(tempfile.mkdtemp(prefix="holdfast-tests-")))
    try:
        cluster.server.start()
        try:
            asyncio.run(_make_template(cluster))
        except Exception:
            # Tests of the launcher or of migrations still run, and say more than a run that never began.
            cluster.fault_path.write_text(traceback.format_exc())
    except BaseException:
        stop(cluster)
        raise
    return cluster


def stop(cluster: Cluster) -> None:
    """Stop the server and remove everything it wrote."""
    cluster.server.stop()
    shutil.rmtree(cluster.data_dir, ignore_errors=True)


async def _make_template(cluster: Cluster) -> None:
    from app.migrating import upgrade

    await cluster.create(TEMPLATE, template="template0")
    await upgrade(cluster.superuser_dsn(TEMPLATE), runtime_password=cluster.runtime_password)
