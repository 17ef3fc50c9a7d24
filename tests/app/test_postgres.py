"""The embedded server: private, shared, and back soon after it dies."""

import asyncio
import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from app.postgres import EmbeddedPostgres
from app.postgres_programs import PostgresFailed, find_programs

BINDIR = Path(found) if (found := os.environ.get("HOLDFAST_PG_BINDIR")) else None
QUICK = {"fsync": "off", "shared_buffers": "16MB", "max_connections": "20"}
linux = pytest.mark.skipif(sys.platform != "linux", reason="the server ends with its parent on Linux only")


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path / "data", bindir=BINDIR, options=QUICK)
    yield server
    server.stop()


@contextlib.asynccontextmanager
async def watched(server: EmbeddedPostgres) -> AsyncIterator[None]:
    task = asyncio.create_task(server.watch())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def answers(dsn: str) -> bool:
    try:
        connection = await asyncpg.connect(dsn, timeout=2)
        try:
            return await connection.fetchval("SELECT 1") == 1
        finally:
            await connection.close()
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False


async def until_answers(dsn: str, seconds: float) -> float:
    started = time.monotonic()
    while not await answers(dsn):
        assert time.monotonic() - started < seconds, "the server did not come back"
        await asyncio.sleep(0.05)
    return time.monotonic() - started


def postmaster(server: EmbeddedPostgres) -> int:
    return int((server.cluster / "postmaster.pid").read_text().splitlines()[0])


OTHER = """
import asyncio, json, sys
from pathlib import Path
from app.postgres import EmbeddedPostgres
folder, bindir, options = sys.argv[1:]
server = EmbeddedPostgres(Path(folder), bindir=Path(bindir) if bindir else None, options=json.loads(options))
server.start()
print("runs here" if server.runs_here else "attached", flush=True)
asyncio.run(server.watch())
"""


def other_holdfast(data_dir: Path) -> subprocess.Popen[str]:
    """Another process that starts the server or attaches, says so, and watches."""
    command = [sys.executable, "-c", OTHER, str(data_dir), str(BINDIR or ""), json.dumps(QUICK)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


async def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return (await asyncio.to_thread(process.stdout.readline)).strip()


async def test_it_asks_for_a_password_and_listens_on_a_private_socket_only(embedded: EmbeddedPostgres) -> None:
    dsn = embedded.start()
    connection = await asyncpg.connect(dsn)
    assert await connection.fetchval("SHOW listen_addresses") == ""
    assert await connection.fetchval("SHOW timezone") == "UTC"
    folder = Path(await connection.fetchval("SHOW unix_socket_directories"))
    rules = await connection.fetch("SELECT type, auth_method FROM pg_hba_file_rules")
    await connection.close()

    assert [tuple(rule) for rule in rules] == [("local", "scram-sha-256")]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for kept in (embedded.data_dir / "postgres-password", embedded.log_path, embedded.data_dir / "postgres.lock"):
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(embedded.data_dir.stat().st_mode) == 0o700
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(embedded.dsn("postgres", "guess", "postgres"))


async def test_it_sorts_by_code_point_and_knows_upper_case_of_every_script(embedded: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(embedded.start())
    rows = await connection.fetch("SELECT v FROM unnest(array['b', 'A', 'a', 'Z', 'ä']) v ORDER BY v")
    lowered = await connection.fetchval("SELECT lower('ÄÉ')")
    await connection.close()
    assert "".join(row["v"] for row in rows) == "AZabä"
    assert lowered == "äé"


async def test_it_keeps_row_contents_and_statements_out_of_its_log(embedded: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(embedded.start())
    await connection.execute("CREATE TABLE seen (name text UNIQUE)")
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute("INSERT INTO seen VALUES ('canary-4711'), ('canary-4711')")
    with pytest.raises(asyncpg.DataError):
        await connection.execute("SELECT 'canary-4711'::uuid")
    await connection.close()
    assert "canary-4711" not in embedded.log_path.read_text()


async def test_it_keeps_what_was_committed_when_it_is_started_again(embedded: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(embedded.start())
    await connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
    await connection.close()
    embedded.stop()
    connection = await asyncpg.connect(embedded.start())
    assert await connection.fetchval("SELECT n FROM kept") == 1
    await connection.close()


async def test_a_killed_postmaster_is_back_within_five_seconds_under_a_running_statement(
    embedded: EmbeddedPostgres,
) -> None:
    dsn = embedded.start()
    async with watched(embedded):
        busy = await asyncpg.connect(dsn)
        # Work that never looks at signals of its own accord: the orphan would hold the memory for minutes.
        statement = asyncio.create_task(busy.fetchval("SELECT count(*) FROM generate_series(1, 2000000000)"))
        await asyncio.sleep(0.2)
        os.kill(postmaster(embedded), signal.SIGKILL)
        await asyncio.sleep(0.05)
        assert await until_answers(dsn, 5) < 5
        with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError)):
            await statement


async def test_a_removed_socket_folder_does_not_stop_the_next_start(embedded: EmbeddedPostgres) -> None:
    embedded.start()
    folder = embedded._socket_dir()
    embedded.stop()
    for leftover in folder.iterdir():
        leftover.unlink()
    folder.rmdir()
    assert await answers(embedded.start())


async def test_a_process_file_whose_id_now_belongs_to_someone_else_does_not_stop_the_start(
    embedded: EmbeddedPostgres,
) -> None:
    embedded.start()
    lines = (embedded.cluster / "postmaster.pid").read_text().splitlines()
    embedded.stop()
    lines[0] = str(os.getpid())
    (embedded.cluster / "postmaster.pid").write_text("\n".join(lines) + "\n")
    assert await answers(embedded.start())


@linux
async def test_a_second_process_attaches_and_takes_over_when_the_first_is_killed(tmp_path: Path) -> None:
    first = other_holdfast(tmp_path / "data")
    second = None
    try:
        assert await said(first) == "runs here"
        second = other_holdfast(tmp_path / "data")
        assert await said(second) == "attached"
        dsn = EmbeddedPostgres(tmp_path / "data").superuser_dsn
        assert await answers(dsn)
        first.kill()
        await asyncio.to_thread(first.wait)
        await asyncio.sleep(0.1)
        assert await until_answers(dsn, 5) < 5
    finally:
        for process in filter(None, (first, second)):
            end(process)


@linux
async def test_the_server_ends_with_a_killed_process(tmp_path: Path) -> None:
    process = other_holdfast(tmp_path / "data")
    assert await said(process) == "runs here"
    pid = postmaster(EmbeddedPostgres(tmp_path / "data"))
    end(process)
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists():
            return
        await asyncio.sleep(0.05)
    pytest.fail("the server still runs")


async def test_many_processes_may_start_at_once_and_one_runs_the_server(tmp_path: Path) -> None:
    processes = [other_holdfast(tmp_path / "data") for _ in range(3)]
    try:
        words = sorted([await said(process) for process in processes])
        assert words == ["attached", "attached", "runs here"]
    finally:
        for process in processes:
            end(process)


def test_it_names_the_way_out_when_the_folder_was_made_by_another_version(embedded: EmbeddedPostgres) -> None:
    embedded.start()
    embedded.stop()
    (embedded.cluster / "PG_VERSION").write_text("14\n")
    with pytest.raises(PostgresFailed, match="was made by PostgreSQL 14"):
        embedded.start()


def test_it_says_why_the_server_did_not_start(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "data", bindir=BINDIR, options={**QUICK, "shared_buffers": "plenty"})
    with pytest.raises(PostgresFailed, match="shared_buffers"):
        server.start()


def test_it_refuses_a_socket_folder_that_others_can_open(embedded: EmbeddedPostgres) -> None:
    folder = embedded._socket_dir()
    folder.mkdir(mode=0o755)
    try:
        with pytest.raises(PostgresFailed, match="open to others"):
            embedded.start()
    finally:
        folder.rmdir()


def test_it_says_where_it_looked_for_programs(tmp_path: Path) -> None:
    with pytest.raises(PostgresFailed, match="HOLDFAST_PG_BINDIR"):
        find_programs(tmp_path)
