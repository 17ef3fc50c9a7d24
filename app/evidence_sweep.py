"""Sweeping the evidence store: files that no record names, left by writes that were refused or by a crash."""

import asyncio
from uuid import UUID

from app.database import Database, Db
from app.due_work import Claim, finish
from app.evidence import LOCK_NAME, lock_name
from app.evidence_store import EvidenceStore

KIND = "sweep"
SWEPT_AFTER_SECONDS = 3600.0
AT_ONCE = 5_000  # files asked about in one statement


async def queue_sweep(database: Database, tenant_id: UUID) -> None:
    """Let the worker look through a tenant's files once what lies there now is old enough."""
    async with database.transaction(tenant_id) as db:
        await db.execute(
            "INSERT INTO due_work (tenant_id, kind, subject_id, next_at)"
            " VALUES ($1, $2, $1, now() + make_interval(secs => $3)) ON CONFLICT DO NOTHING",
            tenant_id,
            KIND,
            SWEPT_AFTER_SECONDS + 60,
        )


async def sweep_claimed(database: Database, claim: Claim, store: EvidenceStore) -> None:
    """The sweep of one tenant, as the worker claims it."""
    await sweep(database, store, claim.tenant_id)
    async with database.transaction(claim.tenant_id) as db:
        await finish(db, claim)


async def sweep(
    database: Database, store: EvidenceStore, tenant_id: UUID | None = None, *, older_than: float = SWEPT_AFTER_SECONDS
) -> int:
    """Remove files older than `older_than` seconds that no record names; how many were removed.

    One short transaction per candidate holds the advisory lock on its hash, so a file that is being recorded at this
    moment stays. Without a tenant: of all tenants, and the remains of broken uploads.
    """
    removed = 0
    if tenant_id is None:
        removed += await asyncio.to_thread(store.remove_incoming, older_than_seconds=older_than)
    for tenant in [tenant_id] if tenant_id else await asyncio.to_thread(store.tenants):
        old = await asyncio.to_thread(store.names, tenant, older_than_seconds=older_than)
        for digest in await _unnamed(database, tenant, old):
            removed += await _remove(database, store, tenant, digest, older_than)
    return removed


async def _unnamed(database: Database, tenant_id: UUID, digests: list[str]) -> list[str]:
    found: list[str] = []
    for start in range(0, len(digests), AT_ONCE):
        async with database.transaction(tenant_id, read_only=True) as db:
            rows = await db.fetch(
                "SELECT d FROM unnest($2::text[]) d WHERE NOT EXISTS"
                " (SELECT 1 FROM evidence e WHERE e.tenant_id = $1 AND e.sha256 = d)"
                # A tenant that this database does not know belongs to another one: its files are not ours to remove.
                " AND EXISTS (SELECT 1 FROM tenants t WHERE t.tenant_id = $1)",
                tenant_id,
                digests[start : start + AT_ONCE],
            )
        found += [row[0] for row in rows]
    return found


async def _remove(database: Database, store: EvidenceStore, tenant_id: UUID, digest: str, older_than: float) -> bool:
    async def work(db: Db) -> bool:
        if not await db.value(f"SELECT pg_try_advisory_xact_lock({LOCK_NAME})", lock_name(tenant_id, digest)):
            return False
        # A later statement than the lock's, so that it sees what was recorded before the lock was free.
        if await db.value("SELECT 1 FROM evidence WHERE tenant_id = $1 AND sha256 = $2 LIMIT 1", tenant_id, digest):
            return False
        is_old = await asyncio.to_thread(store.is_older, tenant_id, digest, older_than)
        if is_old:
            await asyncio.to_thread(store.remove, tenant_id, digest)
        return is_old

    return await database.run(tenant_id, work)
