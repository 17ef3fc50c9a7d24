"""The sweep: what no record names goes, everything else stays."""

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.database import Database
from app.evidence_store import EvidenceStore
from app.evidence_sweep import sweep
from app.settings import Settings
from tests.attaching import PNG, attach, folder_of, incoming
from tests.people import report


@pytest.fixture
async def incident(http: httpx.AsyncClient) -> dict[str, Any]:
    """A declared incident of the data leakage playbook."""
    return await report(http, playbook="data-leakage")


@pytest.fixture
def evidence_folder(settings: Settings, tenant: Any) -> Path:
    return folder_of(settings, tenant)


async def test_a_refused_record_queues_a_sweep(
    http: httpx.AsyncClient, incident: dict[str, Any], database: Database, tenant: Any
) -> None:
    assert (await attach(http, incident, action_id="XX.9.9")).status_code == 422
    async with database.transaction(tenant.tenant_id) as db:
        row = await db.row("select subject_id, next_at - now() as wait from due_work where kind = 'sweep'")
    assert row is not None
    assert row["subject_id"] == tenant.tenant_id
    assert row["wait"] > timedelta(minutes=55)


async def test_a_sweep_removes_the_remains_of_broken_uploads(database: Database, settings: Settings) -> None:
    store = EvidenceStore(settings.data_dir / "evidence")
    folder = store.folder / ".incoming"
    folder.mkdir(parents=True, exist_ok=True)
    for name, age in (("old", 7_200), ("young", 60)):
        (folder / name).write_bytes(b"half")
        os.utime(folder / name, (time.time() - age, time.time() - age))
    await sweep(database, store)
    assert incoming(settings) == ["young"]
    (folder / "young").unlink()


async def test_files_of_a_tenant_that_this_database_does_not_know_stay(database: Database, settings: Settings) -> None:
    store, stranger = EvidenceStore(settings.data_dir / "evidence"), uuid4()
    async with store.receive(stranger) as receiving:
        await receiving.write(b"of another database")
        kept = await receiving.keep()
    os.utime(store.path(stranger, kept.sha256), (0, 0))
    assert await sweep(database, store, stranger) == 0
    assert await store.has(stranger, kept.sha256)


async def test_a_sweep_removes_what_no_record_names(
    http: httpx.AsyncClient, incident: dict[str, Any], database: Database, settings: Settings, tenant: Any
) -> None:
    item = (await attach(http, incident, kind="document")).json()
    store = EvidenceStore(settings.data_dir / "evidence")
    async with store.receive(tenant.tenant_id) as receiving:
        await receiving.write(b"nobody's")
        orphan = await receiving.keep()
    assert await sweep(database, store, tenant.tenant_id) == 0, "it is too young"
    for name in (orphan.sha256, item["sha256"]):
        os.utime(store.path(tenant.tenant_id, name), (0, 0))
    async with database.transaction(tenant.tenant_id) as db:
        lock = "select pg_advisory_xact_lock_shared(hashtextextended($1, 2))"
        await db.execute(lock, f"{tenant.tenant_id}\n{orphan.sha256}")
        assert await sweep(database, store, tenant.tenant_id) == 0, "it is being recorded at this moment"
    assert await sweep(database, store, tenant.tenant_id) == 1
    assert not await store.has(tenant.tenant_id, orphan.sha256)
    assert (await http.get(f"/v1/evidence/{item['id']}/content")).content == PNG
