"""The timeline in the database: a chain without gaps, whoever races, and erasure that leaves it whole."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import orjson
import pytest

from app.database import Database, Db
from app.events import append, frames, lock_head
from domain.actors import SYSTEM
from domain.changes import Event
from domain.timeline import GENESIS, Frame, NotCanonical, holds, plain, verify


async def chain(db: Db, stream: str, stream_id: UUID) -> list[Frame]:
    """The frames of one stream as they are stored."""
    rows = await db.fetch("SELECT * FROM events WHERE stream = $1 AND stream_id = $2 ORDER BY seq", stream, stream_id)
    return [
        Frame(
            tenant=row["tenant_id"],
            stream_id=str(row["stream_id"]),
            **{key: row[key] for key in Frame.__struct_fields__ if key not in ("tenant", "stream_id")},
        )
        for row in rows
    ]


async def test_events_link_up_and_their_data_is_what_was_hashed(database: Database) -> None:
    tenant, client = uuid4(), uuid4()
    async with database.transaction(tenant) as db:
        for number in range(3):
            data = {"id": client, "name": "Zoë's café", "at": datetime(2026, 3, 2, tzinfo=UTC), "number": number}
            await append(db, "client", client, "client.changed", data, actor=SYSTEM)
    async with database.transaction(tenant) as db:
        stored = await chain(db, "client", client)
        assert [frame.seq for frame in stored] == [1, 2, 3]
        assert verify(stored) is None
        for row in await db.fetch("SELECT seq, salt, data::text AS data FROM event_data ORDER BY seq"):
            assert holds(stored[row["seq"] - 1], row["salt"], orjson.loads(row["data"]))
        head = await db.row("SELECT seq, hash FROM streams WHERE stream_id = $1", client)
        assert head is not None
        assert (head["seq"], head["hash"]) == (3, stored[-1].hash)


async def test_twenty_writers_of_one_stream_leave_no_gap(database: Database) -> None:
    tenant, stream_id = uuid4(), uuid4()

    async def write(number: int) -> None:
        async with database.transaction(tenant) as db:
            await append(db, "settings", stream_id, "settings.changed", {"number": number}, actor=SYSTEM)
            if number % 4 == 0:
                raise KeyError("rolled back")

    results = await asyncio.gather(*(write(number) for number in range(20)), return_exceptions=True)
    assert sum(isinstance(result, KeyError) for result in results) == 5
    async with database.transaction(tenant) as db:
        stored = await chain(db, "settings", stream_id)
    assert [frame.seq for frame in stored] == list(range(1, 16))
    assert verify(stored) is None


def test_data_keeps_ids_and_instants_as_text_and_refuses_fractions() -> None:
    one = uuid4()
    at = datetime(2026, 3, 2, 15, 4, 5, tzinfo=UTC)
    assert plain({"id": one, "at": at, "set": frozenset({"b", "a"})}) == {
        "id": str(one),
        "at": "2026-03-02T15:04:05.000000Z",
        "set": ["a", "b"],
    }
    with pytest.raises(NotCanonical):
        frames(uuid4(), "risk", uuid4(), 0, GENESIS, [Event("x", {"share": 0.5}, at)], SYSTEM, at)


async def erase(db: Db, incident: UUID, seqs: list[int], **changed: object) -> int:
    """Erase as the use case does: frame the erasure event, hand it to the function that deletes."""
    seq, head = await lock_head(db, "incident", incident)
    now = datetime.now(UTC)
    event = Event("data.erased", {"event_seqs": seqs, "reason": "asked for"}, now)
    (row,) = frames(db.tenant_id, "incident", incident, seq, head, [event], SYSTEM, now)
    erased: int = await db.value("SELECT erase_event_data($1::jsonb, $2)", orjson.dumps(row | changed).decode(), seqs)
    return erased


async def test_erasing_deletes_data_and_the_chain_still_verifies(database: Database) -> None:
    tenant, incident = uuid4(), uuid4()
    async with database.transaction(tenant) as db:
        for number in range(4):
            await append(db, "incident", incident, "note.added", {"number": number}, actor=SYSTEM)
    async with database.transaction(tenant) as db:
        assert await erase(db, incident, [2, 3]) == 2
    async with database.transaction(tenant) as db:
        await append(db, "incident", incident, "note.added", {"number": 9}, actor=SYSTEM)
    async with database.transaction(tenant) as db:
        stored = await chain(db, "incident", incident)
        assert verify(stored) is None
        assert [frame.kind for frame in stored][4] == "data.erased"
        left = await db.fetch("SELECT seq FROM event_data WHERE stream_id = $1 ORDER BY seq", incident)
        assert [row["seq"] for row in left] == [1, 4, 5, 6]


@pytest.mark.parametrize(
    "changed",
    [{"kind": "note.added"}, {"seq": 9}, {"prev_hash": GENESIS}, {"data": {"event_seqs": [1, 2]}}],
    ids=["another kind", "a gap", "a broken link", "more than it lists"],
)
async def test_data_goes_only_with_an_honest_erasure_event(database: Database, changed: dict[str, object]) -> None:
    tenant, incident = uuid4(), uuid4()
    async with database.transaction(tenant) as db:
        for number in range(2):
            await append(db, "incident", incident, "note.added", {"number": number}, actor=SYSTEM)

    async def try_it() -> None:
        async with database.transaction(tenant) as db:
            await erase(db, incident, [1], **changed)

    with pytest.raises(asyncpg.CheckViolationError):
        await try_it()
    async with database.transaction(tenant) as db:
        assert await db.value("SELECT count(*) FROM event_data WHERE stream_id = $1", incident) == 2


async def test_one_tenant_cannot_erase_for_another(database: Database) -> None:
    tenant, incident = uuid4(), uuid4()
    async with database.transaction(tenant) as db:
        await append(db, "incident", incident, "note.added", {"number": 1}, actor=SYSTEM)

    async def try_it() -> None:
        async with database.transaction(uuid4()) as db:
            await erase(db, incident, [1], tenant_id=str(tenant))

    with pytest.raises((asyncpg.CheckViolationError, asyncpg.InsufficientPrivilegeError)):
        await try_it()
    async with database.transaction(tenant) as db:
        assert await db.value("SELECT count(*) FROM event_data WHERE stream_id = $1", incident) == 1
