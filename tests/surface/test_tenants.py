"""Nobody learns anything of another tenant, not even that something is there (AZ5, AZ6, AZ12)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx

from app.ids import new_id
from tests.surface.contract import expect_none
from tests.surface.prepared import EVIDENCE_QUERY, INCIDENT, Prepared
from tests.surface.surface import Operation, Surface

Together = Callable[[Any], Awaitable[list[Any]]]
Stored = Callable[[Prepared], Awaitable[dict[str, str]]]
SAME_ID = {"X-Request-Id": "same-request-id"}
COUNTING = {"date", "ratelimit", "ratelimit-policy"}


def seen(answer: httpx.Response) -> tuple[int, bytes, Mapping[str, str]]:
    """All of an answer that may tell something."""
    told = {name: value for name, value in answer.headers.items() if name not in COUNTING}
    return answer.status_code, answer.content, told


def words(answer: httpx.Response) -> str:
    """Every byte of an answer as text."""
    return answer.text + str(answer.headers.raw)


async def ask(by: Prepared, operation: Operation, url: str, **more: Any) -> httpx.Response:
    """The operation as `by`'s holder of every role calls it, with a body of its own."""
    request = {**by.body(operation), **more}
    headers = {**request.pop("headers", {}), **by.boss.headers, **SAME_ID}
    return await by.http.request(operation.method, url, headers=headers, **request)


def address(operation: Operation, value_of: Callable[[str], str]) -> str:
    streamed = bool(operation.media_types) and not operation.takes_json
    return operation.url(value_of) + (EVIDENCE_QUERY if streamed else "")


def owned(surface: Surface, tenant: Prepared) -> list[Operation]:
    """Operations on things that a tenant alone has."""
    closed = (one for one in surface.operations if not one.is_public)
    return [one for one in closed if any(tenant.owns(place) for place in one.places)]


async def test_what_another_tenant_has_reads_like_what_nobody_has(
    surface: Surface, ours: Prepared, theirs: Prepared, together: Together, stored: Stored
) -> None:
    before = await stored(ours), await stored(theirs)

    async def call(operation: Operation) -> list[str]:
        real = await ask(theirs, operation, address(operation, ours.value))
        none = await ask(theirs, operation, address(operation, ours.random))
        found = [] if real.status_code == 404 else [f"{operation}: {real.status_code} {real.text[:200]}"]
        if seen(real) != seen(none):
            found.append(f"{operation}: {seen(real)} is not {seen(none)}")
        if ours.canary in words(real):
            found.append(f"{operation} tells")
        return found

    operations = owned(surface, ours)
    assert len(operations) > 40
    expect_none(await together(map(call, operations)))
    assert (await stored(ours), await stored(theirs)) == before


async def test_a_child_of_another_tenant_is_not_found_under_ones_own_parent(
    surface: Surface, ours: Prepared, theirs: Prepared, together: Together, stored: Stored
) -> None:
    before = await stored(ours)

    async def call(operation: Operation, foreign: str) -> list[str]:
        mixed = address(operation, lambda place: (ours if place == foreign else theirs).value(place))
        nobody = address(operation, lambda place: ours.random(place) if place == foreign else theirs.value(place))
        real, none = await ask(theirs, operation, mixed), await ask(theirs, operation, nobody)
        found = [] if 400 <= real.status_code < 500 else [f"{operation}: {real.status_code} {real.text[:200]}"]
        return found if seen(real) == seen(none) else [*found, f"{operation}: {seen(real)} is not {seen(none)}"]

    targets = [(one, place) for one in owned(surface, ours) for place in one.places[1:] if ours.owns(place)]
    assert len(targets) > 8
    expect_none(await together(call(*target) for target in targets))
    assert await stored(ours) == before


async def test_a_child_is_found_under_its_own_parent_only(
    surface: Surface, theirs: Prepared, together: Together, stored: Stored
) -> None:
    before = await stored(theirs)

    async def call(operation: Operation, parent: str) -> list[str]:
        url = address(operation, lambda place: theirs.second[place] if place == parent else theirs.value(place))
        answer = await ask(theirs, operation, url)
        return [] if answer.status_code == 404 else [f"{operation}: {answer.status_code} {answer.text[:200]}"]

    targets = [
        (operation, parent)
        for operation in surface.operations
        for parent, child in zip(operation.places, operation.places[1:], strict=False)
        if parent in theirs.second and (theirs.owns(child) or child.endswith(("{step_id}", "{action_id}")))
        # A participant is a person first, who may well take part in another incident.
        if not child.endswith("{person_id}")
    ]
    assert len(targets) > 8
    expect_none(await together(call(*target) for target in targets))
    assert await stored(theirs) == before


async def test_no_body_reaches_another_tenants_things(
    surface: Surface, ours: Prepared, theirs: Prepared, together: Together, stored: Stored
) -> None:
    """A member that names a thing by id takes another tenant's id no better than one of nothing."""
    before = await stored(ours)

    async def call(operation: Operation, member: str, is_list: bool) -> list[str]:
        answers = []
        for id in (ours.named.get(member.removesuffix("s"), ours.named["id"]), str(new_id())):
            body = {**theirs.json(operation), member: [id] if is_list else id}
            answers.append((await ask(theirs, operation, theirs.url(operation), json=body), id))
        (real, real_id), (none, none_id) = answers
        found = [] if 400 <= real.status_code < 500 else [f"{operation} {member}: {real.status_code} {real.text[:200]}"]
        # A refusal may name the id that was sent; beside that both are alike.
        if str(seen(real)).replace(real_id, "") != str(seen(none)).replace(none_id, ""):
            found.append(f"{operation} {member}: {seen(real)} is not {seen(none)}")
        return [*found, f"{operation} {member} tells"] if ours.canary in words(real) else found

    calls = [call(operation, name, is_list) for operation, name, is_list in naming(surface)]
    assert len(calls) > 20
    expect_none(await together(calls))
    assert await stored(ours) == before


def naming(surface: Surface) -> list[tuple[Operation, str, bool]]:
    """Members of bodies that name a thing by its id: operation, name, whether it is a list of them."""
    found = []
    for operation in surface.operations:
        for name, schema in (operation.body or {}).get("properties", {}).items():
            plain = surface.resolve(schema)
            inner = surface.resolve(plain["items"]) if plain.get("type") == "array" else plain
            if inner.get("format") == "uuid":
                found.append((operation, name, inner is not plain))
    return found


async def test_no_list_and_no_filter_tells_of_another_tenant(
    surface: Surface, ours: Prepared, theirs: Prepared, together: Together
) -> None:
    filters = {
        "client_id": ours.named["client_id"],
        "assignee": ours.named["person_id"],
        "owner": ours.named["person_id"],
        "person_id": ours.named["person_id"],
        "service_account_id": ours.named["service_account_id"],
        "incident_id": ours.named["incident_id"],
        "q": ours.canary,
        "external_id": f"JIRA-{ours.canary}",
        "label": ours.canary,
        "user_name": ours.canary,
    }

    async def call(operation: Operation, query: str, is_ours: bool) -> list[str]:
        answer = await ask(theirs, operation, theirs.url(operation) + query)
        found = [f"{operation}{query} tells"] if ours.canary in words(answer) else []
        if is_ours and answer.status_code == 200:
            value = answer.json()
            if isinstance(value, dict) and value.get("items"):
                found.append(f"{operation}{query} finds {answer.text[:200]}")
        return found

    reads = [operation for operation in surface.operations if operation.is_read]
    calls = [call(operation, "", False) for operation in reads]
    calls += [
        call(one, f"?{name}={value}", True) for one in reads for name, value in filters.items() if name in one.query
    ]
    for one in (operation for operation in reads if "cursor" in operation.query):
        page = await ask(ours, one, ours.url(one) + "?limit=1")
        cursor = page.json().get("next_cursor") if page.status_code == 200 else None
        if cursor:
            answer = await ask(theirs, one, f"{theirs.url(one)}?limit=1&cursor={cursor}")
            assert 400 <= answer.status_code < 500, f"{one}: {answer.status_code} {answer.text[:200]}"
    expect_none(await together(calls))


async def test_the_same_reference_lives_in_both_tenants(ours: Prepared, theirs: Prepared) -> None:
    path = "/v1/incidents/by-reference/connectwise/one/T-4711"
    made = [
        await tenant.make("PUT", path, json={"title": f"By reference {tenant.canary}"}) for tenant in (ours, theirs)
    ]
    assert made[0]["id"] != made[1]["id"]
    numbers = {
        (await tenant.make("GET", f"/v1/incidents/{one['id']}"))["number"]
        for tenant, one in zip((ours, theirs), made, strict=True)
    }
    assert len(numbers) == 1  # each tenant counts for itself, so a number tells nothing


async def test_a_number_of_another_tenant_is_not_found(ours: Prepared, theirs: Prepared) -> None:
    for _ in range(3):
        last = await ours.make("POST", "/v1/incidents", json={"title": ours.canary})
    answer = await theirs.http.get(f"/v1/incidents/{last['number']}", headers={**theirs.boss.headers, **SAME_ID})
    nobody = await theirs.http.get("/v1/incidents/INC-99999", headers={**theirs.boss.headers, **SAME_ID})
    assert answer.status_code == 404
    assert seen(answer) == seen(nobody)
    whole = await theirs.http.get(f"/v1/incidents/{theirs.values[INCIDENT]}", headers=theirs.boss.headers)
    assert theirs.canary in whole.text
