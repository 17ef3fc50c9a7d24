"""`holdfast serve` as a process: first start, ending in good order, starting again, a second process beside it."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cluster import Cluster

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0


def environment(data_dir: Path, **more: str) -> dict[str, str]:
    """Settings of a process of ours, none of the caller's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HOLDFAST_", "DATABASE_URL"))}
    if bindir := os.environ.get("HOLDFAST_PG_BINDIR"):
        kept["HOLDFAST_PG_BINDIR"] = bindir
    return kept | {"HOLDFAST_DATA_DIR": str(data_dir), "HOLDFAST_PORT": "0", "PYTHONPATH": str(ROOT)} | more


class Served:
    """A running `holdfast serve`."""

    def __init__(self, data_dir: Path, log: Path, **more: str) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "serve"],
                cwd=data_dir.parent,
                env=environment(data_dir, **more),
                stdout=output,
                stderr=output,
            )
        self.address = self._wait()

    def _wait(self) -> str:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if found := re.search(r"Holdfast listens on (http://\S+)", self.log.read_text()):
                return found[1]
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def end(self, number: int = signal.SIGTERM) -> int:
        """Tell it to end and wait; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Any]:
    running: list[Served] = []

    def start(data_dir: Path = tmp_path / "data", **more: str) -> Served:
        served = Served(data_dir, tmp_path / f"log-{len(running)}", **more)
        running.append(served)
        return served

    yield start
    for served in running:
        if served.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                served.end()
        if served.process.poll() is None:
            served.process.kill()
            served.process.wait()


def run(data_dir: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """A command that ends."""
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        cwd=ROOT,
        env=environment(data_dir, **more),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def get(address: str, path: str, key: str) -> httpx.Response:
    return httpx.get(f"{address}{path}", headers={"Authorization": f"Bearer {key}"}, timeout=10, trust_env=False)


def test_an_empty_folder_becomes_a_service_that_ends_and_starts_again(serve: Any, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    first = serve(data_dir)
    kept = data_dir / "admin-key"
    key = kept.read_text().strip()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert first.log.read_text().count(key) == 1
    me = get(first.address, "/v1/me", key)
    assert (me.status_code, me.json()["roles"]) == (200, ["it_security", "risk_owner", "tenant_admin"])
    assert "server" not in me.headers
    assert get(first.address, "/readyz", key).status_code == 200
    reported = httpx.post(
        f"{first.address}/v1/incidents",
        json={"title": "A paste too many"},
        headers={"Authorization": f"Bearer {key}"},
        timeout=10,
        trust_env=False,
    )
    assert reported.status_code == 201
    assert first.end() == 0

    second = serve(data_dir)
    assert key not in second.log.read_text()
    assert get(second.address, f"/v1/incidents/{reported.json()['number']}", key).status_code == 200
    assert second.end(signal.SIGINT) == 0


def test_a_second_process_attaches_and_takes_over(serve: Any, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    first = serve(data_dir)
    key = (data_dir / "admin-key").read_text().strip()
    second = serve(data_dir)
    assert get(second.address, "/v1/me", key).status_code == 200
    first.process.kill()
    first.process.wait()
    deadline = time.monotonic() + 20
    while (answer := get(second.address, "/v1/me", key)).status_code != 200:
        assert answer.status_code == 503
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_commands_find_the_running_service_by_its_folder(serve: Any, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    address = serve(data_dir).address
    made = json.loads(run(data_dir, "tenants", "create", "Acme IT", "--json").stdout)
    assert get(address, "/v1/me", made["key"]).json()["tenant"] == {"id": made["id"], "name": "Acme IT"}
    listed = json.loads(run(data_dir, "tenants", "list", "--json").stdout)
    assert [one["name"] for one in listed] == ["First tenant", "Acme IT"]
    shown = json.loads(run(data_dir, "tenants", "show", made["id"], "--json").stdout)
    assert (shown["people"], shown["incidents"]) == (1, 0)
    unclear = run(data_dir, "keys", "create", "--json")
    assert (unclear.returncode, "--tenant" in unclear.stderr) == (1, True)
    key = json.loads(run(data_dir, "keys", "create", "--tenant", made["id"], "--json").stdout)
    assert get(address, "/v1/me", key["key"]).status_code == 200
    assert run(data_dir, "keys", "revoke", key["id"], "--tenant", made["id"]).returncode == 0
    assert get(address, "/v1/me", key["key"]).status_code == 401
    keys = json.loads(run(data_dir, "keys", "list", "--tenant", made["id"], "--json").stdout)
    assert [one["revoked_at"] is None for one in keys] == [True, False]
    assert key["id"] in run(data_dir, "keys", "list", "--tenant", made["id"]).stdout  # however narrow it is
    absent = run(data_dir, "connections", "check", key["id"], "--tenant", made["id"], "--json")
    assert (absent.returncode, json.loads(absent.stdout)["ok"]) == (1, False)
    checked = run(data_dir, "rebuild", "--check", "--json")
    assert (checked.returncode, [one["faults"] for one in json.loads(checked.stdout)]) == (0, [[], []])
    assert run(data_dir, "verify-lite").returncode == 0
    assert json.loads(run(data_dir, "sources", "list", "--tenant", made["id"], "--json").stdout) == []
    assert json.loads(run(data_dir, "migrate", "--json").stdout) == {"changed": False}


def test_a_worker_alone_ends_in_good_order(serve: Any, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    serve(data_dir, HOLDFAST_WORKER="false")
    log = tmp_path / "worker-log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "worker"],
            cwd=ROOT,
            env=environment(data_dir),
            stdout=output,
            stderr=output,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while '"working"' not in log.read_text():
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.mark.parametrize("group", [[], ["tenants"], ["keys"], ["connections"], ["sources"]], ids="-".join)
def test_the_list_of_commands_cuts_no_sentence(tmp_path: Path, group: list[str]) -> None:
    _, _, listed = run(tmp_path / "data", *group, "--help").stdout.partition("Commands:")
    assert listed.strip()
    assert "..." not in listed


def test_a_slip_in_a_variable_is_told(tmp_path: Path) -> None:
    ended = run(tmp_path / "data", "tenants", "list", HOLDFAST_PROT="80")
    assert "HOLDFAST_PROT" in ended.stderr


async def test_a_database_elsewhere_is_migrated_by_its_owner_and_served_by_its_runtime_role(
    tmp_path: Path, cluster: Cluster, new_database: Callable[..., Awaitable[str]]
) -> None:
    name = await new_database(template="template0")
    runtime, owner = cluster.runtime_dsn(name), cluster.superuser_dsn(name)

    async def command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(run, tmp_path / "data", *arguments, **variables)

    unready = await command("serve", DATABASE_URL=runtime)
    assert (unready.returncode, "holdfast migrate" in unready.stderr) == (2, True), unready.stderr
    blind = await command("migrate", DATABASE_URL=runtime)
    assert (blind.returncode, "HOLDFAST_OWNER_DATABASE_URL" in blind.stderr) == (2, True)
    moved = await command("migrate", "--json", DATABASE_URL=runtime, HOLDFAST_OWNER_DATABASE_URL=owner)
    assert (moved.returncode, json.loads(moved.stdout)) == (0, {"changed": True})
    too_strong = await command("serve", DATABASE_URL=owner)
    assert (too_strong.returncode, "superuser" in too_strong.stderr) == (2, True)
    made = await command("tenants", "create", "Acme IT", "--json", DATABASE_URL=runtime)
    assert (made.returncode, json.loads(made.stdout)["name"]) == (0, "Acme IT")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"HOLDFAST_PORT": "many"}, "HOLDFAST_PORT"),
        ({"HOLDFAST_SECRET_KEY": "short"}, "HOLDFAST_SECRET_KEY"),
        ({"DATABASE_URL": "mysql://x"}, "DATABASE_URL"),
        ({"HOLDFAST_HOST": "no.such.host.invalid"}, "HOLDFAST_HOST"),
        ({"HOLDFAST_DATA_DIR": "/dev/null/data"}, "HOLDFAST_DATA_DIR"),
        ({"HOLDFAST_PG_BINDIR": "/nowhere"}, "HOLDFAST_PG_BINDIR"),
        ({"DATABASE_URL": "postgresql:///x?host=/tmp", "HOLDFAST_MIGRATE": "auto"}, "HOLDFAST_OWNER_DATABASE_URL"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, variables: dict[str, str], said: str) -> None:
    ended = run(tmp_path / "data", "serve", **variables)
    assert ended.returncode == 2
    assert said in ended.stderr and "Traceback" not in ended.stderr


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run(tmp_path / "data", "serve", HOLDFAST_PORT=port)
    assert (ended.returncode, "HOLDFAST_PORT" in ended.stderr) == (2, True)
    assert not (tmp_path / "data" / "postgres").exists()


def test_a_folder_without_a_database_is_not_made_by_looking(tmp_path: Path) -> None:
    ended = run(tmp_path / "data", "tenants", "list")
    assert (ended.returncode, "HOLDFAST_DATA_DIR" in ended.stderr) == (2, True)
    assert not (tmp_path / "data").exists()


def test_help_needs_nothing_heavy() -> None:
    heavy = ("pydantic", "asyncpg", "fastapi", "uvicorn")
    code = f"import sys; import app.cli; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    assert found.stdout.strip() == "[]"


def test_a_body_in_a_file_is_previewed(serve: Any, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    address = serve(data_dir).address
    key = (data_dir / "admin-key").read_text().strip()
    bearer = {"Authorization": f"Bearer {key}"}
    given = {"name": "Scanner", "system": "generic"}
    source = httpx.post(f"{address}/v1/sources", json=given, headers=bearer, timeout=10, trust_env=False).json()
    body, mapping = tmp_path / "body.json", tmp_path / "mapping.json"
    body.write_text('{"state": "alerting", "uid": "u-1", "what": "It leaks"}')
    fields = {"external_id": "body.uid", "title": "body.what"}
    mapping.write_text(
        json.dumps({"events": [{"when": 'body.state == "alerting"', "action": "open"}], "fields": fields})
    )
    command = ("sources", "preview", str(body), "--source", source["id"])
    assert run(data_dir, *command).stdout.startswith("unmapped: No rule")
    said = json.loads(run(data_dir, *command, "--mapping", str(mapping), "--json").stdout)
    assert (said["result"], said["incident"]["title"], said["incident"]["number"]) == ("created", "It leaks", None)
    assert get(address, "/v1/incidents", key).json()["items"] == []
    mapping.write_text('{"fields": {"title": "body.("}}')
    refused = run(data_dir, *command, "--mapping", str(mapping))
    assert (refused.returncode, "/mapping/fields/title/0" in refused.stderr) == (1, True)
    stray = run(data_dir, "sources", "preview", str(body), "--source", "01890000-0000-7000-8000-000000000000")
    assert (stray.returncode, "sources list" in stray.stderr) == (1, True)
