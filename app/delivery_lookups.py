"""Fetching what a delivery only names, over the connection of its source, and letting it act with what was fetched.

The other system is called with no transaction open. What cannot be fetched is no reason to lose an alert: after a
while it acts with what it says by itself, and the delivery tells why there is no more.
"""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson
from msgspec import Struct

from app.connections import find_connection
from app.database import Database, Db
from app.deliveries import RETRYABLE, act_again
from app.dialling import CallFailed, Connection, Dialler
from app.due_work import Claim, finish, put_off
from app.incidents import ReferenceTaken
from app.secrets import Vault
from app.source_events import Repeated
from app.source_files import Keeping
from app.sources import Source, source_by_id
from domain.mappings import Lookup, Unmappable, read_delivery, received_again
from domain.refusals import Conflict, NotFound, Refusal
from domain.systems import system_of

ATTEMPTS_MAX = 7  # about two minutes: 2 s after the first, twice as long each time
SECONDS_MAX = 40.0  # for all that one delivery names: less than the work is leased
_FIND = """
SELECT d.source_id, d.body, d.headers::text AS headers, d.result FROM hook_deliveries d
WHERE d.tenant_id = $1 AND d.id = $2
"""
_TELL = "UPDATE hook_deliveries SET error = $3, attempts = attempts + 1 WHERE tenant_id = $1 AND id = $2"


class _Named(Struct, frozen=True):
    """A delivery with what it names."""

    source: Source
    connection: Connection | None
    lookups: Sequence[Lookup | None]


class Lookups:
    """What a worker needs to fetch what deliveries name."""

    def __init__(self, vault: Vault, dialler: Dialler, keeping: Keeping) -> None:
        self._vault = vault
        self._dialler = dialler
        self._keeping = keeping

    async def work(self, database: Database, claim: Claim) -> None:
        """Fetch for one delivery, as the worker claims it."""
        named = await self._find(database, claim)
        if named is None:
            await _finish(database, claim)
            return
        fetched: list[dict[str, Any]] = [{} for _ in named.lookups]
        said = None
        try:
            fetched = await self._fetch(named)
        except CallFailed as failure:
            said = f"Fetching: {failure.said}"
            if failure.kind == "retry" and claim.attempts < ATTEMPTS_MAX:
                await self._put_off(database, claim, said)
                return
        await self._act(database, claim, named, fetched, said)

    async def _find(self, database: Database, claim: Claim) -> _Named | None:
        async with database.transaction(claim.tenant_id, read_only=True) as db:
            row = await db.row(_FIND, claim.tenant_id, claim.subject_id)
            if row is None or row["result"] not in RETRYABLE:
                return None
            source = await source_by_id(db, row["source_id"], None)
            try:
                connection = await self._connection(db, source.connection_id)
            except (NotFound, Conflict):
                connection = None
        system = system_of(source.system, source.mapping)
        try:
            delivery = read_delivery(system, received_again(row["body"], orjson.loads(row["headers"])))
        except Unmappable:
            return None  # its body was erased, or the mapping has changed: it stays where it can be tried again
        return _Named(source, connection, delivery.lookups)

    async def _connection(self, db: Db, connection_id: UUID | None) -> Connection | None:
        return None if connection_id is None else await find_connection(db, connection_id, self._vault)

    async def _fetch(self, named: _Named) -> list[dict[str, Any]]:
        """What is laid over each event. Raises CallFailed."""
        if named.connection is None:
            raise CallFailed("refused", "The connection of the source cannot be used.")
        found: list[dict[str, Any]] = []
        try:
            async with asyncio.timeout(SECONDS_MAX):
                for one in named.lookups:
                    found.append({} if one is None else await self._asked(named.connection, one))
        except TimeoutError:
            raise CallFailed("retry", "It took too long.") from None
        return found

    async def _asked(self, connection: Connection, one: Lookup) -> dict[str, Any]:
        replied = await self._dialler.call(connection, one.operation, {"ticket": {"id": one.id}})
        return replied.values or {"fetched": replied.items}

    async def _act(
        self, database: Database, claim: Claim, named: _Named, fetched: list[dict[str, Any]], said: str | None
    ) -> None:
        async def work(db: Db) -> None:
            await act_again(db, named.source, claim.subject_id, self._keeping, fetched, said)
            await finish(db, claim)

        try:
            await database.run(claim.tenant_id, work)
        except (ReferenceTaken, Repeated):
            await put_off(database, claim)  # another one about the same thing was faster: next time it is found
        except (NotFound, Conflict):
            await _finish(database, claim)  # it acted meanwhile
        except Refusal as refusal:
            await self._tell(database, claim, refusal.detail)
            await _finish(database, claim)

    async def _put_off(self, database: Database, claim: Claim, said: str) -> None:
        await self._tell(database, claim, f"{said} It is tried again.")
        await put_off(database, claim)

    async def _tell(self, database: Database, claim: Claim, said: str) -> None:
        async with database.transaction(claim.tenant_id) as db:
            await db.execute(_TELL, claim.tenant_id, claim.subject_id, said[:2_000])


async def _finish(database: Database, claim: Claim) -> None:
    async with database.transaction(claim.tenant_id) as db:
        await finish(db, claim)
