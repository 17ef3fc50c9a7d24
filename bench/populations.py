"""How the page of a control's population grows with the population."""

from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg

from app.paging import Position, cursors
from app.secrets import Vault
from app.settings import Settings, secret_key
from app.tenants import NewTenant, create_tenant
from bench.figures import Figure
from bench.rig import DATABASE, Rig
from bench.seeding import copy_incident

FEW, MANY = 10_000, 1_000_000  # occurrences of the two tenants that are compared
CONTROL = "CC7.3"
RUNS = 3
BREACHED = 60  # incidents that are late, among few as among many: a full page of either, and nothing else differs


def _spread(copies: int) -> dict[str, str]:
    """Discovered in the order of the copies, over years; all but a few of it done in time."""
    late = max(copies // BREACHED, 1)
    return {
        "discovered_at": "m.discovered_at - c.n * interval '1 minute'",
        "due_at": "m.due_at - c.n * interval '1 minute'",
        "breach_at": "m.breach_at - c.n * interval '1 minute'",
        "met_at": f"CASE WHEN c.n % {late} > 0 THEN m.discovered_at - c.n * interval '1 minute' END",
    }


async def populations(rig: Rig, seconds: float, *, many: int = MANY) -> AsyncIterator[Figure]:
    """How much longer a page takes among many occurrences than among few: the first one, a deep one, the breached."""
    tenants = [await _populated(rig, count) for count in (FEW, many)]
    await rig.settle()
    base = f"/v1/audit/controls/{CONTROL}/occurrences?limit=50"
    for name, tail, depth in (("first", "", 0.0), ("deep", "", 0.9), ("breached", "&state=breached", 0.0)):
        paths = []
        for tenant in tenants:
            cursor = await _cursor(rig, tenant.tenant_id, depth) if depth else ""
            paths.append(f"{base}{tail}{f'&cursor={cursor}' if cursor else ''}")
        few, lots = (rig.get(path, key=tenant.key) for path, tenant in zip(paths, tenants, strict=True))
        await rig.sample(rig.own, few, seconds)
        await rig.sample(rig.own, lots, seconds)
        values, notes = [], []
        for _ in range(RUNS):
            small, large = await rig.sample(rig.own, few, seconds), await rig.sample(rig.own, lots, seconds)
            means = [sum(one.outcome.latencies) / max(len(one.outcome.latencies), 1) for one in (small, large)]
            assert small.outcome.statuses.keys() == large.outcome.statuses.keys() == {200}
            values.append(means[1] / means[0])
            notes.append(f"{means[1] * 1e3:.0f}/{means[0] * 1e3:.0f} ms")
        title = f"Occurrences of a control, {name} page: {many:,} rows to {FEW:,}"
        yield Figure(title, "x time", values, 1.2, note=", ".join(notes))


async def _populated(rig: Rig, count: int) -> NewTenant:
    """A tenant with `count` occurrences."""
    tenant = await create_tenant(rig.database, f"{count} occurrences")
    incident = await rig.open_incident(tenant.key)
    dsn = rig.postgres.superuser_dsn(DATABASE)
    connection = await asyncpg.connect(dsn)
    try:
        each = await connection.fetchval("SELECT count(*) FROM control_occurrences WHERE incident_id = $1", incident)
    finally:
        await connection.close()
    copies = count // each
    await copy_incident(
        dsn, tenant.tenant_id, incident, copies, whole=False, also={"control_occurrences": _spread(copies)}
    )
    return tenant


async def _cursor(rig: Rig, tenant_id: UUID, depth: float) -> str:
    """The cursor behind that share of the population, as the server itself would have made it."""
    connection = await asyncpg.connect(rig.postgres.superuser_dsn(DATABASE), server_settings={"TimeZone": "UTC"})
    try:
        row = await connection.fetchrow(
            "SELECT discovered_at::text AS value, id::text AS id FROM control_occurrences WHERE tenant_id = $1"
            " AND control = $2 AND NOT exercise ORDER BY discovered_at, id OFFSET ("
            "   SELECT (count(*) * $3::float)::bigint FROM control_occurrences WHERE tenant_id = $1 AND control = $2)"
            " LIMIT 1",
            tenant_id,
            CONTROL,
            depth,
        )
    finally:
        await connection.close()
    vault = Vault(secret_key(Settings(data_dir=rig.folder / "data")))
    filters = {"control": CONTROL, "exercise": False}
    made = cursors(vault, tenant_id, "control_occurrence", "discovered_at", filters)
    return made.write(Position(row["value"], row["id"]))
