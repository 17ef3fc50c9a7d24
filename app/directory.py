"""What the rules look at beside the record: the tenant's settings, people and clients, kept while unchanged.

Every change of them moves `tenants.directory_version` in its own transaction, so a copy whose version still stands is
as good as reading again. The version is read in the transaction of each write.
"""

from collections import OrderedDict
from datetime import time, timedelta
from decimal import Decimal
from time import monotonic
from typing import Any
from uuid import UUID

import msgspec
import orjson
from msgspec import Struct

from app.authentication import Principal, lifted
from app.database import Db
from domain.changes import Person, Surroundings, TenantSettings
from domain.contract_notices import ContractClause
from domain.deadlines import Calendar, parse_duration
from domain.obligations import ClientProfile

KEPT_AT_MOST = 256  # tenants
STALE_AFTER_SECONDS = 30  # an outside person expires by the clock, which moves no version


class Directory(Struct, frozen=True, kw_only=True):
    """One version of a tenant's settings, active people and clients."""

    version: int
    read_at: float
    settings: TenantSettings
    people: dict[UUID, Person]
    clients: dict[UUID, ClientProfile]

    def around(self, **more: Any) -> Surroundings:
        """The surroundings of a change."""
        return Surroundings(settings=self.settings, people=self.people, clients=self.clients, **more)


_kept: OrderedDict[UUID, Directory] = OrderedDict()

VERSION = "SELECT directory_version FROM tenants WHERE tenant_id = $1"
_READ = """
SELECT t.directory_version, t.settings::text,
  coalesce((SELECT json_agg(json_build_object('id', p.id, 'kind', p.kind, 'name', p.name, 'email', p.email,
      'user_name', p.user_name, 'manager_id', p.manager_id, 'roles', p.roles, 'created_by', p.created_by,
      'token_issued_by', p.token_issued_by))
    FROM people p WHERE p.tenant_id = t.tenant_id AND p.active AND (p.expires_at IS NULL OR p.expires_at > now())),
    '[]')::text,
  coalesce((SELECT json_agg(json_build_object('id', c.id, 'name', c.name, 'hipaa_role', c.hipaa_role,
      'gdpr_role', c.gdpr_role, 'jurisdictions', c.jurisdictions, 'profile', c.profile, 'contract', c.contract))
    FROM clients c WHERE c.tenant_id = t.tenant_id AND c.active), '[]')::text
FROM tenants t WHERE t.tenant_id = $1
"""


async def directory(db: Db, principal: Principal | None, version: int | None = None) -> Directory:
    """The tenant's directory as of this transaction. `version` is the current one if the caller has read it already.

    Limits of the caller are lifted for the reading: rules need to know everybody, answers never show them.
    """
    if version is None:
        version = await db.value(VERSION, db.tenant_id)
    kept = _kept.get(db.tenant_id)
    if kept is not None and kept.version == version and monotonic() - kept.read_at < STALE_AFTER_SECONDS:
        _kept.move_to_end(db.tenant_id)
        return kept
    async with lifted(db, principal):
        row = await db.row(_READ, db.tenant_id)
    assert row is not None
    people = msgspec.json.decode(row[2], type=list[Person])
    clients = [client_profile(found) for found in orjson.loads(row[3])]
    made = Directory(
        version=row[0],
        read_at=monotonic(),
        settings=tenant_settings(orjson.loads(row[1])),
        people={person.id: person for person in people},
        clients={client.id: client for client in clients},
    )
    _kept[db.tenant_id] = made
    if len(_kept) > KEPT_AT_MOST:
        _kept.popitem(last=False)
    return made


def client_profile(row: dict[str, Any]) -> ClientProfile:
    """A client's row as the rules need to know it."""
    profile = row.get("profile") or {}
    return ClientProfile(
        id=UUID(row["id"]),
        name=row["name"],
        hipaa_role=row["hipaa_role"],
        gdpr_role=row["gdpr_role"],
        data_role=profile.get("data_role"),
        sectors=tuple(profile["sectors"]) if "sectors" in profile else None,
        jurisdictions=tuple(row["jurisdictions"]),
        clauses=tuple(msgspec.convert(c, ContractClause) for c in (row.get("contract") or {}).get("clauses", ())),
    )


async def time_zone_of(db: Db) -> str:
    """The time zone of the tenant's calendar: what a day means where a caller does not say."""
    stored: str | None = await db.value(
        "SELECT settings::text FROM tenants WHERE tenant_id = $1",
        db.tenant_id,
    )
    return tenant_settings(orjson.loads(stored or "{}")).calendar.time_zone


def tenant_settings(stored: dict[str, Any]) -> TenantSettings:
    """The settings of a tenant; what is not stored has its published default."""
    defaults = TenantSettings()
    calendar = dict(stored.get("calendar") or {})
    for name in ("opens", "closes"):
        if name in calendar:
            calendar[name] = time.fromisoformat(calendar[name])
    return TenantSettings(
        calendar=msgspec.convert(calendar, Calendar) if calendar else defaults.calendar,
        grace=_elapsed(stored.get("grace"), defaults.grace),
        triage_within=_elapsed(stored.get("triage_within"), defaults.triage_within),
        harm_cost_threshold=Decimal(str(stored.get("harm_cost_threshold", defaults.harm_cost_threshold))),
        notice_guideline=stored.get("notice_guideline", defaults.notice_guideline),
        delivery_retention=_elapsed(stored.get("delivery_retention"), defaults.delivery_retention),
        organisation=stored.get("organisation") or {},
    )


def _elapsed(text: str | None, default: timedelta) -> timedelta:
    if text is None:
        return default
    duration = parse_duration(text)
    assert isinstance(duration, timedelta), "checked when it was stored"
    return duration
