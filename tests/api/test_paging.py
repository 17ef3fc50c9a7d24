"""Pages: every row once, in order, whatever is added meanwhile; a cursor belongs to its list."""

from itertools import pairwise

import httpx
import pytest

from app.paging import Position, cursors
from app.secrets import Vault
from domain.refusals import Invalid
from tests.api.small_api import Caller

SECRET = b"0123456789abcdef0123456789abcdef"


async def fill(door: httpx.AsyncClient, count: int) -> list[str]:
    return [(await door.post("/v1/things", json={"title": f"thing {n}"})).json()["number"] for n in range(count)]


@pytest.mark.parametrize("sort", ["number", "-number", "reported_at", "-reported_at", "next_due_at"])
async def test_pages_together_are_the_list(door: httpx.AsyncClient, sort: str) -> None:
    numbers = await fill(door, 7)
    found, cursor, pages = [], None, 0
    while True:
        query = {"limit": 3, "sort": sort} | ({"cursor": cursor} if cursor else {})
        answer = await door.get("/v1/things", params=query)
        page = answer.json()
        found += [item["number"] for item in page["items"]]
        cursor, pages = page["next_cursor"], pages + 1
        if cursor is None:
            assert "link" not in answer.headers
            break
        assert f"cursor={cursor}" in answer.headers["link"]
        assert answer.headers["link"].endswith('; rel="next"')
    assert pages == 3
    if sort != "next_due_at":  # nothing is due, so that order is the ids' alone
        assert found == (numbers[::-1] if sort.startswith("-") else numbers)
    assert sorted(found) == numbers


async def test_the_link_leads_to_the_next_page(door: httpx.AsyncClient) -> None:
    await fill(door, 3)
    first = await door.get("/v1/things", params={"limit": 2})
    target = first.headers["link"].partition(";")[0].strip("<>")
    assert [item["title"] for item in (await door.get(target)).json()["items"]] == ["thing 0"]


async def test_a_page_that_is_just_full_is_the_last(door: httpx.AsyncClient) -> None:
    await fill(door, 2)
    page = (await door.get("/v1/things", params={"limit": 2})).json()
    assert len(page["items"]) == 2
    assert page["next_cursor"] is None


async def test_numbers_sort_as_numbers(door: httpx.AsyncClient, caller: Caller, superuser: object) -> None:
    await superuser.execute("update tenants set next_number = 9999 where tenant_id = $1", caller.tenant_id)  # type: ignore[attr-defined]
    await fill(door, 3)
    numbers = [item["number"] for item in (await door.get("/v1/things?sort=number")).json()["items"]]
    assert numbers == ["INC-9999", "INC-10000", "INC-10001"]


async def test_an_empty_list_is_a_list(door: httpx.AsyncClient) -> None:
    page = (await door.get("/v1/things")).json()
    assert page["items"] == []
    assert page["next_cursor"] is None
    assert page["server_time"].endswith("Z")


def test_a_cursor_is_bound_to_its_list() -> None:
    vault, tenant, other = Vault(SECRET), Caller, None
    from uuid import uuid4

    tenant, other = uuid4(), uuid4()
    mine = cursors(vault, tenant, "incident", "-number", {"status": ["open"]})
    text = mine.write(Position("7", "abc"))
    assert mine.read(text) == Position("7", "abc")
    for stranger in [
        cursors(vault, other, "incident", "-number", {"status": ["open"]}),
        cursors(vault, tenant, "risk", "-number", {"status": ["open"]}),
        cursors(vault, tenant, "incident", "number", {"status": ["open"]}),
        cursors(vault, tenant, "incident", "-number", {}),
        cursors(Vault(b"another secret of enough length."), tenant, "incident", "-number", {"status": ["open"]}),
    ]:
        with pytest.raises(Invalid):
            stranger.read(text)
    for spoilt in [text[:-2], "A" + text[1:], text + "AAAA", "", "é", "x" * 5_000]:
        if spoilt != text:
            with pytest.raises(Invalid):
                mine.read(spoilt)
    rotated = cursors(
        Vault(b"another secret of enough length.", [SECRET]), tenant, "incident", "-number", {"status": ["open"]}
    )
    assert rotated.read(text) == Position("7", "abc")
    assert all(a != b for a, b in pairwise([text, rotated.write(Position("7", "abc"))]))
