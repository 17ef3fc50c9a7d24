"""Evidence over HTTP: a file is taken in whole or not at all."""

import asyncio
import os
import resource
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from app.database import Database
from app.settings import Settings
from app.tenants import create_tenant
from tests.attaching import PNG, RESTRICTED, attach, digest, folder_of, incoming, listed
from tests.conftest import serving
from tests.people import add_person, add_service_account, report


@pytest.fixture
async def incident(http: httpx.AsyncClient) -> dict[str, Any]:
    """A declared incident of the data leakage playbook."""
    return await report(http, playbook="data-leakage")


@pytest.fixture
def evidence_folder(settings: Settings, tenant: Any) -> Path:
    return folder_of(settings, tenant)


async def test_a_form_attaches_a_file(
    http: httpx.AsyncClient, incident: dict[str, Any], evidence_folder: Path, tenant: Any
) -> None:
    answer = await attach(http, incident, kind="screenshot", action_id="DL.1.2", title="The prompt")
    assert answer.status_code == 201, answer.text
    item = answer.json()
    assert answer.headers["location"] == f"/v1/evidence/{item['id']}"
    assert item["sha256"] == digest(PNG)
    assert item["size"] == len(PNG)
    assert item["media_type"] == "image/png"
    assert item["sensitivity"] == "restricted"
    assert item["attached_by"] == {"kind": "person", "id": str(tenant.person_id)}
    assert item["custody"][0]["what"] == "received and hashed"
    assert (evidence_folder / digest(PNG)).read_bytes() == PNG
    assert (await http.get(f"/v1/evidence/{item['id']}")).json() == item
    assert await listed(http, incident) == [item]
    events = (await http.get(f"/v1/incidents/{incident['id']}/timeline")).json()["items"]
    assert any(e["kind"] == "evidence.attached" and e["data"]["sha256"] == digest(PNG) for e in events)


async def test_a_raw_body_attaches_a_file(http: httpx.AsyncClient, incident: dict[str, Any]) -> None:
    url = f"/v1/incidents/{incident['id']}/evidence"
    params = {"filename": "r\u00e9sum\u00e9.log", "kind": "log_extract", "collected_at": incident["discovered_at"]}
    answer = await http.post(url, params=params, content=b"one line\n")
    assert answer.status_code == 201, answer.text
    assert answer.json()["filename"] == "r\u00e9sum\u00e9.log"
    assert answer.json()["collected_at"] == incident["discovered_at"]
    assert answer.json()["sensitivity"] == "internal"


async def test_the_same_upload_twice_at_once_makes_one_record(
    http: httpx.AsyncClient, incident: dict[str, Any]
) -> None:
    answers = await asyncio.gather(*(attach(http, incident, kind="document") for _ in range(5)))
    assert sorted(a.status_code for a in answers) == [200, 200, 200, 200, 201]
    assert len({a.json()["id"] for a in answers}) == 1
    assert len(await listed(http, incident)) == 1


async def test_a_repeated_key_answers_alike_whatever_the_boundary(
    http: httpx.AsyncClient, incident: dict[str, Any]
) -> None:
    headers = {"Idempotency-Key": "upload-1"}
    first = await attach(http, incident, kind="document", headers=headers)
    second = await attach(http, incident, kind="document", headers=headers)
    assert first.status_code == second.status_code == 201
    assert first.json() == second.json()
    assert second.headers["idempotency-replayed"] == "true"
    other = await attach(http, incident, PNG + b"!", kind="document", headers=headers)
    assert other.json()["code"] == "idempotency-key-reused"


@pytest.mark.parametrize(
    ("data", "filename"),
    [
        (b"MZ\x90\0" + b"\0" * 100, "tool.png"),
        (b"\x7fELF" + b"\0" * 100, "tool"),
        (b"GIF89a<script>", "a.html"),
        (b"", "empty.txt"),
        (b"echo", "run.cmd"),
    ],
)
async def test_it_refuses_a_file_that_is_not_what_it_says(
    http: httpx.AsyncClient, incident: dict[str, Any], settings: Settings, data: bytes, filename: str
) -> None:
    answer = await attach(http, incident, data, filename=filename)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/file"
    assert await listed(http, incident) == []
    assert incoming(settings) == []


@pytest.mark.parametrize(
    "members",
    [
        {"kind": "gossip"},
        {"unknown": "x"},
        {"action_id": "XX.9.9"},
        {"supersedes_id": "00000000-0000-7000-8000-000000000000"},
        {"collected_by": "00000000-0000-7000-8000-000000000000"},
        {"collected_at": "2999-01-01T00:00:00Z"},
        {"title": "a\ud800".encode("utf-8", "surrogatepass")},
        {"title": "a\0b"},
        {"title": "x" * 201},
    ],
)
async def test_it_refuses_wrong_details(
    http: httpx.AsyncClient, incident: dict[str, Any], members: dict[str, Any]
) -> None:
    answer = await attach(http, incident, **members)
    assert answer.status_code in {400, 422}
    assert await listed(http, incident) == []


async def test_a_stranger_to_the_incident_attaches_and_sees_nothing(
    http: httpx.AsyncClient, incident: dict[str, Any], database: Database, tenant: Any, evidence_folder: Path
) -> None:
    item = (await attach(http, incident, kind="document")).json()
    member = await add_person(database, tenant.tenant_id)
    other = await create_tenant(database, "Another provider")
    for headers in (member.headers, {"Authorization": f"Bearer {other.key}"}):
        assert (await attach(http, incident, PNG + b"?", headers=headers)).status_code == 404
        for url in (f"/v1/evidence/{item['id']}", f"/v1/evidence/{item['id']}/content"):
            assert (await http.get(url, headers=headers)).status_code == 404
        assert (await http.get(f"/v1/incidents/{incident['id']}/evidence", headers=headers)).status_code == 404
    assert len(os.listdir(evidence_folder)) == 1, "they were refused before their bytes were taken"


@pytest.fixture
async def small(settings: Settings, tenant: Any) -> AsyncIterator[tuple[httpx.AsyncClient, Settings]]:
    """A service that holds little evidence and waits briefly."""
    from api.server import create_api

    limits = {"evidence_file_bytes_max": 100_000, "evidence_incident_bytes_max": 150_000, "body_stall_seconds": 0.4}
    little = settings.model_copy(update=limits)
    async with serving(create_api(little)) as address:
        headers = {"Authorization": f"Bearer {tenant.key}"}
        async with httpx.AsyncClient(base_url=address, headers=headers, timeout=30, trust_env=False) as http:
            yield http, little


async def test_a_chunked_upload_past_the_cap_is_cut(small: tuple[httpx.AsyncClient, Settings]) -> None:
    http, settings = small
    incident = await report(http)

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b"x" * 10_000

    url = f"/v1/incidents/{incident['id']}/evidence"
    answer = await http.post(url, params={"filename": "a.txt"}, content=endless())
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")
    assert incoming(settings) == []
    declared = await http.post(url, params={"filename": "a.txt"}, content=b"x" * 100_001)
    assert (declared.status_code, declared.json()["code"]) == (413, "payload-too-large")
    assert (await http.post(url, params={"filename": "a.txt"}, content=b"x" * 100_000)).status_code == 201
    again = await http.post(url, params={"filename": "b.txt"}, content=b"y" * 60_000)
    assert again.status_code == 413
    assert len(await listed(http, incident)) == 1


async def test_a_stalled_upload_is_cut_and_leaves_nothing(
    small: tuple[httpx.AsyncClient, Settings], tenant: Any
) -> None:
    http, settings = small
    incident = await report(http)
    reader, writer = await begin_upload(http, incident, tenant.key, b"x" * 1_000, length=2_000, kind="text/plain")
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    assert b" 408 " in answer.splitlines()[0]
    assert b"connection: close" in answer.lower()
    assert incoming(settings) == []


async def begin_upload(
    http: httpx.AsyncClient, incident: dict[str, Any], key: str, part: bytes, *, length: int, kind: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send the first part of an upload through a socket that the test holds."""
    place = urlsplit(str(http.base_url))
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    head = (
        f"POST /v1/incidents/{incident['id']}/evidence HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
    )
    writer.write(head.encode() + part)
    await writer.drain()
    return reader, writer


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
async def test_an_upload_that_breaks_off_leaves_nothing(
    http: httpx.AsyncClient, incident: dict[str, Any], settings: Settings, tenant: Any, share: float
) -> None:
    form = httpx.Request("POST", "http://x", files={"file": ("a.png", PNG * 20)})
    body = form.read()
    part, kind = body[: int(len(body) * share)], form.headers["content-type"]
    _, writer = await begin_upload(http, incident, tenant.key, part, length=len(body), kind=kind)
    await asyncio.sleep(0.1)
    writer.close()
    for _ in range(50):
        if not incoming(settings):
            break
        await asyncio.sleep(0.05)
    assert incoming(settings) == []
    assert await listed(http, incident) == []


async def test_a_form_without_its_end_or_its_file_is_refused(http: httpx.AsyncClient, incident: dict[str, Any]) -> None:
    url = f"/v1/incidents/{incident['id']}/evidence"
    form = httpx.Request("POST", "http://x", files={"file": ("a.png", PNG)})
    kind = {"Content-Type": form.headers["content-type"]}
    body = form.read()
    cut = await http.post(url, headers=kind, content=body[: body.rindex(b"\r\n--")])
    assert (cut.status_code, cut.json()["code"]) == (400, "invalid-form")
    empty = await http.post(url, files={"other": (None, b"x")})
    assert (empty.status_code, empty.json()["code"]) == (400, "invalid-form")
    bare = await http.post(url, headers={"Content-Type": "multipart/form-data"}, content=b"x")
    assert bare.status_code == 400
    twice = await http.post(url, files=[("file", ("a.png", PNG)), ("file", ("b.png", PNG))])
    assert twice.status_code == 400
    packed = await http.post(url, headers={"Content-Encoding": "gzip"}, content=PNG)
    assert packed.status_code == 415
    assert await listed(http, incident) == []


async def test_a_full_disk_keeps_nothing_and_heals(
    http: httpx.AsyncClient, incident: dict[str, Any], settings: Settings
) -> None:
    item = (await attach(http, incident, kind="document")).json()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(PNG), hard))
    try:
        answer = await attach(http, incident, PNG * 2, kind="document")
        readable = await http.get(f"/v1/evidence/{item['id']}/content")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (answer.status_code, answer.json()["code"]) == (507, "evidence-store-full")
    assert "retry-after" in answer.headers
    assert readable.content == PNG
    assert incoming(settings) == []
    assert len(await listed(http, incident)) == 1
    assert (await attach(http, incident, PNG * 2, kind="document")).status_code == 201


async def test_a_store_that_fails_acknowledges_nothing(
    http: httpx.AsyncClient, settings: Settings, tenant: Any, evidence_folder: Path
) -> None:
    incident = await report(http)
    evidence_folder.parent.mkdir(parents=True, exist_ok=True)
    evidence_folder.write_text("a file stands where the folder should be")
    answer = await attach(http, incident, kind="document")
    evidence_folder.unlink()
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert await listed(http, incident) == []
    assert incoming(settings) == []


async def test_a_service_account_attaches_to_what_it_opened_alone(
    http: httpx.AsyncClient, incident: dict[str, Any], database: Database, tenant: Any
) -> None:
    account = await add_service_account(database, tenant.tenant_id)
    own = await report(http, account.headers)
    made = await attach(http, own, headers=account.headers)
    assert made.status_code == 201, made.text
    assert made.json()["attached_by"] == {"kind": "service_account", "id": str(account.id)}
    assert (await attach(http, incident, headers=account.headers)).status_code == 404
    restricted = (await attach(http, own, PNG + b"r", headers=account.headers, **RESTRICTED)).json()
    refused = await http.get(f"/v1/evidence/{restricted['id']}/content", headers=account.headers)
    assert refused.status_code == 403, "restricted content is for people"
