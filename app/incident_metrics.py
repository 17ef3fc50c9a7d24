"""Figures over the incidents of a period: counts, times, and how many deadlines were kept.

A few statements, whatever the period: incidents and steps, each in all and by group at once. Row-level security decides
which incidents there are, so a limited key sees the figures of its own.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from msgspec import Struct

from app.authentication import Principal, lifted
from app.database import Db
from app.directory import time_zone_of
from app.rights import require
from domain.incident_metrics import DEFINITIONS, GROUPS_MAX, check_groups, check_size
from domain.periods import Period, period
from domain.timeline import instant_text

# What a group is called -> its expression over incident i, its client c and its step s.
_BY = {
    "playbook": "i.playbook_slug",
    "severity": "i.severity",
    "client_id": "c.client_id::text",
    "period": "to_char(date_trunc($6::text, i.{basis} AT TIME ZONE $5::text), 'YYYY-MM-DD')",
    "step": "s.id",
}
_CLIENTS = "LEFT JOIN incident_clients c ON c.tenant_id = i.tenant_id AND c.incident_id = i.id"
_STEPS = "JOIN step_runs s ON s.tenant_id = i.tenant_id AND s.incident_id = i.id AND s.generation = i.generation"
# Every parameter is named once, so that each has a type whatever the groups are.
_WITHIN = """
i.tenant_id = $1 AND ($2::timestamptz IS NULL OR i.{basis} >= $2) AND ($3::timestamptz IS NULL OR i.{basis} < $3)
AND $4::timestamptz IS NOT NULL AND $5::text IS NOT NULL AND $6::text IS NOT NULL
AND ($7::text[] IS NULL OR i.severity = ANY ($7)) AND ($8::text[] IS NULL OR i.playbook_slug = ANY ($8))
AND ($9::uuid IS NULL OR EXISTS (SELECT 1 FROM incident_clients o
    WHERE o.tenant_id = i.tenant_id AND o.incident_id = i.id AND o.client_id = $9))
"""
_DECLARED = "i.declared_at IS NOT NULL AND i.status <> 'rejected'"


def _time(name: str, start: str, end: str, eligible: str) -> str:
    """The figures of one time: of those eligible that came so far, in seconds with three decimals."""
    seconds = f"extract(epoch FROM i.{end} - i.{start})::float8"
    some = f"FILTER (WHERE NOT i.exercise AND {eligible} AND i.{end} IS NOT NULL)"
    cells = [f"'n', count(*) {some}"]
    cells += [f"'pending', count(*) FILTER (WHERE NOT i.exercise AND {eligible} AND i.{end} IS NULL)"]
    cells += [f"'mean_seconds', round(avg({seconds}) {some}::numeric, 3)"]
    for label, share in (("median", 0.5), ("p90", 0.9)):
        value = f"percentile_cont({share}) WITHIN GROUP (ORDER BY {seconds}) {some}"
        cells += [f"'{label}_seconds', round(({value})::numeric, 3)"]
    return f"'{name}', json_build_object({', '.join(cells)})"


_INCIDENTS = f"""
json_build_object(
    'reports', count(*) FILTER (WHERE NOT i.exercise),
    'rejected', count(*) FILTER (WHERE NOT i.exercise AND i.status = 'rejected'),
    'declared', count(*) FILTER (WHERE NOT i.exercise AND {_DECLARED}),
    'open', count(*) FILTER (WHERE NOT i.exercise AND {_DECLARED} AND i.status <> 'closed'),
    'closed', count(*) FILTER (WHERE NOT i.exercise AND {_DECLARED} AND i.status = 'closed'),
    'exercises_left_out', count(*) FILTER (WHERE i.exercise),
    {_time("time_to_acknowledge", "reported_at", "acknowledged_at", "true")},
    {_time("time_to_contain", "discovered_at", "contained_at", _DECLARED)},
    {_time("time_to_close", "discovered_at", "closed_at", _DECLARED)})
"""
_DONE = "coalesce(s.completed_occurred_at, s.completed_at)"
_OPEN_STEP = "s.completed_at IS NULL AND s.skipped_at IS NULL"
_MET, _LATE = f"({_DONE} <= s.breach_at)", f"({_DONE} > s.breach_at)"
_BREACHED = f"({_OPEN_STEP} AND $4 > s.breach_at)"


def _share(part: str) -> str:
    ended = f"count(*) FILTER (WHERE s.skipped_at IS NULL AND ({_MET} OR {_LATE} OR {_BREACHED}))"
    return f"round(count(*) FILTER (WHERE s.skipped_at IS NULL AND {part})::numeric / nullif({ended}, 0), 4)"


_SLA = f"""
json_build_object(
    'steps', count(*),
    'met', count(*) FILTER (WHERE s.skipped_at IS NULL AND {_MET}),
    'met_late', count(*) FILTER (WHERE s.skipped_at IS NULL AND {_LATE}),
    'breached', count(*) FILTER (WHERE {_BREACHED}),
    'running', count(*) FILTER (WHERE {_OPEN_STEP} AND $4 <= s.breach_at),
    'skipped', count(*) FILTER (WHERE s.skipped_at IS NOT NULL),
    'attainment', {_share(_MET)},
    'attainment_recorded', {_share("s.completed_at <= s.breach_at")})
"""


class Asked(Struct, frozen=True, kw_only=True):
    """The figures as a caller asks for them."""

    start: str | None = None
    end: str | None = None
    time_zone: str | None = None
    basis: str = "discovered_at"
    interval: str = "month"
    group_by: Sequence[str] = ()
    severity: list[str] | None = None
    playbook: list[str] | None = None
    client_id: UUID | None = None


async def read_incident_metrics(db: Db, principal: Principal, asked: Asked) -> dict[str, Any]:
    """The figures with their definitions. Raises Forbidden and Invalid."""
    relations = () if principal.reads_all else ("reporter", "participant", "own")
    require(principal, "incident.read", relations)
    groups = check_groups(asked.group_by)
    within = period(asked.start, asked.end, asked.time_zone or await time_zone_of(db), names=("from", "to"))
    now = datetime.now(UTC)
    values = _values(db, asked, within, now)
    # A plan for any period would read all of history; this one is for the period at hand.
    await db.execute("SET LOCAL plan_cache_mode = force_custom_plan")
    by_incident = tuple(one for one in groups if one != "step")
    async with _seen(db, principal, _Read(asked.basis, _WITHIN, values)) as read:
        all_incidents, incidents = await _figures(db, read, by_incident, of_steps=False)
        all_steps, steps = await _figures(db, read, groups, of_steps=True)
    return {
        "from": None if within.start is None else instant_text(within.start),
        "to": None if within.end is None else instant_text(within.end),
        "time_zone": within.time_zone,
        "basis": asked.basis,
        "interval": asked.interval,
        "group_by": list(groups),
        "severity": asked.severity,
        "playbook": asked.playbook,
        "client_id": asked.client_id,
        "server_time": instant_text(now),
        "total": {"incidents": all_incidents, "sla": all_steps},
        "incidents": incidents,
        "sla": steps,
        "definitions": dict(DEFINITIONS),
    }


def _values(db: Db, asked: Asked, within: Period, now: datetime) -> tuple[Any, ...]:
    return (
        db.tenant_id,
        within.start,
        within.end,
        now,
        within.time_zone,
        asked.interval,
        asked.severity,
        asked.playbook,
        asked.client_id,
    )


class _Read(Struct, frozen=True):
    """Which incidents are read: the instant that decides about the period, a condition, and the values it binds."""

    basis: str
    where: str
    values: tuple[Any, ...]

    def sql(self, text: str) -> str:
        """`text` with the instant named."""
        return text.replace("{basis}", self.basis)


@asynccontextmanager
async def _seen(db: Db, principal: Principal, read: _Read) -> AsyncIterator[_Read]:
    """The same incidents; where the caller has limits, those seen behind its walls, by their ids.

    Everything of an incident is seen by who sees the incident. The walls ask that for each step of each incident, which
    took most of the time; so it is asked once, and the limits are lifted while those incidents are counted.
    """
    if not principal.is_limited:
        yield read
        return
    rows = await db.fetch(read.sql(f"SELECT i.id FROM incidents i WHERE {read.where}"), *read.values)
    ids = [row["id"] for row in rows]
    async with lifted(db, principal):
        yield _Read(read.basis, f"{read.where} AND i.id = ANY ($10::uuid[])", (*read.values, ids))


async def _figures(
    db: Db, read: _Read, groups: Sequence[str], *, of_steps: bool
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The figures of all, and {group, figures} of each group. Raises Invalid for too many groups."""
    # An incident of several clients counts for each of them and once in all, which is two ways of reading it.
    apart = "client_id" in groups
    found: list[dict[str, Any]] = []
    for wanted in [(), groups] if apart else [groups]:
        sql = _statement(read, wanted, of_steps=of_steps, in_all=not (apart and wanted))
        found += [orjson.loads(row[0]) for row in await db.fetch(sql, *read.values)]
    check_size(len(found) - 1)
    return found[0]["figures"], found[1:]


def _statement(read: _Read, groups: Sequence[str], *, of_steps: bool, in_all: bool) -> str:
    """One row per group: {group, figures}; with `in_all` first that of everything, also where there is nothing."""
    clients = _CLIENTS if "client_id" in groups else ""
    source = f"incidents i {_STEPS if of_steps else ''} {clients}"
    only = f" AND NOT i.exercise AND {_DECLARED}" if of_steps else ""
    expressions = [_BY[name] for name in groups]
    named = ", ".join(f"'{name}', {sql}" for name, sql in zip(groups, expressions, strict=True))
    listed = ", ".join(expressions)
    grouping = ""
    if groups:
        sets = f"GROUPING SETS ((), ({listed}))" if in_all else listed
        first = f"grouping({listed}) DESC, " if in_all else ""
        grouping = f" GROUP BY {sets} ORDER BY {first}{listed} LIMIT {GROUPS_MAX + 2}"
    return read.sql(
        f"SELECT json_build_object('group', json_build_object({named}), 'figures', {_SLA if of_steps else _INCIDENTS})"
        f"::text FROM {source} WHERE {read.where}{only}{grouping}"
    )
