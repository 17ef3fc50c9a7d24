"""Every error is a problem that helps, and none tells more than it should."""

import asyncio
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx
import pytest

from api.problems import PROBLEMS
from app.secrets import new_api_key
from app.settings import Settings
from tests.api.small_api import Caller, make_key, make_person, routes
from tests.conftest import serving


def check_problem(answer: httpx.Response, status: int, code: str) -> dict[str, object]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    problem: dict[str, object] = answer.json()
    assert problem["code"] == code
    assert problem["type"] == f"/problems/{code}"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"] == answer.headers["x-request-id"]
    return problem


async def test_an_unknown_address_is_not_found(door: httpx.AsyncClient) -> None:
    check_problem(await door.get("/v1/nothing"), 404, "not-found")
    check_problem(await door.get("/v1/things/"), 404, "not-found")


async def test_what_one_may_not_see_reads_like_what_is_not(
    door: httpx.AsyncClient, small_server: str, superuser: asyncpg.Connection
) -> None:
    made = (await door.post("/v1/things", json={"title": "mine"})).json()
    tenant = uuid4()
    await superuser.execute("insert into tenants (tenant_id, name) values ($1, 'Other')", tenant)
    other = await make_person(superuser, tenant, "risk_owner")
    same = {"X-Request-Id": "same-request-id"}
    theirs = await door.get(f"/v1/things/{made['id']}", headers=other.headers | same)
    random = await door.get(f"/v1/things/{uuid4()}", headers=other.headers | same)
    check_problem(theirs, 404, "not-found")
    assert theirs.content == random.content


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "OPTIONS"])
async def test_a_method_that_is_not_there_names_those_that_are(door: httpx.AsyncClient, method: str) -> None:
    answer = await door.request(method, "/v1/things")
    check_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "GET, HEAD, POST"


async def test_each_fault_of_a_body_is_pointed_at(door: httpx.AsyncClient) -> None:
    problem = check_problem(await door.post("/v1/things", json={"count": "x", "nope": "v4lue"}), 422, "invalid-input")
    faults = {fault["pointer"]: fault["reason"] for fault in problem["errors"]}  # type: ignore[attr-defined]
    assert set(faults) == {"/title", "/count", "/nope"}
    assert "v4lue" not in str(problem)


@pytest.mark.parametrize(
    "query",
    ["nope=1", "limit=a", "limit=0", "limit=201", "limit=1&limit=2", "sort=colour", "cursor=zzz", "cursor=%00",
     "sort=%FF",
     "sort=" + "x" * 3000, "sort=--number"],
)  # fmt: skip
async def test_parameters_are_read_strictly(door: httpx.AsyncClient, query: str) -> None:
    answer = await door.get(f"/v1/things?{query}")
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"].startswith("/query")


@pytest.mark.parametrize("path", ["/v1/things/%00", "/v1/things/%ff", "/v1/things/not-an-id", "/v1/things/%0d%0a"])
async def test_paths_are_read_strictly(door: httpx.AsyncClient, path: str) -> None:
    check_problem(await door.get(path), 422, "invalid-input")


async def test_a_conflict_shows_the_present_state(door: httpx.AsyncClient) -> None:
    problem = check_problem(await door.post("/v1/things", json={"title": "conflict"}), 409, "state-conflict")
    assert problem["current"] == {"status": "closed", "version": 3}


async def test_a_gate_says_what_is_missing(door: httpx.AsyncClient) -> None:
    problem = check_problem(await door.post("/v1/things", json={"title": "gate"}), 409, "gate-refused")
    assert problem["gate"] == "G-DL-1"
    assert problem["missing"] == [{"kind": "action", "ref": "DL.1.2", "message": "Record it first."}]


async def test_our_own_mistake_tells_nothing_but_its_number(door: httpx.AsyncClient) -> None:
    answer = await door.post("/v1/things", json={"title": "mistake"})
    check_problem(answer, 500, "internal-error")
    assert "secret-of-ours" not in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415),
        ({"Content-Type": "application/json; charset=latin-1"}, 415),
        ({"Content-Type": "application/json; charset=UTF-8"}, 201),
        ({"Content-Type": "application/merge-patch+json"}, 201),
    ],
)
async def test_bodies_are_plain_json(door: httpx.AsyncClient, headers: dict[str, str], status: int) -> None:
    answer = await door.post("/v1/things", content=b'{"title":"a"}', headers=headers)
    assert answer.status_code == status, answer.text


async def test_a_body_without_a_type_is_refused(door: httpx.AsyncClient) -> None:
    request = door.build_request("POST", "/v1/things", content=b'{"title":"a"}')
    assert "content-type" not in request.headers
    check_problem(await door.send(request), 415, "unsupported-media-type")


async def test_a_large_body_is_refused_declared_or_not(door: httpx.AsyncClient) -> None:
    body = b'{"title":"' + b"a" * 1_100_000 + b'"}'
    headers = {"Content-Type": "application/json"}
    check_problem(await door.post("/v1/things", content=body, headers=headers), 413, "payload-too-large")

    async def chunks() -> object:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    answer = await door.post("/v1/things", content=chunks(), headers=headers)  # type: ignore[arg-type]
    check_problem(answer, 413, "payload-too-large")


async def test_a_stalled_body_is_cut(small_server: str) -> None:
    host, port = small_server.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /v1/open HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
    answer = await asyncio.wait_for(reader.read(), 3)  # to the end: the connection closes
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"body-timeout" in answer
    writer.close()


async def test_a_dripping_body_is_cut_too(small_server: str) -> None:
    host, port = small_server.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /v1/open HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")

    async def drip() -> None:
        while True:
            writer.write(b"x")
            await asyncio.sleep(0.1)

    dripping = asyncio.create_task(drip())
    answer = await asyncio.wait_for(reader.read(), 4)
    dripping.cancel()
    assert answer.startswith(b"HTTP/1.1 408 ")
    writer.close()


async def test_a_stranger_learns_only_that_it_is_one(door: httpx.AsyncClient, caller: Caller) -> None:
    unknown = {"Authorization": f"Bearer {new_api_key(caller.tenant_id).text}"}
    json = {"Content-Type": "application/json"}
    for headers in (
        {"Authorization": ""},
        {"Authorization": "Bearer hf_nope"},
        {"Authorization": "Basic eDp5"},
        unknown,
    ):
        check_problem(await door.get("/v1/things", headers=headers), 401, "unauthenticated")
        check_problem(await door.get("/v1/things?nope=1", headers=headers), 401, "unauthenticated")
        check_problem(await door.post("/v1/things", json={"nope": 1}, headers=headers), 401, "unauthenticated")
        check_problem(await door.post("/v1/things", content=b"{", headers=headers | json), 401, "unauthenticated")
    assert (await door.get(f"/v1/things?key={caller.key.text}", headers={"Authorization": ""})).status_code == 401


async def test_a_revoked_key_ends_at_once(
    door: httpx.AsyncClient, caller: Caller, superuser: asyncpg.Connection
) -> None:
    second = await make_key(superuser, caller.tenant_id, caller.id)
    assert (await door.get("/v1/things", headers=second.headers)).status_code == 200
    await superuser.execute("update api_keys set revoked_at = now() where secret_hash = $1", second.key.hash)
    check_problem(await door.get("/v1/things", headers=second.headers), 401, "unauthenticated")


async def test_a_role_that_never_may_is_told_so(
    door: httpx.AsyncClient, caller: Caller, superuser: asyncpg.Connection
) -> None:
    auditor = await make_person(superuser, caller.tenant_id, "auditor")
    check_problem(await door.post("/v1/admin", headers=auditor.headers), 403, "forbidden")
    assert (await door.post("/v1/admin")).status_code == 200


async def test_every_type_is_a_page(door: httpx.AsyncClient) -> None:
    for code in PROBLEMS:
        answer = await door.get(f"/problems/{code}", headers={"Authorization": ""})
        assert answer.status_code == 200
        assert code in answer.text
    answer = await door.get("/problems/%3Cscript%3E")
    assert "<script>" not in answer.text


async def test_a_database_that_is_away_is_503(
    cluster: object, caller: Caller, tmp_path: Path, settings: Settings
) -> None:
    from api.server import create_api
    from app.database import Database

    assert settings.database_url is not None
    gone = await Database.connect(settings.database_url.get_secret_value(), max_size=2)
    async with (
        serving(create_api(settings, gone, routers=[routes])) as address,
        httpx.AsyncClient(trust_env=False) as http,
    ):
        assert (await http.get(f"{address}/readyz")).status_code == 200
        await gone.close()
        answer = await http.get(f"{address}/v1/things", headers=caller.headers)
        check_problem(answer, 503, "unavailable")
        assert int(answer.headers["retry-after"]) >= 1
        assert (await http.get(f"{address}/healthz")).status_code == 200
        await asyncio.sleep(1.1)
        assert (await http.get(f"{address}/readyz")).status_code == 503
