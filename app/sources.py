"""Sources: the systems that send us deliveries, each with an address, a secret and an identity of its own.

The address carries a token that is shown once and kept as its SHA-256. The secret is sealed for its source alone.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from msgspec import Struct, structs
from pydantic import TypeAdapter, ValidationError

from app.authentication import Principal
from app.database import Db
from app.ids import new_id
from app.rights import require, require_unlimited
from app.rows import Written, changed, check_version, insert_row, update_row
from app.secrets import Claim, Vault, new_hook_token
from app.source_silence import expect
from domain.actors import Actor, Via
from domain.playbooks import catalogue
from domain.refusals import InputError, Invalid, NotFound
from domain.signatures import Scheme, Sns, UrlOnly, check_secret
from domain.source_rules import fact_faults
from domain.systems import read_mapping, system_names, system_text

OVERLAP = timedelta(hours=24)
JSON_COLUMNS = ("scheme", "mapping", "defaults", "client_map", "limits")
SCHEME: TypeAdapter[Scheme] = TypeAdapter(Scheme)

_LOCK = """
SELECT id, version, name, system, instance, secret IS NOT NULL AS has_secret, scheme::text AS scheme,
       mapping::text AS mapping, defaults::text AS defaults, default_client_id, client_map::text AS client_map,
       limits::text AS limits, connection_id, status
FROM sources WHERE tenant_id = $1 AND id = $2 FOR UPDATE
"""
# The account is the one that was made with the source; an administrator may have tied more to it.
_FIND = """
SELECT s.id, s.system, s.instance, s.secret, s.scheme::text AS scheme, s.mapping::text AS mapping,
       CASE WHEN s.previous_secret_until > now() THEN s.previous_secret END AS previous_secret,
       s.defaults::text AS defaults, s.default_client_id, s.client_map::text AS client_map, s.limits::text AS limits,
       s.connection_id, s.status, a.id AS account_id, a.name AS account_name, a.active,
       (SELECT array_agg(coalesce(c.account, '')) FROM connections c WHERE c.tenant_id = s.tenant_id
        AND (c.id = s.connection_id OR c.system = s.system AND c.instance = s.instance)
        AND c.status = 'active') AS own_accounts
FROM sources s JOIN service_accounts a ON a.tenant_id = s.tenant_id AND a.source_id = s.id
WHERE s.tenant_id = $1 AND {where} ORDER BY a.id LIMIT 1
"""
FIND_BY_TOKEN, FIND_BY_ID = _FIND.format(where="s.token_hash = $2"), _FIND.format(where="s.id = $2")


class Source(Struct, frozen=True, kw_only=True):
    """A source as a delivery needs it. `secrets` are those that count now, opened; `schemes` empty: the system's."""

    id: UUID
    tenant_id: UUID
    system: str
    instance: str
    secrets: tuple[str, ...]
    schemes: tuple[Scheme, ...]
    mapping: str
    defaults: dict[str, Any]
    default_client_id: UUID | None
    client_map: dict[str, str]
    limits: dict[str, Any]
    connection_id: UUID | None = None
    status: str
    principal: Principal
    own_accounts: tuple[str, ...] | None  # under which we write there; None where we do not


async def find_source(db: Db, claim: Claim, vault: Vault) -> Source | None:
    """The source that a hook token belongs to; None for an unknown token, a disabled source or account."""
    row = await db.row(FIND_BY_TOKEN, claim.tenant_id, claim.hash)
    return None if row is None or row["status"] == "disabled" or not row["active"] else _source(db, row, vault)


async def source_by_id(db: Db, source_id: UUID, vault: Vault | None) -> Source:
    """A source by its id, without its secrets where there is no vault to open them. Raises NotFound."""
    row = await db.row(FIND_BY_ID, db.tenant_id, source_id)
    if row is None:
        raise NotFound
    return _source(db, row, vault)


def delivering(source: Source, delivery_id: UUID, external_event_id: str | None) -> Source:
    """The source as it acts for one of its deliveries: each event names it, and what its sender calls it."""
    via = Via(kind="source", source_id=source.id, delivery_id=delivery_id, external_event_id=external_event_id)
    actor = structs.replace(source.principal.actor, via=via)
    return structs.replace(source, principal=replace(source.principal, actor=actor))


def _source(db: Db, row: Mapping[str, Any], vault: Vault | None) -> Source:
    about = secret_about(db.tenant_id, row["id"])
    sealed = [row[name] for name in ("secret", "previous_secret") if row[name] is not None]
    scheme = orjson.loads(row["scheme"])
    actor = Actor(kind="service_account", id=row["account_id"], roles=frozenset({"service_account"}))
    principal = Principal(
        tenant_id=db.tenant_id,
        actor=actor,
        person_id=None,
        service_account_id=row["account_id"],
        key_id=row["account_id"],
        name=row["account_name"],
        roles=actor.roles,
        client_ids=None,
        # A reference of its system may hang at an incident that somebody else opened.
        reads_all=True,
    )
    return Source(
        id=row["id"],
        tenant_id=db.tenant_id,
        system=row["system"],
        instance=row["instance"],
        secrets=tuple(vault.open(one, about=about).decode() for one in sealed) if vault is not None else (),
        schemes=(SCHEME.validate_python(scheme),) if scheme else (),
        mapping=row["mapping"],
        defaults=orjson.loads(row["defaults"]),
        default_client_id=row["default_client_id"],
        client_map=orjson.loads(row["client_map"]),
        limits=orjson.loads(row["limits"]),
        connection_id=row["connection_id"],
        status=row["status"],
        principal=principal,
        own_accounts=None if row["own_accounts"] is None else tuple(row["own_accounts"]),
    )


def secret_about(tenant_id: UUID, source_id: UUID) -> bytes:
    """What a sealed secret is bound to: it opens for no other source."""
    return f"source\n{tenant_id}\n{source_id}".encode()


async def create_source(db: Db, principal: Principal, given: Mapping[str, Any], vault: Vault) -> tuple[UUID, str]:
    """Add a source with a service account of its own; its id and the token of its address, shown now and never again.

    `given` holds `name` and `system`, and any of instance, secret, scheme, mapping, defaults, default_client_id,
    client_map, limits. Raises Forbidden and Invalid.
    """
    _require(principal)
    source_id, now, token = new_id(), datetime.now(UTC), new_hook_token(db.tenant_id)
    secret = given.get("secret")
    row = {
        "id": source_id,
        "version": 1,
        # Two sources of one system never take each other's ids, unless they are told to be the same instance.
        "instance": str(source_id),
        "scheme": {},
        "mapping": {},
        "defaults": {},
        "default_client_id": None,
        "client_map": {},
        "limits": {},
        "connection_id": None,
        "status": "active",
        **{name: value for name, value in given.items() if name != "secret"},
        "created_by": principal.person_id,
        "created_at": now,
        "updated_at": now,
    }
    await _check(db, row, secret)
    hidden: dict[str, Any] = {"token_hash": token.hash}
    if secret is not None:
        hidden["secret"] = vault.seal(secret.encode(), about=secret_about(db.tenant_id, source_id))
    told = Written("source", "source.created")
    await insert_row(db, "sources", row, told, actor=principal.actor, at=now, hidden=hidden)
    account = {
        "id": new_id(),
        "name": row["name"],
        "active": True,
        "source_id": source_id,
        "created_by": principal.person_id,
        "created_at": now,
    }
    told = Written("service_account", "service_account.created")
    await insert_row(db, "service_accounts", account, told, actor=principal.actor, at=now)
    if (seconds := row["limits"].get("expected_seconds")) is not None:
        await expect(db, source_id, seconds, now)
    return source_id, token.text


async def change_source(
    db: Db, principal: Principal, source_id: UUID, given: Mapping[str, Any], if_match: str | None
) -> None:
    """Change what `given` names. Raises NotFound, Forbidden, Invalid and Conflict."""
    _require(principal)
    before = await _lock(db, source_id)
    check_version(if_match, before["version"])
    changes = changed(before, given)
    if not changes:
        return
    await _check(db, {**before, **changes}, None, changes)
    now = datetime.now(UTC)
    whole = {**changes, "version": before["version"] + 1, "updated_at": now}
    told = Written("source", "source.changed", fields=sorted(changes))
    await update_row(db, "sources", source_id, whole, told, actor=principal.actor, at=now)
    seconds = {**before, **changes}["limits"].get("expected_seconds")
    if seconds is not None and {"limits", "status"} & changes.keys():
        await expect(db, source_id, seconds, now)


async def rotate_source(
    db: Db,
    principal: Principal,
    source_id: UUID,
    *,
    new_url: bool,
    secret: str | None,
    overlap: timedelta,
    vault: Vault,
) -> str | None:
    """Replace the token of the address, the secret, or both; the new token where there is one.

    The former secret counts for `overlap` more; the former address ends at once, since it is the credential of
    senders that prove nothing else. Raises NotFound, Forbidden and Invalid.
    """
    _require(principal)
    before = await _lock(db, source_id)
    now = datetime.now(UTC)
    changes: dict[str, Any] = {"version": before["version"] + 1, "updated_at": now}
    hidden: dict[str, Any] = {}
    token = new_hook_token(db.tenant_id) if new_url else None
    if token is not None:
        hidden["token_hash"] = token.hash
    if secret is not None:
        await _check(db, before, secret, {"secret": secret})
        present = await db.value("SELECT secret FROM sources WHERE tenant_id = $1 AND id = $2", db.tenant_id, source_id)
        hidden["secret"] = vault.seal(secret.encode(), about=secret_about(db.tenant_id, source_id))
        hidden["previous_secret"] = present if overlap else None
        changes["previous_secret_until"] = now + overlap if present is not None and overlap else None
    rotated = [name for name, done in (("address", new_url), ("secret", secret is not None)) if done]
    told = Written("source", "source.rotated", rotated=rotated)
    await update_row(db, "sources", source_id, changes, told, actor=principal.actor, at=now, hidden=hidden)
    return token.text if token is not None else None


def _require(principal: Principal) -> None:
    require(principal, "source.write")
    require_unlimited(principal)


async def _lock(db: Db, source_id: UUID) -> dict[str, Any]:
    row = await db.row(_LOCK, db.tenant_id, source_id)
    if row is None:
        raise NotFound
    return {**row, **{name: orjson.loads(row[name]) for name in JSON_COLUMNS}}


async def _check(db: Db, row: Mapping[str, Any], secret: str | None, given: Mapping[str, Any] | None = None) -> None:
    """Refuse a source that could not work. `given` limits the look-ups to what is new. Raises Invalid."""
    faults: list[InputError] = []
    text = system_text(row["system"])
    if text is None:
        there_are = ", ".join(system_names())
        raise Invalid(
            f"There is no system of this name; there are {there_are}.",
            errors=[_fault("/system", f"one of {there_are}")],
        )
    schemes: list[Scheme] = list(text.verify)
    if row["scheme"]:
        try:
            schemes = [SCHEME.validate_python(row["scheme"])]
        except ValidationError as error:
            faults += [_fault("/scheme", str(one["msg"])) for one in error.errors(include_input=False)]
            schemes = []
    has_secret = secret is not None or row.get("has_secret", False)
    if schemes and not has_secret and not any(isinstance(one, UrlOnly | Sns) for one in schemes):
        faults.append(_fault("/secret", "needed by the scheme"))
    if schemes and has_secret and all(isinstance(one, UrlOnly) for one in schemes):
        faults.append(_fault("/scheme", "url_only takes no secret"))
    if secret is not None and schemes:
        reasons = [check_secret(one, secret) for one in schemes]
        if all(reason is not None for reason in reasons):
            faults.append(_fault("/secret", str(next(reason for reason in reasons if reason))))
    read_mapping(row["mapping"])
    if given is None or "defaults" in given:
        faults += fact_faults("/defaults/facts", row["defaults"].get("facts") or {})
    faults += _playbook_faults(row)
    faults += await _client_faults(db, row if given is None else given)
    faults += await _connection_faults(db, row)
    if faults:
        raise Invalid("The source cannot work like this; `errors` says why.", errors=faults[:20])


async def _connection_faults(db: Db, row: Mapping[str, Any]) -> list[InputError]:
    if row["connection_id"] is None:
        return []
    found = await db.value(
        "SELECT system FROM connections WHERE tenant_id = $1 AND id = $2 AND status = 'active'",
        db.tenant_id,
        row["connection_id"],
    )
    return [] if found == row["system"] else [_fault("/connection_id", f"names no connection to {row['system']}")]


def _playbook_faults(row: Mapping[str, Any]) -> list[InputError]:
    rules = (row.get("mapping") or {}).get("rules") or []
    named = {f"/mapping/rules/{index}/playbook": rule.get("playbook") for index, rule in enumerate(rules)}
    named["/defaults/playbook"] = row["defaults"].get("playbook")
    there_are = ", ".join(sorted(one.slug for one in catalogue().list()))
    return [
        _fault(place, f"there is no such playbook; there are {there_are}")
        for place, slug in named.items()
        if slug is not None and catalogue().get(slug) is None
    ]


async def _client_faults(db: Db, row: Mapping[str, Any]) -> list[InputError]:
    named = {("/default_client_id", row.get("default_client_id"))}
    named |= {(f"/client_map/{name[:80]}", one) for name, one in (row.get("client_map") or {}).items()}
    rules = (row.get("mapping") or {}).get("rules") or []
    named |= {(f"/mapping/rules/{index}/client_id", rule.get("client_id")) for index, rule in enumerate(rules)}
    wanted = {UUID(str(one)) for _, one in named if one is not None}
    if not wanted:
        return []
    rows = await db.fetch("SELECT id FROM clients WHERE tenant_id = $1 AND id = ANY ($2)", db.tenant_id, list(wanted))
    known = {found["id"] for found in rows}
    return [
        _fault(place.replace("~", "~0"), "names no client")
        for place, one in sorted(named, key=str)
        if one is not None and UUID(str(one)) not in known
    ]


def _fault(pointer: str, reason: str) -> InputError:
    return InputError(pointer, reason[:300])
