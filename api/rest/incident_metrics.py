"""Figures over incidents: counts, times to acknowledge, contain and close, and how many deadlines were kept."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import orjson
from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from api.calls import Call
from api.fields import In, Out
from api.lists import CSV
from api.routing import declares, router
from app.authentication import Principal
from app.database import Db
from app.incident_metrics import Asked, read_incident_metrics
from app.listing import csv_of
from domain.glossary import Severity

routes = router("Metrics")

Basis = Literal["discovered_at", "reported_at"]
Interval = Literal["day", "week", "month", "quarter", "year"]


class Times(Out):
    """Seconds of those that came so far; null without any. `pending` have not."""

    n: int
    pending: int
    mean_seconds: float | None
    median_seconds: float | None
    p90_seconds: float | None


class IncidentFigures(Out):
    """Counts and times. `definitions` says what each counts."""

    reports: int
    rejected: int
    declared: int
    open: int
    closed: int
    exercises_left_out: int
    time_to_acknowledge: Times
    time_to_contain: Times
    time_to_close: Times


class SlaFigures(Out):
    """Steps by result. `attainment` is a share from 0 to 1, null where nothing has a result."""

    steps: int
    met: int
    met_late: int
    breached: int
    running: int
    skipped: int
    attainment: float | None
    attainment_recorded: float | None


class IncidentGroup(Out):
    """The figures of one combination of the groups asked for."""

    group: dict[str, str | None]
    figures: IncidentFigures


class SlaGroup(Out):
    """The deadlines of one combination of the groups asked for."""

    group: dict[str, str | None]
    figures: SlaFigures


class Total(Out):
    """Everything in the period, each incident and step once."""

    incidents: IncidentFigures
    sla: SlaFigures


class IncidentMetrics(Out):
    """The figures, what narrowed them, and what they mean. `incidents` leaves the group `step` out."""

    start: datetime | None = Field(alias="from")
    end: datetime | None = Field(alias="to")
    time_zone: str
    basis: Basis
    interval: Interval
    group_by: list[str]
    severity: list[Severity] | None
    playbook: list[str] | None
    client_id: UUID | None
    server_time: datetime
    total: Total
    incidents: list[IncidentGroup]
    sla: list[SlaGroup]
    definitions: dict[str, str]


class MetricsQuery(In):
    """The period, by which field incidents belong to it, how they are grouped, and filters."""

    start: Annotated[str | None, Field(alias="from", max_length=40)] = None
    end: Annotated[str | None, Field(alias="to", max_length=40)] = None
    time_zone: Annotated[str | None, Field(max_length=60)] = None
    basis: Basis = "discovered_at"
    interval: Interval = "month"
    group_by: Annotated[str | None, Field(max_length=100)] = None
    severity: Annotated[list[Severity] | None, Field(max_length=4)] = None
    playbook: Annotated[list[str] | None, Field(max_length=20)] = None
    client_id: UUID | None = None


@routes.get("/metrics/incidents", **declares("incident.read", answer=IncidentMetrics))
async def incidents(call: Call, given: Annotated[MetricsQuery, Query()]) -> Response:
    """Figures of a half-open period (`from` and `to` are days of `time_zone` or instants), in all and by `group_by`:
    any of `playbook`, `severity`, `client_id`, `period` (the `interval` that the basis lies in, named by its first day)
    and, for deadlines, `step`, separated by commas. CSV by `Accept`: the deadlines where `step` is asked for, else the
    incidents."""
    asked = Asked(
        start=given.start,
        end=given.end,
        time_zone=given.time_zone,
        basis=given.basis,
        interval=given.interval,
        group_by=given.group_by.split(",") if given.group_by else (),
        severity=[one.value for one in given.severity] if given.severity else None,
        playbook=given.playbook or None,
        client_id=given.client_id,
    )

    async def query(db: Db, principal: Principal) -> str | Response:
        found = await read_incident_metrics(db, principal, asked)
        if call.wants_csv:
            return Response(_csv(found), 200, None, CSV)
        return orjson.dumps(found, default=str).decode()

    return await call.read("incident.read", query)


def _csv(found: dict[str, object]) -> str:
    """One row per group, its figures side by side."""
    groups, total = found["group_by"], found["total"]
    assert isinstance(groups, list)
    assert isinstance(total, dict)
    kind = "sla" if "step" in groups else "incidents"
    rows = found[kind] or [{"group": {}, "figures": total[kind]}]
    assert isinstance(rows, list)
    flat = [{**row["group"], **_flat(row["figures"])} for row in rows]
    return csv_of(flat, list(flat[0]))


def _flat(figures: dict[str, object]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in figures.items():
        parts = value if isinstance(value, dict) else {}
        found |= {f"{name}_{part}": one for part, one in parts.items()} if parts else {name: value}
    return found
