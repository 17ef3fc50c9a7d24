"""The risk register: proposals computed when asked for, and revisions, the only way in which an entry changes.

Locks are taken in the order of every use case that touches two streams: the cited incident, then the risk.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import orjson
from msgspec import Struct, field

from app.authentication import Principal
from app.database import Db
from app.events import append
from app.ids import new_id
from app.incidents import change_incident, incident_ref, visible_incident
from app.reevaluation import queue_reevaluation
from app.rights import may, require, require_inside
from app.risk_reviews import queue_reviews
from app.rows import check_version
from domain.changes import Change
from domain.controls import controls
from domain.playbooks import catalogue
from domain.refusals import Conflict, Forbidden, InputError, Invalid, NotFound
from domain.risk_updates import (
    Citation,
    accept_proposed,
    check_citable,
    record_risk_update,
    scores,
    stored_revision,
    tool_outcome,
    with_approver,
)
from domain.risks import REASON_AT_LEAST, Counts, Revision, Risk, proposal, revise
from domain.timeline import plain

KINDS = {"accepted": "risk.revised", "proposed": "risk.revision_proposed", "rejected": "risk.revision_rejected"}

_LOCK = "SELECT id, version, row_to_json(r)::text FROM risks r WHERE tenant_id = $1 AND ref = $2 FOR UPDATE"
_READ = "SELECT id, version, row_to_json(r)::text FROM risks r WHERE tenant_id = $1 AND ref = $2"
_LOCK_INCIDENT = "SELECT status, declared_at FROM incidents WHERE tenant_id = $1 AND id = $2 FOR UPDATE"
# Membership is by the instant of discovery. A report that nobody declared is no incident yet, a rejected one never was;
# both count as evaluated.
_COUNTS = """
SELECT count(*) AS evaluated, count(*) FILTER (WHERE counts) AS counted,
       max(discovered_at) FILTER (WHERE counts) AS last_at, min(severity) FILTER (WHERE counts) AS worst,
       array_remove(array_agg(DISTINCT root_cause) FILTER (WHERE counts), NULL) AS root_causes
FROM (
  SELECT i.declared_at IS NOT NULL AND i.status <> 'rejected' AS counts, i.discovered_at, i.severity,
         d.value ->> 'category' AS root_cause
  FROM incidents i
  LEFT JOIN documents d ON d.tenant_id = i.tenant_id AND d.incident_id = i.id AND d.id = 'D08'
  WHERE i.tenant_id = $1 AND i.primary_risk = $2 AND NOT i.exercise
    AND i.discovered_at > $3::timestamptz - interval '1 year' AND i.discovered_at <= $3
) year
"""
_REVISION = """
SELECT id, incident_id, decision, status, before::text, after::text, reason, cause FROM risk_revisions
WHERE tenant_id = $1 AND risk_ref = $2 AND id = $3 FOR UPDATE
"""
_CITED = "SELECT incident_id FROM risk_revisions WHERE tenant_id = $1 AND risk_ref = $2 AND id = $3"
_ABOUT = """
SELECT id, number, status, primary_risk IS NOT DISTINCT FROM $3 AS is_primary_risk,
  (SELECT v.id FROM risk_revisions v WHERE v.tenant_id = $1 AND v.risk_ref = $3 AND v.incident_id = i.id
     AND v.status = 'accepted' ORDER BY v.at DESC, v.id DESC LIMIT 1) AS revision_id
FROM incidents i WHERE tenant_id = $1 AND id = $2
"""
_ACTIVE = """
SELECT id FROM people WHERE tenant_id = $1 AND id = ANY ($2::uuid[]) AND kind = 'internal' AND active
AND (expires_at IS NULL OR expires_at > now())
"""


class RevisionRequest(Struct, frozen=True, kw_only=True):
    """A revision as asked for. `incident` is the id or number of the incident it cites."""

    decision: str
    reason: str
    incident: str | None = None
    cause: str | None = None
    edits: dict[str, Any] = field(default_factory=dict)
    proposed_only: bool = False


class _Entry(Struct, frozen=True, kw_only=True):
    """An entry as it was read, and the columns that this use case has changed since."""

    id: UUID
    version: int
    risk: Risk
    changes: dict[str, Any] = field(default_factory=dict)


async def read_proposal(db: Db, principal: Principal, ref: str, incident: str | None) -> str:
    """What the incidents of 12 months support for a risk, as JSON text. `incident` adds how it relates to that one.

    Raises NotFound and Forbidden.
    """
    require(principal, "risk.read")
    require_inside(principal)
    entry = await _entry(db, _READ, ref)
    _require_whole_year(principal)
    now = datetime.now(UTC)
    proposed = proposal(entry.risk, await count_incidents(db, ref, now))
    about = await _about_incident(db, ref, incident) if incident is not None else None
    given = {"ref": ref, "version": entry.version, "as_of": now, "present": scores(entry.risk), "incident": about}
    return _text({**given, **builtins_of(proposed)})


async def count_incidents(db: Db, ref: str, now: datetime) -> Counts:
    """What the incidents of the 12 months before `now` with this primary risk say. Exercises are left out."""
    row = await db.row(_COUNTS, db.tenant_id, ref, now)
    assert row is not None, "an aggregate answers one row"
    return Counts(
        incident_count_12m=row["counted"],
        last_incident_at=row["last_at"],
        highest_severity_12m=row["worst"],  # SEV1 is the worst and sorts first
        evaluated_count_12m=row["evaluated"],
        root_causes=frozenset(row["root_causes"] or ()),
    )


async def revise_risk(
    db: Db, principal: Principal, ref: str, request: RevisionRequest, if_match: str | None = None
) -> UUID:
    """Decide or propose a revision; its id. An accepted one of the primary risk completes D10 of the cited incident.

    Raises NotFound, Forbidden, Invalid and Conflict.
    """
    require(principal, "risk.propose")
    require_inside(principal)
    incident_id = await _find_cited(db, request.incident) if request.incident is not None else None
    if incident_id is not None:
        await _lock_cited(db, incident_id)
    entry = await _entry(db, _LOCK, ref)
    check_version(if_match, entry.version)
    _require_whole_year(principal)
    person_id, now = deciding_person(principal), datetime.now(UTC)
    edits = with_approver(request.edits, person_id, proposed_only=request.proposed_only)
    await check_names(db, edits)
    proposed = proposal(entry.risk, await count_incidents(db, ref, now))
    revision = revise(
        entry.risk,
        request.decision,
        edits,
        proposed,
        request.reason,
        principal.roles,
        now=now,
        cause=_cause(request),
        actor_kind=principal.kind,
        proposed_only=request.proposed_only,
    )
    row = {
        "id": new_id(),
        "risk_ref": ref,
        "incident_id": incident_id,
        "decision": revision.decision,
        "proposal": builtins_of(proposed),
        "reason": revision.reason,
        "cause": revision.cause,
        "author_id": person_id,
        "at": now,
    }
    if revision.status == "accepted":
        row |= await _accept(db, principal, entry, revision, row, now)
    else:
        row |= _states(revision)
    await insert(db, "risk_revisions", row)
    await _tell(db, principal, entry, row, row, now)
    return UUID(str(row["id"]))


async def decide_revision(
    db: Db, principal: Principal, ref: str, revision_id: UUID, transition: str, reason: str
) -> None:
    """Accept or reject a proposed revision. Raises NotFound, Forbidden, Invalid, and Conflict when it is decided."""
    require_decider(principal)
    require_inside(principal)
    cited = await db.value(_CITED, db.tenant_id, ref, revision_id)
    if cited is not None and transition == "accept":
        await _lock_cited(db, cited)
    entry = await _entry(db, _LOCK, ref)
    found = await db.row(_REVISION, db.tenant_id, ref, revision_id)
    if found is None:
        raise NotFound
    if found["status"] != "proposed":
        raise Conflict(f"This revision is {found['status']}.", current={"status": found["status"]})
    _check_reason(reason)
    person_id, now = deciding_person(principal), datetime.now(UTC)
    changes = {"status": "rejected", "decided_by": person_id, "decided_at": now}
    if transition == "accept":
        proposed = _stored(found)
        await check_names(db, proposed.changes)
        revision = accept_proposed(entry.risk, proposed, principal.roles, principal.kind, person_id, now)
        changes |= await _accept(db, principal, entry, revision, found, now)
    changes["decision_reason"] = reason.strip()
    await _update(db, "risk_revisions", "id", revision_id, changes)
    await _tell(db, principal, entry, dict(found), changes, now)


async def _accept(
    db: Db, principal: Principal, entry: _Entry, revision: Revision, row: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    """Let an accepted revision take effect on the incident it cites and on the entry; what that makes of its row."""
    person_id = deciding_person(principal)
    outcome: str | None = None
    if row["incident_id"] is not None:
        citation = Citation(revision_id=row["id"], revision=revision, person_id=person_id, at=now)

        def apply(change: Change) -> None:
            nonlocal outcome
            record_risk_update(change, citation)
            outcome = tool_outcome(change.record)

        await change_incident(db, principal, row["incident_id"], apply)
    reviewed = {"late_review_announced_at": None, "version": entry.version + 1, "updated_at": now}
    changes = {**builtins_of(revision.changes), **reviewed}
    await _update(db, "risks", "ref", entry.risk.ref, changes)
    await queue_reviews(db)
    await queue_reevaluation(db, risk=entry.risk.ref)
    entry.changes.update(changes)
    return {**_states(revision), "outcome": outcome, "decided_by": person_id, "decided_at": now}


def _states(revision: Revision) -> dict[str, Any]:
    return {
        "status": revision.status,
        "before": builtins_of(revision.before),
        "after": builtins_of(revision.after),
    }


def _stored(row: Mapping[str, Any]) -> Revision:
    before, after = orjson.loads(row["before"]), orjson.loads(row["after"])
    return stored_revision(row["decision"], row["status"], before, after, row["reason"], row["cause"])


async def _entry(db: Db, sql: str, ref: str) -> _Entry:
    row = await db.row(sql, db.tenant_id, ref)
    if row is None:
        raise NotFound
    return _Entry(id=row[0], version=row[1], risk=msgspec.json.decode(row[2], type=Risk))


async def _find_cited(db: Db, ref: str) -> UUID:
    """The incident that a revision is to cite. Raises Invalid for one that the caller cannot see."""
    try:
        return await visible_incident(db, incident_ref(ref))
    except NotFound:
        text = "names no incident that you can see"
        raise Invalid(f"/incident_id {text}.", errors=[InputError("/incident_id", text)]) from None


async def _lock_cited(db: Db, incident_id: UUID) -> None:
    """Lock the incident that a revision cites. Raises Conflict while it cannot be cited."""
    row = await db.row(_LOCK_INCIDENT, db.tenant_id, incident_id)
    if row is None:
        raise NotFound
    check_citable(row["status"], row["declared_at"])


async def _about_incident(db: Db, ref: str, incident: str) -> dict[str, Any]:
    incident_id = await visible_incident(db, incident_ref(incident))
    row = await db.row(_ABOUT, db.tenant_id, incident_id, ref)
    if row is None:
        raise NotFound
    return dict(row)


async def check_names(db: Db, edits: Mapping[str, Any], *, at: str = "/edits") -> None:
    """Refuse names that nothing bears: people who are not active, playbooks and controls that there are not.

    `at` is where the edits stand in the body. Raises Invalid.
    """
    named = {f"{at}/{place}": UUID(str(value)) for place, value in _people_named(edits) if value is not None}
    known = {row[0] for row in await db.fetch(_ACTIVE, db.tenant_id, list(named.values()))} if named else set()
    faults = [InputError(place, "names no active person") for place, person in named.items() if person not in known]
    slugs = {playbook.slug for playbook in catalogue().list()}
    for name, allowed in (("playbooks", slugs), ("controls", set(controls()))):
        strange = sorted(set(edits.get(name, ())) - allowed)
        faults += [InputError(f"{at}/{name}", f"there is no {one}") for one in strange]
    if faults:
        raise Invalid(f"{faults[0].pointer} {faults[0].reason}.", errors=faults[:20])


def _people_named(edits: Mapping[str, Any]) -> list[tuple[str, Any]]:
    plan, acceptance = edits.get("treatment_plan") or {}, edits.get("acceptance") or {}
    return [
        ("owner_id", edits.get("owner_id")),
        ("treatment_plan/owner", plan.get("owner")),
        ("acceptance/approved_by", acceptance.get("approved_by")),
    ]


def _cause(request: RevisionRequest) -> str:
    """Why it is revised: an incident when one is cited, else as said, else the review."""
    if request.incident is None:
        return request.cause or "review"
    if request.cause not in (None, "incident"):
        text = "is `incident` when an incident is cited"
        raise Invalid(f"/cause {text}.", errors=[InputError("/cause", text)])
    return "incident"


def _check_reason(reason: str) -> None:
    if len(reason.strip()) < REASON_AT_LEAST:
        text = f"says why in {REASON_AT_LEAST} or more characters"
        raise Invalid(f"/reason {text}.", errors=[InputError("/reason", text)])


def deciding_person(principal: Principal) -> UUID:
    """Who decides. Raises Forbidden for a service account."""
    if principal.person_id is None:
        raise Forbidden("A revision of a risk is decided by a person.")
    return principal.person_id


def require_decider(principal: Principal) -> None:
    """Raise Forbidden for somebody who may accept no risk at all; the band decides further."""
    if not may(principal, "risk.accept_critical"):
        require(principal, "risk.accept")


def _require_whole_year(principal: Principal) -> None:
    """A key limited to a period would count fewer incidents than there were. Raises Forbidden for one."""
    if principal.period_from is not None or principal.period_to is not None:
        raise Forbidden(
            "A key that is limited to a period cannot weigh a risk by its incidents. Use one without limit."
        )


async def insert(db: Db, table: str, row: Mapping[str, Any]) -> None:
    """Insert a row of the register."""
    names = ", ".join(row)
    await db.execute(
        f"INSERT INTO {table} (tenant_id, {names})"
        f" SELECT $1, {names} FROM jsonb_populate_record(NULL::{table}, $2::jsonb)",
        db.tenant_id,
        _text(row),
    )


async def _update(db: Db, table: str, key: str, value: UUID | str, changes: Mapping[str, Any]) -> None:
    names = ", ".join(changes)
    await db.execute(
        f"UPDATE {table} SET ({names}) = (SELECT {names} FROM jsonb_populate_record(NULL::{table}, $3::jsonb))"
        f" WHERE tenant_id = $1 AND {key} = $2",
        db.tenant_id,
        value,
        _text(changes),
    )


async def _tell(
    db: Db, principal: Principal, entry: _Entry, revision: Mapping[str, Any], changes: Mapping[str, Any], now: datetime
) -> None:
    """The event of a revision on the risk's own stream, with the columns that changed."""
    kind = KINDS[changes["status"]]
    revision_id, ref = str(revision["id"]), entry.risk.ref
    stored: dict[str, Any] = {"risk_revisions": {revision_id: dict(changes)}}
    if entry.changes:
        stored["risks"] = {ref: entry.changes}
    data = {
        "ref": ref,
        "revision_id": revision_id,
        "decision": revision["decision"],
        "incident_id": revision["incident_id"],
        "changes": stored,
    }
    await append(db, "risk", entry.id, kind, data, actor=principal.actor, occurred_at=now, recorded_at=now)


def builtins_of(value: Any) -> Any:
    """Structs as plain JSON values, instants in the form of ours."""
    return msgspec.to_builtins(value, builtin_types=(datetime,))


def _text(value: Any) -> str:
    return orjson.dumps(plain(value)).decode()
