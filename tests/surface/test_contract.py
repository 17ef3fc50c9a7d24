"""Every answer keeps the contract: its model, its headers, its methods, and problems that help (RE3, RE4)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.database import Database
from app.tenants import create_tenant
from tests.api.test_walk import Caller, assess, colleague, contain, decide, remedy, review, revise
from tests.surface.contract import expect_none, faults, problem_faults
from tests.surface.prepared import Prepared
from tests.surface.surface import PARAMETER, Operation, Surface

Together = Callable[[Any], Awaitable[list[Any]]]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
CHANGING = {"date", "x-request-id", "ratelimit", "content-length", "transfer-encoding"}

pytestmark = pytest.mark.timeout(180)


class Watch:
    """Checks every answer that passes, and remembers which operations it saw."""

    def __init__(self, surface: Surface) -> None:
        self.known = [
            (re.compile(PARAMETER.sub("[^/]+", operation.path)), operation)
            for operation in sorted(surface.operations, key=lambda one: len(one.places))
        ]
        self.seen: set[str] = set()
        self.faults: list[str] = []

    async def look(self, answer: httpx.Response) -> None:
        await answer.aread()
        path = answer.request.url.path
        operation = next(
            one for form, one in self.known if one.method == answer.request.method and form.fullmatch(path)
        )
        self.seen.add(str(operation))
        self.faults += faults(operation, answer)

    def on(self, http: httpx.AsyncClient) -> httpx.AsyncClient:
        """Look at what this caller gets."""
        http.event_hooks = {"request": [], "response": [self.look]}
        return http


@pytest.fixture
async def walker(database: Database, address: str) -> AsyncIterator[httpx.AsyncClient]:
    """The first person of a tenant of this test alone."""
    tenant = await create_tenant(database, f"Tenant {uuid4().hex[:8]}")
    headers = {"Authorization": f"Bearer {tenant.key}"}
    async with httpx.AsyncClient(base_url=address, headers=headers, timeout=60, trust_env=False) as http:
        yield http


async def test_every_answer_of_the_walk_is_what_its_model_says(
    surface: Surface, walker: httpx.AsyncClient, address: str
) -> None:
    watch = Watch(surface)
    watch.on(walker)
    opened = await walker.post("/v1/incidents", json={"title": "A list in a chatbot", "playbook": "data-leakage"})
    me = Caller(walker, opened.json()["number"])
    other = await colleague(walker, address, "Bea Second", ["it_security", "legal_counsel", "executive_leadership"])
    her = Caller(watch.on(other), opened.json()["number"])
    her_id = (await other.get("/v1/me")).json()["id"]
    await me.ok("PUT", f"/participants/{her_id}", {"involvement": "responder"})
    await contain(her)
    await assess(me)
    await decide(me)
    await me.step("DL.3")
    await remedy(her)
    await revise(me)
    await me.act("DL.4.3")
    await me.step("DL.4")
    await review(me, her_id)
    await me.refused("POST", "/sign-off", {"statement": "All is done."})
    await me.ok("PUT", "/documentation/D02", {"discovered_by": her_id, "discovery_method": "self_report"})
    await me.ok("PATCH", "", {"person_concerned": "person", "person_concerned_id": her_id})
    await me.ok("POST", "/sign-off", {"statement": "All is done and documented."})
    for operation in surface.operations:  # what a closed incident shows
        if operation.is_read and [place.rpartition("/")[2] for place in operation.places] == ["{incident_id}"]:
            assert (await walker.get(operation.url(lambda _: me.base.rpartition("/")[2]))).status_code == 200
    await walker.get("/v1/me/work")
    await walker.get("/v1/incidents?expand=all&limit=1")
    await other.aclose()
    expect_none([watch.faults])
    assert len(watch.seen) > 25


async def test_every_read_answers_what_its_model_says(
    surface: Surface, ours: Prepared, anybody: httpx.AsyncClient, together: Together
) -> None:
    async def call(operation: Operation) -> list[str]:
        answer = await anybody.get(ours.url(operation), headers=ours.boss.headers)
        if answer.status_code == 422 and operation.query:
            return faults(operation, answer)  # a parameter that it needs was left out
        return faults(operation, answer) + ([] if answer.status_code == 200 else [f"{operation}: {answer.text[:200]}"])

    expect_none(await together(call(operation) for operation in surface.operations if operation.is_read))


async def test_every_write_answers_what_its_model_says(
    surface: Surface, theirs: Prepared, anybody: httpx.AsyncClient
) -> None:
    """One after the other: what one does may be what the next refuses, and both answers keep the contract."""
    found = []
    for operation in surface.operations:
        if not operation.is_read and not operation.is_public:
            request = theirs.body(operation)
            headers = {**request.pop("headers", {}), **theirs.boss.headers}
            answer = await anybody.request(operation.method, theirs.url(operation), headers=headers, **request)
            found.append(faults(operation, answer))
            if answer.status_code == 422:
                found.append([f"{operation}: no valid body is known: {answer.text[:300]}"])
            has_address = any(one.is_read and one.path.startswith(f"{operation.path}/{{") for one in surface.operations)
            if answer.status_code == 201 and has_address and "location" not in answer.headers:
                found.append([f"{operation}: made something without saying where"])
    expect_none(found)


def test_every_operation_declares_its_answer(surface: Surface) -> None:
    without = {str(one) for one in surface.operations if not one.answers and not one.path.endswith("/content")}
    assert {name for name in without if not name.startswith("DELETE ")} == set()


async def test_head_is_get_without_its_body(
    surface: Surface, ours: Prepared, anybody: httpx.AsyncClient, together: Together
) -> None:
    def told(answer: httpx.Response) -> dict[str, str]:
        return {name: value for name, value in answer.headers.items() if name not in CHANGING}

    async def call(operation: Operation) -> list[str]:
        url = ours.url(operation)
        got = await anybody.get(url, headers=ours.boss.headers)
        head = await anybody.head(url, headers=ours.boss.headers)
        found = [] if head.content == b"" else [f"{operation}: a body"]
        if (head.status_code, told(head)) != (got.status_code, told(got)):
            found.append(f"{operation}: {head.status_code} {told(head)} is not {got.status_code} {told(got)}")
        return found

    expect_none(await together(call(operation) for operation in surface.operations if operation.is_read))


async def test_a_method_that_is_not_there_names_those_that_are(
    surface: Surface, ours: Prepared, anybody: httpx.AsyncClient, together: Together
) -> None:
    async def call(path: str, method: str) -> list[str]:
        mine = [operation for operation in surface.operations if operation.path == path]
        answer = await anybody.request(method, mine[0].url(ours.value), headers=ours.boss.headers)
        allowed = {operation.method for operation in mine} | ({"HEAD"} if any(one.is_read for one in mine) else set())
        found = problem_faults(answer) if answer.status_code == 405 else [f"{answer.status_code}"]
        # Another path may fit the same address (`counts` fits `{incident_id}`): more methods may be named, never fewer.
        named = set(answer.headers.get("allow", "").split(", "))
        if not allowed <= named or method in named:
            found.append(f"Allow: {answer.headers.get('allow')}")
        return [f"{method} {path}: {fault}" for fault in found]

    calls = []
    for path in dict.fromkeys(operation.path for operation in surface.operations):
        fits = {one.method for one in surface.operations if re.fullmatch(PARAMETER.sub("[^/]+", one.path), path)}
        if path == "/hooks/{token}":
            fits.add("OPTIONS")  # senders of CloudEvents ask for permission first; it is no operation of ours
        calls += [call(path, method) for method in METHODS if method not in fits]
    expect_none(await together(calls))


async def test_addresses_that_are_not_there_are_problems(anybody: httpx.AsyncClient, ours: Prepared) -> None:
    for path in ("/", "/v1", "/v1/nothing", "/v1/incidents/", "//v1/incidents", "/V1/incidents", "/v1/incidents/x/y/z"):
        answer = await anybody.get(path, headers=ours.boss.headers)
        assert answer.status_code in {404, 405}, f"{path}: {answer.status_code}"
        assert problem_faults(answer) == []


async def test_every_problem_that_was_met_has_its_page(anybody: httpx.AsyncClient, ours: Prepared) -> None:
    refused = await anybody.get(f"/v1/incidents/{uuid4()}", headers=ours.boss.headers)
    page = await anybody.get(refused.json()["type"])
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
