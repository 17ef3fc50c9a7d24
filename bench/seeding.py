"""Many incidents at once: copies of one that the service itself opened, made by SQL as the superuser.

Copies differ in id, number, title, instants, status, labels and clients. Their timelines are left out: a copy's stream
stands where that of its model stands, so the next event continues it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from uuid import UUID

import asyncpg

SKIPPED = frozenset({"event_data", "events", "gate_refusals", "risk_revisions", "hook_deliveries", "erasures"})
FILTERS = ("incident_clients", "incident_labels", "incident_words", "incident_members")
NOTHING: Mapping[str, dict[str, str]] = MappingProxyType({})
LABELS = CLIENTS = 10  # few, so that a page of either is full among a thousand incidents
STATUSES = "'in_progress','closed','contained','closed','post_incident','closed','in_progress','closed'"

# Ids that sort by time, like those the service makes.
_NUMBERED = """
CREATE TEMP TABLE copies ON COMMIT DROP AS
SELECT n, (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint + n), 12, '0') || '7'
           || substr(md5(n::text || $1::text), 1, 3) || '8' || substr(md5($1::text || n::text), 1, 15))::uuid AS id
FROM generate_series(1, $2::int) n
"""


async def copy_incident(
    dsn: str,
    tenant_id: UUID,
    incident_id: UUID,
    count: int,
    *,
    whole: bool = True,
    varied: bool = False,
    also: Mapping[str, dict[str, str]] = NOTHING,
) -> list[UUID]:
    """Copy an incident `count` times within its tenant; the ids of the copies.

    `whole` copies every child row, otherwise only what lists read and the tables of `also`, whose columns it may change
    by expressions over the copy `c` and the model's row `m`. `varied` spreads status, labels and clients.
    """
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute("SET LOCAL session_replication_role = replica")  # no foreign keys, no wake-ups
            await connection.execute("SET LOCAL synchronous_commit = off")
            await connection.execute(_NUMBERED, str(incident_id), count)
            taken = await connection.fetchval("SELECT next_number FROM tenants WHERE tenant_id = $1", tenant_id)
            await _copy(connection, "incidents", tenant_id, incident_id, _incident(taken, varied))
            tables = await _children(connection) if whole else ["incident_members", *also]
            for table in tables:
                if table not in FILTERS or not varied or table == "incident_members":
                    changed = {"incident_id": "c.id", **also.get(table, {})}
                    await _copy(connection, table, tenant_id, incident_id, changed)
            await _copy(connection, "streams", tenant_id, incident_id, {"stream_id": "c.id"}, key="stream_id")
            if varied:
                await _filters(connection, tenant_id)
            await connection.execute(
                "UPDATE tenants SET next_number = $2 WHERE tenant_id = $1", tenant_id, taken + count
            )
            return [row["id"] for row in await connection.fetch("SELECT id FROM copies ORDER BY n")]
    finally:
        await connection.close()


def _incident(taken: int, varied: bool) -> dict[str, str]:
    changed = {
        "id": "c.id",
        "number": f"'INC-' || ({taken} + c.n - 1)",
        "title": "m.title || ' ' || c.n",
        "reported_at": "m.reported_at - interval '1 day' + c.n * interval '1 second'",
        "discovered_at": "m.discovered_at - interval '1 day' + c.n * interval '1 second'",
    }
    if varied:
        changed |= {
            "status": f"(ARRAY[{STATUSES}])[1 + c.n % 8]",
            "labels": f"ARRAY['label-' || (c.n % {LABELS})]",
            "client_ids": f"ARRAY[{_client('c.n')}]",
            "next_due_at": "CASE WHEN c.n % 8 IN (0, 6) THEN now() + c.n * interval '1 second' END",
        }
    return changed


def _client(number: str) -> str:
    """The id of a client that exists only as a number: lists filter by it, nothing else reads it."""
    return f"lpad(({number} % {CLIENTS})::text, 32, '0')::uuid"


_ROW = "i.id, i.number_order FROM copies JOIN incidents i USING (id)"  # ids sort by time and are nobody else's


async def _filters(connection: asyncpg.Connection, tenant_id: UUID) -> None:
    await connection.execute(
        "INSERT INTO incident_clients (tenant_id, client_id, incident_id, number_order)"
        f" SELECT $1, {_client('n')}, {_ROW}",
        tenant_id,
    )
    await connection.execute(
        "INSERT INTO incident_labels (tenant_id, label, incident_id, number_order)"
        f" SELECT $1, 'label-' || (n % {LABELS}), {_ROW}",
        tenant_id,
    )
    await connection.execute(
        "INSERT INTO incident_words (tenant_id, word, incident_id) SELECT $1, word, id FROM copies,"
        " unnest(ARRAY['client', 'list', 'pasted', 'chatbot', 'inc', 'w' || n % 1000, n::text]) word"
        " ON CONFLICT DO NOTHING",
        tenant_id,
    )


async def _children(connection: asyncpg.Connection) -> list[str]:
    rows = await connection.fetch(
        "SELECT table_name AS name FROM information_schema.columns WHERE table_schema = 'public'"
        " AND column_name = 'incident_id' ORDER BY 1"
    )
    return [row["name"] for row in rows if row["name"] not in SKIPPED]


async def _copy(
    connection: asyncpg.Connection,
    table: str,
    tenant_id: UUID,
    incident_id: UUID,
    changed: dict[str, str],
    *,
    key: str = "",
) -> None:
    """Copy the rows of the model in `table` once per copy, with `changed` columns; ids of other rows become new."""
    columns = await connection.fetch(
        "SELECT column_name AS name, data_type AS type FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name = $1 AND is_generated = 'NEVER'",
        table,
    )
    names = [row["name"] for row in columns]
    own = {"id": "gen_random_uuid()"} if ("id", "uuid") in {(row["name"], row["type"]) for row in columns} else {}
    given = own | changed
    values = ", ".join(given.get(name, f"m.{name}") for name in names)
    key = key or ("id" if table == "incidents" else "incident_id")
    await connection.execute(
        f"INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM copies c, {table} m"
        f" WHERE m.tenant_id = $1 AND m.{key} = $2 ORDER BY c.n",
        tenant_id,
        incident_id,
    )
