"""What the guides tell is true: the walk ends with a signed close, the first curl works, every named file is there."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
GUIDES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)")
NAMED = re.compile(
    r"`((?:\./)?(?:api|app|bench|docs|domain|migrations|openapi|tests)/[\w./-]*\w/?|[A-Z][A-Za-z]*\.md|Makefile|[a-z]+\.toml)`"
)
ADDRESS = "http://127.0.0.1:8080"

pytestmark = pytest.mark.timeout(180)


async def run(*words: str, cwd: Path = ROOT) -> str:
    """What a command prints; it must end well."""
    process = await asyncio.create_subprocess_exec(
        *words, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    printed, _ = await process.communicate()
    text = printed.decode()
    assert process.returncode == 0, text
    return text


def blocks(guide: Path) -> list[str]:
    """The shell text of a guide, one for each block."""
    return re.findall(r"```(?:sh|bash|shell)\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL)


def promised_refusals() -> list[str]:
    """The refusals that README says the walk prints."""
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    found = re.search(r"prints each refusal met on the way: ([^.]+)\.", text)
    assert found is not None, "README does not name the refusals of the walk"
    return [name.strip() for name in found[1].split(",")]


async def test_the_walk_ends_with_a_signed_close(server: str, tenant: Any) -> None:
    printed = await run("docs/walk.sh", server, tenant.key)
    refused = re.findall(r"^refused: (.+)$", printed, re.MULTILINE)
    assert len(promised_refusals()) >= 5
    words = {" ".join(name.split()) for name in refused}
    for name in promised_refusals():
        bare = re.sub(r"^(a|an|the) ", "", name).replace("a client's notice", "client notice")
        bare = bare.replace("client's notice", "client notice").replace("signer who is", "signer is")
        assert any(bare in one.replace("the signer", "signer") for one in words), f"{name} is not among {sorted(words)}"
    assert re.search(r"^signed:  INC-\d+ is closed$", printed, re.MULTILINE), printed
    assert re.search(r"^timeline: \d+ events, linked without a gap$", printed, re.MULTILINE), printed
    assert "Traceback" not in printed


async def test_the_first_curl_of_the_readme_opens_an_incident(
    server: str, tenant: Any, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    (calls,) = [block for block in blocks(ROOT / "README.md") if "curl" in block]
    assert ADDRESS in calls
    (tmp_path / ".holdfast").mkdir()
    (tmp_path / ".holdfast" / "admin-key").write_text(tenant.key + "\n", encoding="utf-8")
    printed = await run("bash", "-euo", "pipefail", "-c", calls.replace(ADDRESS, server), cwd=tmp_path)
    assert '"status":"in_progress"' in printed.replace(": ", ":")
    listed = (await http.get("/v1/incidents")).json()["items"]
    assert [item["playbook_slug"] for item in listed] == ["data-leakage"]


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: str(guide.relative_to(ROOT)))
def test_what_a_guide_names_is_there(guide: Path) -> None:
    text = guide.read_text(encoding="utf-8")
    linked = {name for name in LINK.findall(text) if not (guide.parent / name).exists()}
    named = {name for name in NAMED.findall(text) if not (ROOT / name).exists() and not (guide.parent / name).exists()}
    assert linked | named == set()


def test_what_the_readme_runs_is_there() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    told = {
        verb
        for guide in GUIDES
        for verb in re.findall(r"(?:^|`)make ([a-z][a-z-]*)", guide.read_text(encoding="utf-8"), re.M)
    }
    assert told <= targets
    for folder in re.findall(r"^    (\w+)/ ", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE):
        assert (ROOT / folder).is_dir(), folder


def test_every_command_of_holdfast_that_a_guide_names_exists() -> None:
    from typer.main import get_command

    from app.cli import commands

    known = set(get_command(commands).commands)  # type: ignore[attr-defined]
    told = {
        name for guide in GUIDES for name in re.findall(r"`holdfast ([a-z][a-z-]*)", guide.read_text(encoding="utf-8"))
    }
    assert told
    assert told <= known


async def followed(guide: Path, server: str, tenant: Any, folder: Path) -> str:
    """What a guide prints when somebody types all of it, against a service at another address than the usual one."""
    (folder / ".holdfast").mkdir()
    (folder / ".holdfast" / "admin-key").write_text(tenant.key + "\n", encoding="utf-8")
    # Answers name the address that the installation believes to have.
    moved = f'curl() {{ command curl "$@" | sed -E "s,http://127.0.0.1:0/,{server}/,g"; }}'
    typed = "\n".join([moved, *(block.replace(ADDRESS, server) for block in blocks(guide))])
    return await run("bash", "-euo", "pipefail", "-c", typed, cwd=folder)


@pytest.mark.parametrize("guide", sorted((ROOT / "docs" / "systems").glob("*.md")), ids=lambda guide: guide.stem)
async def test_the_guide_of_a_system_opens_an_incident(guide: Path, server: str, tenant: Any, tmp_path: Path) -> None:
    printed = await followed(guide, server, tenant, tmp_path)
    assert '"result":"created"' in printed or re.search(r'"text":"INC-\d+ ', printed), printed


def test_there_is_a_current_guide_for_every_system() -> None:
    from app.guides import guides
    from app.ticket_guide import ticket_guide

    folder = ROOT / "docs" / "systems"
    written = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    assert written == guides(), "run `make openapi`"
    assert (ROOT / "docs" / "ticket-systems.md").read_text(encoding="utf-8") == ticket_guide(), "run `make openapi`"
    index = (ROOT / "docs" / "sending-alerts.md").read_text(encoding="utf-8")
    assert {name for name in written if f"(systems/{name})" not in index} == set()


def test_the_guide_of_the_settings_is_current_and_no_other_setting_is_named() -> None:
    from app.settings_guide import BESIDE, settings_guide, variable_of

    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == settings_guide(), "run `make openapi`"
    known = {variable_of(name, field) for name, field in Settings.model_fields.items()} | BESIDE.keys()
    shell = {"HOLDFAST_KEY", "HOLDFAST_DB_PASSWORD"}  # variables of the commands themselves
    named = {name for path in GUIDES for name in re.findall(r"HOLDFAST_[A-Z_]+", path.read_text(encoding="utf-8"))}
    assert named - known - shell == set()


async def test_the_first_ticket_opens_an_incident_for_its_client(
    server: str, tenant: Any, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    printed = await followed(ROOT / "docs" / "first-ticket.md", server, tenant, tmp_path)
    assert '"result":"created"' in printed, printed
    found = (await http.get("/v1/incidents/INC-1001")).json()
    names = {one["id"]: one["name"] for one in (await http.get("/v1/clients")).json()["items"]}
    assert [names[one] for one in found["client_ids"]] == ["Example Client Ltd"]
    assert found["external_references"][0]["id"] == "418823"
    assert found["severity_hint"] == "high"
    assert found["suggested_playbook"]["slug"] == "data-leakage"


async def test_an_auditor_follows_the_chain_with_the_code_of_the_guide(
    server: str, tenant: Any, http: httpx.AsyncClient
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "auditing.md").read_text(encoding="utf-8"), re.DOTALL)
    told: dict[str, Any] = {}
    exec(code, told)
    number = (await http.post("/v1/incidents", json={"title": "It leaks", "playbook": "data-leakage"})).json()["number"]
    for n in range(201):  # more than one page
        assert (await http.post(f"/v1/incidents/{number}/notes", json={"text": f"Note {n}"})).status_code == 201
    last = (await http.get(f"/v1/incidents/{number}/timeline?limit=200")).json()
    assert last["next_cursor"] is not None
    assert await asyncio.to_thread(told["verified"], server, tenant.key, number) > 201
    kept = told["read"]

    def changed(address: str, key: str, path: str) -> Any:
        page = kept(address, key, path)
        for event in page.get("items", ()):
            if event["seq"] == 7:
                event["kind"] = "note.withdrawn"
        return page

    told["read"] = changed
    with pytest.raises(AssertionError, match="event 7 "):
        await asyncio.to_thread(told["verified"], server, tenant.key, number)


async def test_a_made_up_system_is_connected_by_typing(
    server: str, tenant: Any, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    printed = await followed(ROOT / "docs" / "connecting-a-system.md", server, tenant, tmp_path)
    assert printed.count('"result":"created"') == 2, printed
    assert '"external_id":"NW-7"' in printed
    assert '"filename":"calls.csv"' in printed
    found = (await http.get("/v1/incidents/INC-1001")).json()
    assert found["suggested_playbook"] == {"slug": "ai-vendor-breach", "because": "A key of the gateway is loose."}
    assert (found["title"], found["severity_hint"]) == ("Gateway key used from two countries", "high")
