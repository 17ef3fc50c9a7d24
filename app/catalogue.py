"""The shipped playbooks as rows of the nil tenant, which every tenant may read and only the owner may write."""

from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from app.roles import OWNER
from domain.playbooks import catalogue

SHIPPED = UUID(int=0)

_SUPERSEDE = """
UPDATE playbook_versions SET status = 'superseded'
WHERE tenant_id = $1 AND slug = $2 AND version = $3 AND status = 'published'
"""
_PUBLISH = "UPDATE playbook_versions SET status = 'published' WHERE tenant_id = $1 AND hash = $2"
_VERSIONS = """
INSERT INTO playbook_versions (tenant_id, hash, slug, version, title, description, primary_risk, risks, severity_floor,
                               standards, sources, resolved)
SELECT $1, r.hash, r.slug, r.version, r.title, r.description, r.primary_risk, r.risks, r.severity_floor, r.standards,
       r.sources, r.resolved
FROM jsonb_populate_recordset(NULL::playbook_versions, $2::jsonb) r
"""
_STEPS = """
INSERT INTO playbook_steps (tenant_id, hash, id, position, phase, title, summary, owner_roles, sla, controls,
                            controls_suggested, source)
SELECT $1, r.hash, r.id, r.position, r.phase, r.title, r.summary, r.owner_roles, r.sla, r.controls,
       r.controls_suggested, r.source
FROM jsonb_populate_recordset(NULL::playbook_steps, $2::jsonb) r
"""
_ACTIONS = """
INSERT INTO playbook_actions (tenant_id, hash, id, step_id, position, text, type, required_if, outcomes, inputs, fills,
                              role, closing, source, basis, approvals_from, approvals_when, opens)
SELECT $1, r.hash, r.id, r.step_id, r.position, r.text, r.type, r.required_if, r.outcomes, r.inputs, r.fills, r.role,
       r.closing, r.source, r.basis, r.approvals_from, r.approvals_when, r.opens
FROM jsonb_populate_recordset(NULL::playbook_actions, $2::jsonb) r
"""


async def import_catalogue(connection: asyncpg.Connection) -> bool:
    """Write the shipped playbook versions that the database does not have yet; true when there were any.

    Rows of one content hash never change and are never removed: incidents pin them. A version that is shipped with
    another content than before supersedes the earlier content; only unreleased code does that.
    """
    async with connection.transaction():
        known = await connection.fetchval("SELECT pg_has_role(current_user, $1, 'MEMBER')", OWNER)
        if known:
            await connection.execute(f"SET LOCAL ROLE {OWNER}")
        await connection.execute(f"SELECT set_config('app.tenant_id', '{SHIPPED}', true)")
        rows = await connection.fetch("SELECT hash, status FROM playbook_versions WHERE tenant_id = $1", SHIPPED)
        stored = {row["hash"]: row["status"] for row in rows}
        missing = [playbook for playbook in catalogue().list() if stored.get(playbook.hash) != "published"]
        for playbook in missing:
            await connection.execute(_SUPERSEDE, SHIPPED, playbook.slug, playbook.version)
            if playbook.hash in stored:
                await connection.execute(_PUBLISH, SHIPPED, playbook.hash)
                continue
            version, steps, actions = _rows(playbook)
            await connection.execute(_VERSIONS, SHIPPED, _json([version]))
            await connection.execute(_STEPS, SHIPPED, _json(steps))
            await connection.execute(_ACTIONS, SHIPPED, _json(actions))
    return bool(missing)


def _rows(playbook: Any) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    version = {
        **_pick(playbook, "hash slug version title description primary_risk risks severity_floor standards sources"),
        "resolved": playbook.resolved(),
    }
    steps = [
        {
            "hash": playbook.hash,
            **_pick(step, "id position phase title summary owner_roles sla controls controls_suggested source"),
        }
        for step in playbook.steps
    ]
    actions = [
        {
            "hash": playbook.hash,
            **_pick(
                action,
                "id step_id position text type required_if outcomes inputs fills role closing source basis"
                " approvals_from approvals_when opens",
            ),
        }
        for step in playbook.steps
        for action in step.actions
    ]
    return version, steps, actions


def _pick(thing: object, names: str) -> dict[str, Any]:
    return {name: getattr(thing, name) for name in names.split()}


def _json(rows: list[dict[str, Any]]) -> str:
    return msgspec.json.encode(rows, order="deterministic").decode()
