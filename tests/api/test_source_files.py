"""Files in deliveries: what the body carries becomes evidence, what it only names stays a link, nothing is lost."""

from __future__ import annotations

import base64
from hashlib import sha256
from typing import Any

import httpx
import pytest

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40
LOG = "2026-11-20T08:00:00Z user=jamie action=paste\n"


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.fixture
async def hook(http: httpx.AsyncClient) -> str:
    answer = await http.post("/v1/sources", json={"name": "Desk", "system": "generic"})
    return "/hooks/" + str(answer.json()["hook_url"]).rsplit("/", 1)[1]


async def texts(http: httpx.AsyncClient, told: dict[str, Any]) -> str:
    answer = await http.get(f"/v1/incidents/{told['incident']['id']}/timeline?limit=200")
    return "\n".join(str(event["data"].get("text")) for event in answer.json()["items"])


async def evidence(http: httpx.AsyncClient, told: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await http.get(f"/v1/incidents/{told['incident']['id']}/evidence")).json()["items"]
    return found


async def test_what_a_body_carries_is_evidence_and_the_rest_is_told(
    http: httpx.AsyncClient, stranger: httpx.AsyncClient, hook: str
) -> None:
    files = [
        {"name": "../screen", "media_type": "image/png", "content": encoded(PNG)},
        {"name": "proxy.log", "text": LOG},
        {"name": "mail.eml", "url": "https://desk.example.com/files/7"},
        {"name": "tool.exe", "content": encoded(b"MZ\0\0")},
        {"name": "broken.txt", "content": "%%%"},
    ]
    body = {"event_action": "trigger", "dedup_key": "f-1", "title": "It leaks", "attachments": files}
    told = (await stranger.post(hook, json=body)).json()
    assert told["result"] == "created", told
    kept = await evidence(http, told)
    assert {(one["filename"], one["kind"], one["sha256"]) for one in kept} == {
        ("screen.png", "screenshot", sha256(PNG).hexdigest()),
        ("proxy.log", "log_extract", sha256(LOG.encode()).hexdigest()),
    }
    assert {(one["collected_from"], one["collection_method"]) for one in kept} == {("Generic webhook", "webhook")}
    said = await texts(http, told)
    assert "- mail.eml: https://desk.example.com/files/7" in said
    assert "- tool.exe: The file is a program" in said
    assert "- broken.txt: Its content is not base64." in said
    log = next(one for one in kept if one["filename"] == "proxy.log")
    assert (await http.get(f"/v1/evidence/{log['id']}/content")).content == LOG.encode()


async def test_the_same_file_in_a_later_delivery_is_kept_once(
    http: httpx.AsyncClient, stranger: httpx.AsyncClient, hook: str
) -> None:
    files = [{"name": "proxy.log", "text": LOG}]
    body = {"event_action": "trigger", "dedup_key": "f-2", "title": "It leaks", "attachments": files}
    told = (await stranger.post(hook, json=body)).json()
    note = {"event_action": "note", "dedup_key": "f-2", "note": "more", "attachments": files}
    files.append({"name": "second.txt", "text": "two"})
    assert (await stranger.post(hook, json=note)).json()["result"] == "noted"
    assert [one["filename"] for one in await evidence(http, told)] == ["proxy.log", "second.txt"]


async def test_a_note_that_came_first_brings_its_file_when_the_incident_opens(
    http: httpx.AsyncClient, stranger: httpx.AsyncClient, hook: str
) -> None:
    files = [{"name": "early.txt", "text": "early"}]
    await stranger.post(hook, json={"event_action": "note", "dedup_key": "f-3", "note": "x", "attachments": files})
    told = (await stranger.post(hook, json={"event_action": "trigger", "dedup_key": "f-3", "summary": "x"})).json()
    assert [one["filename"] for one in await evidence(http, told)] == ["early.txt"]


async def test_a_mapping_says_where_files_are_and_a_preview_shows_them(http: httpx.AsyncClient) -> None:
    source = (await http.post("/v1/sources", json={"name": "Desk", "system": "generic"})).json()
    mapping = {"attachments": {"items": "body.parts", "name": "file.n", "content": ["file.c", "file.d"]}}
    body = {"title": "It leaks", "parts": [{"n": "a.txt", "d": "data:text/plain;base64," + encoded(b"hello")}]}
    path = f"/v1/sources/{source['id']}/preview"
    said = (await http.post(path, json={"body": body, "mapping": mapping})).json()
    assert said["events"][0]["files"] == [{"name": "a.txt", "kind": "other", "media_type": "text/plain", "size": 5}]
    wrong = {"mapping": {"attachments": {"items": "body.parts", "name": "nobody.n"}}}
    refused = await http.patch(f"/v1/sources/{source['id']}", json=wrong)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/mapping/attachments/name/0"


async def test_what_a_closed_incident_cannot_take_is_told(http: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    mapping = {  # over a system that discovers by itself, so that its report can be rejected at once
        "events": [{"when": 'body.say == "alert"', "action": "open"}, {"when": "true", "action": "comment"}],
        "fields": {"external_id": "body.id", "title": "body.say", "comment": "body.say", "created_at": "body.at"},
        "attachments": {"items": "body.files", "name": "file.name", "text": "file.text"},
    }
    source = (await http.post("/v1/sources", json={"name": "S", "system": "sentinel", "mapping": mapping})).json()
    hook = "/hooks/" + source["hook_url"].rsplit("/", 1)[1]
    told = (await stranger.post(hook, json={"say": "alert", "id": "f-4", "at": "2026-11-20T08:00:00Z"})).json()
    reason = "A test of the scanner, announced by the client beforehand."
    path = f"/v1/incidents/{told['incident']['id']}/transitions"
    ended = await http.post(path, json={"transition": "reject", "disposition": "false_positive", "reason": reason})
    assert ended.status_code == 200, ended.text
    late = {"say": "more", "id": "f-4", "files": [{"name": "late.txt", "text": "late"}]}
    assert (await stranger.post(hook, json=late)).json()["result"] == "noted"
    assert await evidence(http, told) == []
    assert "- late.txt: the incident is rejected." in await texts(http, told)


@pytest.mark.parametrize(
    "url", ["https://x.example/\n\n- contract.pdf: ", "https://x.example/\u202egnp", "javascript:a()", "//x"]
)
async def test_an_address_that_is_none_adds_nothing_to_what_people_read(
    http: httpx.AsyncClient, stranger: httpx.AsyncClient, hook: str, url: str
) -> None:
    files = [{"name": "a.pdf", "url": url}, {"name": "b.pdf"}, {"url": "https://desk.example.com/my file.pdf"}]
    told = (await stranger.post(hook, json={"title": "It leaks", "dedup_key": url, "attachments": files})).json()
    said = (await texts(http, told)).splitlines()
    assert said[-3:] == [
        "- a.pdf: Its address is none that can be opened.",
        "- b.pdf: It came without content.",
        "- my file.pdf: https://desk.example.com/my%20file.pdf",
    ]
