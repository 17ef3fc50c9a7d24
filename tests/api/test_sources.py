"""Sources over HTTP: who may add one, what is shown once, what cannot work."""

from __future__ import annotations

import json
import logging
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest


async def added(http: httpx.AsyncClient, **given: Any) -> dict[str, Any]:
    answer = await http.post("/v1/sources", json={"name": "Alerts", "system": "generic", **given})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_the_address_is_shown_once(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/sources", json={"name": "Alerts", "system": "generic", "secret": "a-long-secret"})
    source = answer.json()
    assert answer.headers["location"] == f"/v1/sources/{source['id']}"
    assert source["hook_url"].startswith("http")
    assert source["instance"] == source["id"]
    assert source["has_secret"] is True
    again = await http.get(f"/v1/sources/{source['id']}")
    assert again.json() == {name: value for name, value in source.items() if name != "hook_url"}
    listed = await http.get("/v1/sources")
    assert listed.json()["items"] == [again.json()]
    assert "a-long-secret" not in answer.text + again.text + listed.text


async def test_a_repeated_request_answers_alike(http: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": uuid4().hex}
    body = {"name": "Alerts", "system": "generic"}
    one = await http.post("/v1/sources", json=body, headers=headers)
    two = await http.post("/v1/sources", json=body, headers=headers)
    assert one.json() == two.json()
    assert len((await http.get("/v1/sources")).json()["items"]) == 1


async def test_the_secret_is_sealed_and_never_told(http: httpx.AsyncClient, superuser: asyncpg.Connection) -> None:
    source = await added(http, secret="a-secret-of-this-test")
    row = await superuser.fetchrow("SELECT * FROM sources WHERE id = $1", source["id"])
    assert b"a-secret-of-this-test" not in row["secret"]
    token = source["hook_url"].rsplit("/", 1)[1]
    told = await superuser.fetch("SELECT data::text FROM event_data WHERE tenant_id = $1", row["tenant_id"])
    everything = "".join(one["data"] for one in told)
    assert "a-secret-of-this-test" not in everything
    assert token not in everything
    assert row["token_hash"].hex() not in everything


async def test_the_source_has_an_account_of_its_own(http: httpx.AsyncClient) -> None:
    source = await added(http)
    accounts = (await http.get("/v1/service-accounts")).json()["items"]
    mine = [account for account in accounts if account["source_id"] == source["id"]]
    assert len(mine) == 1
    hook = "/hooks/" + source["hook_url"].rsplit("/", 1)[1]
    told = (await http.post(hook, json={"event_action": "trigger", "summary": "x"})).json()
    timeline = (await http.get(f"/v1/incidents/{told['incident']['id']}/timeline")).json()["items"]
    assert {(event["actor"]["kind"], event["actor"]["id"]) for event in timeline} == {
        ("service_account", mine[0]["id"])
    }


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"system": "nonsense"}, "/system"),
        ({"scheme": {"kind": "bearer"}}, "/secret"),
        ({"scheme": {"kind": "url_only"}, "secret": "long-enough"}, "/scheme"),
        ({"scheme": {"kind": "standard_webhooks"}, "secret": "whsec_!!!!!!"}, "/secret"),
        ({"scheme": {"kind": "hmac", "header": "X", "signed": "x"}, "secret": "long-enough"}, "/scheme"),
        ({"secret": "short"}, "/secret"),
        ({"mapping": {"fields": {"title": "body.a +"}}}, "/mapping/fields/title/0"),
        ({"mapping": {"events": [{"when": "nobody.a", "action": "open"}]}}, "/mapping/events/0/when"),
        ({"default_client_id": str(uuid4())}, "/default_client_id"),
        ({"client_map": {"A": str(uuid4())}}, "/client_map/A"),
        ({"defaults": {"facts": {"no_such_fact": 1}}}, "/defaults/facts/no_such_fact"),
        ({"defaults": {"facts": {"exposure": "nonsense"}}}, "/defaults/facts/exposure"),
        ({"defaults": {"playbook": "no-such"}}, "/defaults/playbook"),
        ({"mapping": {"rules": [{"when": "body.a == 1", "playbook": "data-leakage"}]}}, "/mapping/rules/0/when"),
        ({"mapping": {"rules": [{"when": "true", "playbook": "no-such"}]}}, "/mapping/rules/0/playbook"),
        ({"mapping": {"rules": [{"when": "true", "facts": {"no_such_fact": 1}}]}}, "/mapping/rules/0/facts"),
        ({"mapping": {"rules": [{"when": "true"}]}}, "/mapping/rules/0"),
        ({"mapping": {"rules": [{"when": "true", "client_id": str(uuid4())}]}}, "/mapping/rules/0/client_id"),
        ({"hook_url": "x"}, "/hook_url"),
        ({"token_hash": "x"}, "/token_hash"),
        ({"tenant_id": str(uuid4())}, "/tenant_id"),
    ],
)
async def test_a_source_that_cannot_work_is_refused(http: httpx.AsyncClient, given: Any, pointer: str) -> None:
    answer = await http.post("/v1/sources", json={"name": "Alerts", "system": "generic", **given})
    assert answer.status_code == 422, answer.text
    assert any(fault["pointer"].startswith(pointer) for fault in answer.json()["errors"]), answer.text


async def test_a_source_is_changed_under_its_version(http: httpx.AsyncClient) -> None:
    source = await added(http)
    path = f"/v1/sources/{source['id']}"
    stale = await http.patch(path, json={"name": "Other"}, headers={"If-Match": '"9"'})
    assert stale.status_code == 412
    client = (await http.post("/v1/clients", json={"name": "Example"})).json()
    changes = {"name": "Other", "default_client_id": client["id"], "client_map": {"X": client["id"]}}
    changed = await http.patch(path, json=changes, headers={"If-Match": '"1"'})
    assert changed.status_code == 200, changed.text
    assert changed.headers["etag"] == '"2"'
    found = changed.json()
    assert (found["name"], found["client_map"]) == ("Other", {"X": client["id"]})
    emptied = (await http.patch(path, json={"default_client_id": None, "client_map": None})).json()
    assert (emptied["default_client_id"], emptied["client_map"]) == (None, {})


async def test_the_client_is_found_by_what_the_system_calls_it(http: httpx.AsyncClient) -> None:
    named, usual = [(await http.post("/v1/clients", json={"name": n})).json() for n in ("Named", "Usual")]
    put = await http.put("/v1/clients/by-reference/generic/-/21", json={"name": "Referred"})
    assert put.status_code in (200, 201), put.text
    source = await added(http, default_client_id=usual["id"], client_map={"mapped": named["id"]})
    hook = "/hooks/" + source["hook_url"].rsplit("/", 1)[1]
    found = []
    for company in ({"id": "mapped"}, {"id": "21"}, {"id": "99"}, {"name": "mapped"}):
        told = await http.post(
            hook, json={"event_action": "trigger", "summary": json.dumps(company), "company": company}
        )
        incident = (await http.get(f"/v1/incidents/{told.json()['incident']['id']}")).json()
        found.append(incident["client_ids"])
    assert found == [[named["id"]], [put.json()["id"]], [usual["id"]], [named["id"]]]


async def test_another_tenant_sees_nothing(http: httpx.AsyncClient, database: Any, server: str) -> None:
    from app.tenants import create_tenant

    source = await added(http)
    other = await create_tenant(database, f"Other {uuid4().hex[:6]}")
    headers = {"Authorization": f"Bearer {other.key}"}
    async with httpx.AsyncClient(base_url=server, headers=headers, timeout=30, trust_env=False) as theirs:
        missing = (await theirs.get(f"/v1/sources/{uuid4()}")).json()
        for method, path, body in (
            ("GET", "", None),
            ("PATCH", "", {"name": "x"}),
            ("POST", "/rotate", {"address": True}),
            ("POST", f"/deliveries/{uuid4()}/retry", None),
            ("GET", f"/deliveries/{uuid4()}", None),
        ):
            answer = await theirs.request(method, f"/v1/sources/{source['id']}{path}", json=body)
            assert answer.status_code == 404, (method, path, answer.text)
            assert answer.json()["detail"] == missing["detail"]
        assert (await theirs.get(f"/v1/sources/{source['id']}/deliveries")).status_code == 404
        hook = source["hook_url"].rsplit("/", 1)[1]
        told = await theirs.post(f"/hooks/{hook}", json={"event_action": "trigger", "summary": "x", "tenant": "theirs"})
        assert told.json()["result"] == "created"
        assert (await theirs.get("/v1/incidents")).json()["items"] == []
    assert len((await http.get("/v1/incidents")).json()["items"]) == 1


async def test_who_does_not_administer_has_no_sources(http: httpx.AsyncClient, server: str) -> None:
    source = await added(http)
    issued = await http.post("/v1/keys", json={"name": "for responding", "roles": ["it_security"]})
    assert issued.status_code == 201, issued.text
    key = issued.json()["key"]
    async with httpx.AsyncClient(base_url=server, headers={"Authorization": f"Bearer {key}"}) as theirs:
        assert (await theirs.get(f"/v1/sources/{source['id']}")).status_code == 403
        assert (await theirs.post("/v1/sources", json={"name": "x", "system": "generic"})).status_code == 403


async def test_tokens_and_bodies_stay_out_of_the_log(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    source = await added(http, secret="a-secret-of-this-test")
    token = source["hook_url"].rsplit("/", 1)[1]
    with caplog.at_level(logging.DEBUG):
        for path in (f"/hooks/{token}", f"/hooks/{token}x", f"/hooks/{token}/more"):
            await http.post(
                path, content=b'{"summary":"the leaked words"}', headers={"x-hub-signature-256": "sha256=00"}
            )
    written = capsys.readouterr()
    ours = [record for record in caplog.records if record.name.split(".")[0] in {"holdfast", "app", "api"}]
    everything = written.out + written.err + "".join(str(record.__dict__) for record in ours)
    assert "/hooks/{token}" in everything
    for secret in (token, token[23:], "the leaked words", "a-secret-of-this-test"):
        assert secret not in everything
