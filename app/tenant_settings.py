"""The settings of a tenant: its calendar, its patience, its thresholds, its own profile."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from app.authentication import Principal
from app.database import Db
from app.directory import tenant_settings
from app.events import append, lock_head
from app.reevaluation import queue_reevaluation
from app.rights import lifted, require, require_inside, require_unlimited
from app.rows import check_version
from domain.changes import TenantSettings
from domain.deadlines import parse_duration
from domain.refusals import InputError, Invalid

LONGEST = {
    "grace": timedelta(days=1),
    "triage_within": timedelta(days=7),
    "notice_guideline": timedelta(days=365),
    "delivery_retention": timedelta(days=365),
}
PARTS = ("calendar", "organisation")

_READ = """
SELECT t.name, t.settings::text AS settings, coalesce(s.seq, 0) AS version
FROM tenants t LEFT JOIN streams s ON s.tenant_id = t.tenant_id AND s.stream = 'settings' AND s.stream_id = t.tenant_id
WHERE t.tenant_id = $1
"""


async def read_settings(db: Db, principal: Principal) -> dict[str, Any]:
    """The settings in force, published defaults included, with their version (0: never changed). Raises Forbidden."""
    require(principal, "settings.read")
    require_inside(principal)
    return await _settings(db)


async def change_settings(
    db: Db, principal: Principal, given: Mapping[str, Any], if_match: str | None
) -> dict[str, Any]:
    """Change what `given` names; the settings in force afterwards. None takes a setting back to its default.

    `calendar` and `organisation` are changed member by member. Raises Forbidden, Invalid and Conflict.
    """
    require(principal, "settings.write")
    if "calendar" in given:
        require(principal, "calendar.write")
    require_unlimited(principal)
    version, _ = await lock_head(db, "settings", db.tenant_id)
    check_version(if_match, version)
    row = await db.row(_READ, db.tenant_id)
    assert row is not None, "the tenant of a caller exists"
    stored = orjson.loads(row["settings"])
    wanted = _merged(stored, given)
    if wanted != stored:
        _check(wanted)
        await db.execute(
            "UPDATE tenants SET settings = $2::jsonb WHERE tenant_id = $1", db.tenant_id, orjson.dumps(wanted).decode()
        )
        changes = {"tenants": {str(db.tenant_id): {"settings": wanted}}}
        data = {"fields": sorted(given), "changes": changes}
        now = datetime.now(UTC)
        await append(
            db,
            "settings",
            db.tenant_id,
            "settings.changed",
            data,
            actor=principal.actor,
            occurred_at=now,
            recorded_at=now,
        )
        async with lifted(db, principal):
            await queue_reevaluation(db)
    return await _settings(db)


async def _settings(db: Db) -> dict[str, Any]:
    row = await db.row(_READ, db.tenant_id)
    assert row is not None, "the tenant of a caller exists"
    stored = orjson.loads(row["settings"])
    return {"version": row["version"], "name": row["name"], **_shown(tenant_settings(stored), stored)}


def _shown(known: TenantSettings, stored: Mapping[str, Any]) -> dict[str, Any]:
    calendar = known.calendar
    return {
        "calendar": {
            "time_zone": calendar.time_zone,
            "opens": f"{calendar.opens:%H:%M}",
            "closes": f"{calendar.closes:%H:%M}",
            "country": calendar.country,
            "subdivision": calendar.subdivision,
            "closed_days": sorted(day.isoformat() for day in calendar.closed_days),
            "working_days": sorted(calendar.working_days),
        },
        "grace": stored.get("grace", "PT15M"),
        "triage_within": stored.get("triage_within", "PT1H"),
        "harm_cost_threshold": str(known.harm_cost_threshold),
        "notice_guideline": known.notice_guideline,
        "delivery_retention": stored.get("delivery_retention", "P30D"),
        "organisation": dict(known.organisation),
    }


def _merged(stored: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    wanted = dict(stored)
    for name, value in given.items():
        if name in PARTS and value is not None:
            part = {**wanted.get(name, {}), **value}
            wanted[name] = {key: one for key, one in part.items() if one is not None}
        elif value is None:
            wanted.pop(name, None)
        else:
            wanted[name] = value
    return {name: value for name, value in wanted.items() if value != {} or name not in PARTS}


def _check(wanted: Mapping[str, Any]) -> None:
    """Refuse settings that no deadline could be computed with. Raises Invalid."""
    faults: list[InputError] = []
    for name, longest in LONGEST.items():
        if name in wanted:
            fault = _duration_fault(wanted[name], longest)
            faults += [InputError(f"/{name}", fault)] if fault else []
    if not faults:
        try:
            tenant_settings(dict(wanted))
        except ValueError as error:  # msgspec's ValidationError is one
            faults.append(InputError("/calendar", str(error)[:200]))
    if faults:
        raise Invalid("These settings cannot be used; `errors` says why.", errors=faults)


def _duration_fault(text: str, longest: timedelta) -> str | None:
    try:
        duration = parse_duration(text)
    except ValueError:
        return "an ISO 8601 duration such as PT15M"
    if not isinstance(duration, timedelta) or not timedelta(0) <= duration <= longest:
        return f"at most {longest.days} days, in days, hours or minutes"
    return None
