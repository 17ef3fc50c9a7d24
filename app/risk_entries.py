"""Adding an entry to the register, and counting its entries by their place on the heat map."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from app.authentication import Principal
from app.database import Db
from app.events import append
from app.ids import new_id
from app.rights import require, require_inside
from app.risk_reviews import queue_reviews
from app.risks import builtins_of, check_names, deciding_person, insert, require_decider
from domain.heat_map import heat_map
from domain.refusals import Forbidden
from domain.risk_entries import new_entry, next_ref
from domain.risk_updates import with_approver
from domain.timeline import instant_text

REFS_MAX = 200  # of one cell; its count is that of all

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
_REFS = "SELECT ref FROM risks WHERE tenant_id = $1"
_CELLS = f"""
SELECT map, likelihood, impact, count(*) AS count, (array_agg(ref ORDER BY ref))[1:{REFS_MAX}] AS refs
FROM (
    SELECT 'inherent' AS map, ref, likelihood, impact FROM risks WHERE tenant_id = $1 AND status = ANY ($2::text[])
    UNION ALL
    SELECT 'residual', ref, residual_likelihood, residual_impact FROM risks
    WHERE tenant_id = $1 AND status = ANY ($2::text[])) placed
GROUP BY map, likelihood, impact
"""
_LATE = """
SELECT count(*) FROM risks
WHERE tenant_id = $1 AND status = ANY ($2::text[]) AND status <> 'closed' AND next_review_at < $3
"""


async def add_risk(db: Db, principal: Principal, given: dict[str, Any], reason: str) -> str:
    """Add an entry of the tenant's own; its reference. Its first judgement is a revision with nothing before it.

    Raises Forbidden and Invalid.
    """
    require_decider(principal)
    require_inside(principal)
    if principal.client_ids is not None:
        raise Forbidden("A key that is limited to clients sees nothing of the register. Use one without limit.")
    person_id, now = deciding_person(principal), datetime.now(UTC)
    given = with_approver(given, person_id, proposed_only=False)
    await check_names(db, given, at="")
    await db.execute(_LOCK, f"{db.tenant_id}\nrisks")
    ref = next_ref(row["ref"] for row in await db.fetch(_REFS, db.tenant_id))
    entry = new_entry(ref, given, reason, principal.roles, principal.kind, now)
    row = {"id": new_id(), "version": 1, **builtins_of(entry), "created_at": now, "updated_at": now}
    revision = {
        "id": new_id(),
        "risk_ref": ref,
        "incident_id": None,
        "decision": "edit",
        "status": "accepted",
        "proposal": None,
        "before": {},
        "after": builtins_of(entry),
        "reason": reason.strip(),
        "cause": "review",
        "outcome": None,
        "author_id": person_id,
        "at": now,
        "decided_by": person_id,
        "decided_at": now,
        "decision_reason": None,
    }
    await insert(db, "risks", row)
    await insert(db, "risk_revisions", revision)
    changes = {"risks": {ref: row}, "risk_revisions": {str(revision["id"]): revision}}
    data = {"ref": ref, "revision_id": revision["id"], "changes": changes}
    await append(db, "risk", row["id"], "risk.created", data, actor=principal.actor, occurred_at=now, recorded_at=now)
    await queue_reviews(db)
    return ref


async def read_heat_map(db: Db, principal: Principal, statuses: Sequence[str]) -> dict[str, Any]:
    """Both maps over the entries in these states, and how many of them are late for review. Raises Forbidden."""
    require(principal, "risk.read")
    require_inside(principal)
    now = datetime.now(UTC)
    whole = heat_map(await db.fetch(_CELLS, db.tenant_id, list(statuses)))
    late = await db.value(_LATE, db.tenant_id, list(statuses), now)
    total = sum(cell["count"] for cell in whole["inherent"])
    return {**whole, "total": total, "late_reviews": late, "statuses": list(statuses), "server_time": instant_text(now)}
