"""An operation asked for twice with one key happens once and is answered twice alike."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import httpx

from tests.api.small_api import Caller, make_key, make_person


def with_key(key: str, **more: str) -> dict[str, str]:
    return {"Idempotency-Key": key, **more}


async def count_things(superuser: asyncpg.Connection, caller: Caller) -> int:
    count: int = await superuser.fetchval("select count(*) from incidents where tenant_id = $1", caller.tenant_id)
    return count


async def test_the_second_answer_is_the_first(
    door: httpx.AsyncClient, caller: Caller, superuser: asyncpg.Connection
) -> None:
    first = await door.post("/v1/things", json={"title": "a"}, headers=with_key("one"))
    second = await door.post("/v1/things", json={"title": "a"}, headers=with_key("one"))
    assert first.status_code == second.status_code == 201
    assert first.content == second.content
    assert [second.headers[name] for name in ("location", "etag")] == [first.headers[n] for n in ("location", "etag")]
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert await count_things(superuser, caller) == 1


async def test_the_principal_counts_not_the_credential(
    door: httpx.AsyncClient, caller: Caller, superuser: asyncpg.Connection
) -> None:
    first = await door.post("/v1/things", json={"title": "a"}, headers=with_key("one"))
    again = await make_key(superuser, caller.tenant_id, caller.id)
    same_person = await door.post("/v1/things", json={"title": "a"}, headers=with_key("one") | again.headers)
    assert same_person.content == first.content
    colleague = await make_person(superuser, caller.tenant_id, "it_security")
    other_person = await door.post("/v1/things", json={"title": "a"}, headers=with_key("one") | colleague.headers)
    assert other_person.status_code == 201
    assert other_person.json()["id"] != first.json()["id"]


async def test_another_request_with_the_key_is_refused(door: httpx.AsyncClient) -> None:
    await door.post("/v1/things", json={"title": "a"}, headers=with_key("one"))
    for path, content in [("/v1/things", b'{"title":"b"}'), ("/v1/things", b'{"title": "a"}')]:
        answer = await door.post(path, content=content, headers=with_key("one", **{"Content-Type": "application/json"}))
        assert answer.status_code == 422
        assert answer.json()["code"] == "idempotency-key-reused"


async def test_a_refusal_is_not_kept(door: httpx.AsyncClient, superuser: asyncpg.Connection, caller: Caller) -> None:
    refused = await door.post("/v1/things", json={"title": "conflict"}, headers=with_key("one"))
    assert refused.status_code == 409
    assert (await door.post("/v1/things", json={"nope": 1}, headers=with_key("one"))).status_code == 422
    assert (await door.post("/v1/things", json={"title": "a"}, headers=with_key("one"))).status_code == 201


async def test_fifty_at_once_have_one_effect(
    door: httpx.AsyncClient, caller: Caller, superuser: asyncpg.Connection
) -> None:
    async def post() -> httpx.Response:
        return await door.post("/v1/things", json={"title": "a"}, headers=with_key("race"))

    answers = await asyncio.gather(*(post() for _ in range(50)))
    assert await count_things(superuser, caller) == 1
    made = [answer for answer in answers if answer.status_code == 201]
    waiting = [answer for answer in answers if answer.status_code == 409]
    assert made
    assert len(made) + len(waiting) == 50
    assert len({answer.content for answer in made}) == 1
    assert all(answer.headers["retry-after"] == "1" for answer in waiting)
    assert all(answer.json()["code"] == "idempotency-in-flight" for answer in waiting)


async def test_the_unique_key_decides_what_the_lock_lets_pass(
    door: httpx.AsyncClient, caller: Caller, superuser: asyncpg.Connection
) -> None:
    """The other writer committed after our look-up: its row is the truth, ours rolls back."""
    first = await door.post("/v1/things", json={"title": "a"}, headers=with_key("one"))
    hide = "update idempotency_keys set key = $2 where tenant_id = $1"
    await superuser.execute(hide, caller.tenant_id, "elsewhere")
    blocker = await superuser.fetchval("select 1")
    assert blocker == 1
    transaction = superuser.transaction()
    await transaction.start()
    # Not yet visible to the look-up, but in the way of the insert.
    await superuser.execute(hide, caller.tenant_id, "one")
    racing = asyncio.create_task(door.post("/v1/things", json={"title": "a"}, headers=with_key("one")))
    await asyncio.sleep(0.5)
    await transaction.commit()
    second = await racing
    # The sealed answer belongs to its key alone, and the key is the same again.
    assert second.content == first.content
    assert await count_things(superuser, caller) == 1


async def test_a_key_is_free_again_after_seven_days(
    door: httpx.AsyncClient, caller: Caller, superuser: asyncpg.Connection
) -> None:
    first = await door.post("/v1/things", json={"title": "a"}, headers=with_key("one"))
    age = "update idempotency_keys set created_at = $2 where tenant_id = $1"
    await superuser.execute(age, caller.tenant_id, datetime.now(UTC) - timedelta(days=7, minutes=1))
    second = await door.post("/v1/things", json={"title": "b"}, headers=with_key("one"))
    assert second.status_code == 201
    assert second.json()["id"] != first.json()["id"]


async def test_the_stored_answer_cannot_be_read_in_the_database(
    door: httpx.AsyncClient, caller: Caller, superuser: asyncpg.Connection
) -> None:
    await door.post("/v1/things", json={"title": "canary-words"}, headers=with_key("one"))
    sealed = await superuser.fetchval("select answer from idempotency_keys where tenant_id = $1", caller.tenant_id)
    assert b"canary" not in sealed


async def test_a_key_is_visible_ascii(door: httpx.AsyncClient) -> None:
    for key in ["", "a b", "x" * 256, "k\xe9"]:
        headers = httpx.Headers({"Idempotency-Key": key}, encoding="latin-1")
        answer = await door.post("/v1/things", json={"title": "a"}, headers=headers)
        assert answer.status_code == 422, key
        assert answer.json()["errors"][0]["pointer"] == "/headers/Idempotency-Key"
    assert (await door.post("/v1/things", json={"title": "a"}, headers=with_key("x" * 255))).status_code == 201
