"""Evidence handed out: unchanged, as a download, to those who may, and told in the timeline."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from app.database import Database
from app.settings import Settings
from tests.attaching import PNG, RESTRICTED, attach, digest, folder_of
from tests.people import add_person, report


@pytest.fixture
async def incident(http: httpx.AsyncClient) -> dict[str, Any]:
    """A declared incident of the data leakage playbook."""
    return await report(http, playbook="data-leakage")


@pytest.fixture
def evidence_folder(settings: Settings, tenant: Any) -> Path:
    return folder_of(settings, tenant)


async def test_a_download_is_an_inert_attachment(http: httpx.AsyncClient, incident: dict[str, Any]) -> None:
    page = b"<!DOCTYPE html><script>alert(1)</script>"
    item = (await attach(http, incident, page, filename='..\\x\u202e"\u00e9.html', kind="document")).json()
    answer = await http.get(f"/v1/evidence/{item['id']}/content")
    assert answer.content == page
    assert answer.headers["content-type"] == "application/octet-stream"
    assert (
        answer.headers["content-disposition"]
        == f"attachment; filename=\"x__.html\"; filename*=UTF-8''{quote('x_é.html')}"
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("sandbox")
    assert answer.headers["cache-control"] == "no-store"
    head = await http.head(f"/v1/evidence/{item['id']}/content")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(page))


@pytest.mark.parametrize(
    ("asked", "status", "first", "last"),
    [
        ("bytes=0-0", 206, 0, 1),
        ("bytes=10-19", 206, 10, 20),
        ("bytes=100-", 206, 100, None),
        ("bytes=-7", 206, -7, None),
        ("bytes=0-999999999", 206, 0, None),
        (f"bytes={len(PNG)}-", 416, 0, 0),
        ("bytes=5-2", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
        ("bytes=" + ",".join(f"{n}-{n}" for n in range(1_000)), 200, 0, None),
        ("lines=1-2", 200, 0, None),
    ],
)
async def test_it_answers_one_range(
    http: httpx.AsyncClient, incident: dict[str, Any], asked: str, status: int, first: int, last: int | None
) -> None:
    item = (await attach(http, incident, kind="document")).json()
    answer = await http.get(f"/v1/evidence/{item['id']}/content", headers={"Range": asked})
    assert answer.status_code == status
    if status == 416:
        assert answer.headers["content-range"] == f"bytes */{len(PNG)}"
    else:
        assert answer.content == PNG[first:last]


async def test_a_range_of_another_version_answers_the_whole(http: httpx.AsyncClient, incident: dict[str, Any]) -> None:
    item = (await attach(http, incident, kind="document")).json()
    headers = {"Range": "bytes=0-3", "If-Range": '"0000"'}
    answer = await http.get(f"/v1/evidence/{item['id']}/content", headers=headers)
    assert (answer.status_code, answer.content) == (200, PNG)


async def test_opening_a_restricted_file_is_told_before_it_leaves(
    http: httpx.AsyncClient, incident: dict[str, Any], database: Database, tenant: Any
) -> None:
    item = (await attach(http, incident, **RESTRICTED)).json()
    auditor = await add_person(database, tenant.tenant_id, "auditor")
    answer = await http.get(f"/v1/evidence/{item['id']}/content", headers=auditor.headers)
    assert (answer.status_code, answer.content) == (200, PNG)
    events = (await http.get(f"/v1/incidents/{incident['id']}/timeline")).json()["items"]
    read = [e for e in events if e["kind"] == "evidence.read"]
    assert [e["actor"]["id"] for e in read] == [str(auditor.id)]
    assert read[0]["data"] == {"evidence_id": item["id"]}
    custody = (await http.get(f"/v1/evidence/{item['id']}")).json()["custody"]
    assert custody[-1]["who"] == str(auditor.id)
    assert custody[-1]["what"] == "content read"


@pytest.mark.parametrize(
    ("role", "status"), [("legal_counsel", 200), ("compliance", 403), ("communications", 403), ("it_security", 200)]
)
async def test_who_may_open_a_restricted_file(
    http: httpx.AsyncClient, incident: dict[str, Any], database: Database, tenant: Any, role: str, status: int
) -> None:
    item = (await attach(http, incident, **RESTRICTED)).json()
    somebody = await add_person(database, tenant.tenant_id, role)
    answer = await http.get(f"/v1/evidence/{item['id']}/content", headers=somebody.headers)
    assert answer.status_code == status
    assert (await http.get(f"/v1/evidence/{item['id']}", headers=somebody.headers)).status_code == 200


async def test_a_reporter_opens_what_it_attached_and_nothing_else_that_is_restricted(
    http: httpx.AsyncClient, database: Database, tenant: Any
) -> None:
    member = await add_person(database, tenant.tenant_id)
    incident = await report(http, headers=member.headers)
    mine = await attach(http, incident, headers=member.headers, **RESTRICTED)
    assert mine.status_code == 201, mine.text
    other = (await attach(http, incident, PNG + b"2", **RESTRICTED)).json()
    assert (await http.get(f"/v1/evidence/{mine.json()['id']}/content", headers=member.headers)).status_code == 200
    assert (await http.get(f"/v1/evidence/{other['id']}/content", headers=member.headers)).status_code == 403


async def test_a_damaged_file_is_never_served(
    http: httpx.AsyncClient, incident: dict[str, Any], evidence_folder: Path
) -> None:
    item = (await attach(http, incident, kind="document")).json()
    url = f"/v1/evidence/{item['id']}/content"
    assert (await http.get(url, headers={"Range": "bytes=0-3"})).status_code == 206
    path = evidence_folder / digest(PNG)
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(1_000)
        file.write(b"changed")
    for headers in ({}, {"Range": "bytes=0-3"}):
        answer = await http.get(url, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (503, "evidence-damaged")
        assert b"PNG" not in answer.content
    path.unlink()
    assert (await http.get(url)).json()["code"] == "evidence-damaged"
    healed = await attach(http, incident, kind="document")
    assert healed.status_code == 200
    assert (await http.get(url)).content == PNG
