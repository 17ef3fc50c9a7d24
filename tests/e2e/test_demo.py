"""`holdfast demo` fills a tenant through the doors, and changes nothing when it is run again."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from domain.playbooks import catalogue
from tests.catalogued import misfits
from tests.e2e.test_serve import get, run, serve

__all__ = ["serve"]  # a fixture
pytestmark = pytest.mark.timeout(180)
STATUSES = {"reported", "rejected", "in_progress", "on_hold", "contained", "post_incident", "closed", "reopened"}
STAGES = 10


def demo(data_dir: Path, *arguments: str) -> dict[str, Any]:
    ended = run(data_dir, "demo", "--json", *arguments)
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def events(data_dir: Path) -> int:
    """How many events there are, all of which fold to what is stored."""
    checked = json.loads(run(data_dir, "rebuild", "--check", "--json").stdout)
    assert [one["faults"] for one in checked] == [[] for _ in checked]
    return sum(one["events"] for one in checked)


def test_an_empty_folder_becomes_a_provider_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    first = demo(data_dir, "--playbook", "shadow-ai")
    assert (first["changed"], first["incidents"], set(first["by_status"])) == (True, STAGES, STATUSES)
    assert {stat.S_IMODE((data_dir / name).stat().st_mode) for name in ("demo.json", "demo-key")} == {0o600}
    before = events(data_dir)
    again = demo(data_dir, "--playbook", "shadow-ai")
    assert again == {**first, "changed": False, "address": again["address"]}
    assert events(data_dir) == before
    said = run(data_dir, "demo", "--playbook", "shadow-ai")
    assert "nothing was changed" in said.stdout


def test_it_fills_the_running_service_and_goes_on_where_it_was_interrupted(serve: Any, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    address = serve(data_dir).address
    first = demo(data_dir, "--url", address, "--playbook", "data-leakage")
    key = (data_dir / "demo-key").read_text().strip()
    listed = get(address, "/v1/incidents?limit=200", key).json()["items"]
    assert len(listed) == STAGES
    assert "breached" in {item["sla_state"] for item in listed}
    assert {name for item in listed for name in item["client_ids"]}
    kept = json.loads((data_dir / "demo.json").read_text())
    roles = {role for one in kept["people"].values() for role in one["roles"]}
    assert {"tenant_admin", "risk_owner", "legal_counsel", "executive_leadership", "auditor", "hr"} <= roles
    told, after = list[dict[str, Any]](), 0
    while (page := get(address, f"/v1/events?limit=200&after={after}", key).json())["items"]:
        told, after = told + page["items"], page["next_after"]
    assert misfits(told) == [] and len({one["type"] for one in told}) > 30
    before = events(data_dir)
    # A run that ended before it could keep what it had done: everything was done, nothing was noted.
    (data_dir / "demo.json").write_text(json.dumps({**kept, "incidents": {}, "sources": {}, "clients": {}}))
    again = demo(data_dir, "--url", address, "--playbook", "data-leakage")
    assert (again["incidents"], again["by_status"]) == (STAGES, first["by_status"])
    assert events(data_dir) == before


def test_every_playbook_has_its_headlines() -> None:
    from app.cli.demo_story import read_story

    story = read_story()
    assert set(story["headlines"]) == set(catalogue().slugs())
    assert {len(titles) for titles in story["headlines"].values()} == {len(story["stages"])} == {STAGES}
    titles = [title for told in story["headlines"].values() for title in told]
    assert len(titles) == len(set(titles))


def test_an_unknown_playbook_is_named(tmp_path: Path) -> None:
    ended = run(tmp_path / "data", "demo", "--playbook", "no-such")
    assert (ended.returncode, "no-such" in ended.stderr, "shadow-ai" in ended.stderr) == (2, True, True)
    assert not (tmp_path / "data").exists()
