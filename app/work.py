"""What waits for one person: steps, approvals, follow-ups and endpoints given up, due first, in one statement."""

from app.authentication import Principal
from app.database import Db

LIMIT = 200

# A step is mine when it is assigned to me, or unassigned in an incident that I may act in by role.
_WORK = """
WITH steps AS (
  SELECT 'step' AS kind, i.id AS incident_id, i.number, i.title, i.severity, s.id AS ref, t.title AS what,
         s.due_at, s.breach_at, s.status, NULL::uuid AS tool_id
  FROM step_runs s
  JOIN incidents i ON i.tenant_id = s.tenant_id AND i.id = s.incident_id AND i.generation = s.generation
  LEFT JOIN playbook_steps t ON t.hash = i.playbook_hash AND t.id = s.id
  WHERE s.tenant_id = $1 AND i.status IN ('in_progress', 'contained', 'post_incident', 'on_hold', 'reopened')
    AND i.current_step = s.id AND s.status NOT IN ('completed', 'skipped')
    AND (s.assignee_id = $2 OR (s.assignee_id IS NULL AND (i.assignee_id = $2 OR EXISTS (
          SELECT 1 FROM unnest(t.owner_roles || s.added_roles) r WHERE r = ANY ($3::text[])
          UNION ALL SELECT 1 FROM incident_members m
            WHERE m.tenant_id = i.tenant_id AND m.incident_id = i.id AND m.member_id = $2
              AND t.owner_roles && '{reporting_staff,any_staff}'::text[]))))
), approvals AS (
  SELECT 'approval', i.id, i.number, i.title, i.severity, n.id::text, 'Approve: ' || n.subject,
         n.due_at, n.due_at, n.status, NULL::uuid
  FROM notifications n JOIN incidents i ON i.tenant_id = n.tenant_id AND i.id = n.incident_id
  WHERE n.tenant_id = $1 AND n.status = 'in_review' AND EXISTS (
      SELECT 1 FROM json_array_elements(n.allowed->'@') v
      WHERE v->>'transition' = 'approve' AND v->>'permit' = 'allowed'
        AND ((v->'any_role')::jsonb ?| $3::text[] OR (v->'only_persons')::jsonb ? ($2::uuid)::text)
        AND (v->'not_persons')::jsonb ? ($2::uuid)::text IS NOT TRUE)
  UNION ALL
  SELECT 'approval', i.id, i.number, i.title, i.severity, a.id, 'Approve that the evidence is unavailable',
         s.due_at, s.breach_at, a.status, NULL::uuid
  FROM action_runs a
  JOIN incidents i ON i.tenant_id = a.tenant_id AND i.id = a.incident_id AND i.generation = a.generation
  JOIN step_runs s ON s.tenant_id = a.tenant_id AND s.incident_id = a.incident_id
    AND s.generation = a.generation AND s.id = a.step_id
  WHERE a.tenant_id = $1 AND a.status = 'unavailable' AND a.approvals = '[]' AND 'risk_owner' = ANY ($3::text[])
    AND a.recorded_by IS DISTINCT FROM $2 AND i.status NOT IN ('closed', 'rejected')
  UNION ALL
  SELECT 'approval', i.id, i.number, i.title, i.severity, a.id, 'Approve: ' || t.text, s.due_at, s.breach_at, a.status,
         NULL::uuid
  FROM action_runs a
  JOIN incidents i ON i.tenant_id = a.tenant_id AND i.id = a.incident_id AND i.generation = a.generation
  JOIN step_runs s ON s.tenant_id = a.tenant_id AND s.incident_id = a.incident_id
    AND s.generation = a.generation AND s.id = a.step_id
  JOIN playbook_actions t ON t.hash = a.playbook_hash AND t.id = a.id
  WHERE a.tenant_id = $1 AND a.status = 'pending' AND a.approvals <> '[]' AND i.status NOT IN ('closed', 'rejected')
    AND NOT a.approvals @> jsonb_build_array(jsonb_build_object('person_id', $2::uuid))
    AND EXISTS (SELECT 1 FROM unnest(t.approvals_from) r WHERE r = ANY ($3::text[])
                AND NOT a.approvals @> jsonb_build_array(jsonb_build_object('role', r)))
  UNION ALL
  -- Two persons approve a tool, in two roles, and neither could act for the other.
  SELECT 'approval', NULL, NULL, o.name, NULL, d.id::text, 'Approve the tool ' || o.name, NULL, NULL, d.status, o.id
  FROM tool_decisions d
  JOIN tools o ON o.tenant_id = d.tenant_id AND o.id = d.tool_id
  JOIN people f ON f.tenant_id = d.tenant_id AND f.id = d.proposed_by
  JOIN people m ON m.tenant_id = d.tenant_id AND m.id = $2
  WHERE d.tenant_id = $1 AND d.status = 'proposed' AND m.id <> f.id
    AND m.created_by IS DISTINCT FROM f.id AND m.token_issued_by IS DISTINCT FROM f.id
    AND EXISTS (SELECT 1 FROM unnest(f.roles) a, unnest($3::text[]) b
                WHERE a <> b AND a IN ('it_security', 'risk_owner') AND b IN ('it_security', 'risk_owner'))
), signatures AS (
  SELECT 'sign_off', i.id, i.number, i.title, i.severity, i.number, 'Second signature', i.next_due_at, i.next_due_at,
         i.status, NULL::uuid
  FROM incidents i
  WHERE i.tenant_id = $1 AND i.status IN ('contained', 'post_incident', 'in_progress')
    AND i.severity_highest IN ('SEV1', 'SEV2') AND $3::text[] && '{executive_leadership,legal_counsel}'::text[]
    AND EXISTS (SELECT 1 FROM signatures g WHERE g.tenant_id = i.tenant_id AND g.incident_id = i.id
                AND g.voided_at IS NULL AND g.person_id <> $2)
), follow_ups AS (
  SELECT 'follow_up', i.id, i.number, i.title, i.severity, f.id::text, f.title, f.due_at, f.due_at, f.status, NULL::uuid
  FROM follow_ups f JOIN incidents i ON i.tenant_id = f.tenant_id AND i.id = f.incident_id
  WHERE f.tenant_id = $1 AND f.owner_id = $2 AND f.status IN ('open', 'in_progress')
), endpoints AS (
  SELECT 'endpoint', NULL::uuid, NULL, e.name, NULL, e.id::text,
         CASE e.disabled_because WHEN 'gone' THEN 'It said that it is gone, and is told nothing more'
         ELSE 'It took nothing for three days, and is told nothing more' END, NULL::timestamptz, NULL::timestamptz,
         e.status, NULL::uuid
  FROM webhook_endpoints e
  WHERE e.tenant_id = $1 AND 'tenant_admin' = ANY ($3::text[]) AND e.status = 'disabled'
    AND e.disabled_because IN ('gone', 'failing')
), work AS (
  SELECT * FROM steps UNION ALL SELECT * FROM approvals UNION ALL SELECT * FROM signatures
  UNION ALL SELECT * FROM follow_ups UNION ALL SELECT * FROM endpoints ORDER BY due_at NULLS LAST, number LIMIT $4
)
SELECT json_build_object('items', coalesce(json_agg(json_build_object(
  'kind', kind, 'incident_id', incident_id, 'number', number, 'title', title, 'severity', severity, 'ref', ref,
  'tool_id', tool_id,
  'what', what, 'status', status, 'due_at', instant(due_at), 'overdue', coalesce(now() > breach_at, false))
  ORDER BY due_at NULLS LAST, number), '[]'), 'server_time', instant(now()))::text FROM work
"""


async def read_work(db: Db, principal: Principal) -> str:
    """The work of the caller as JSON text {"items": [...], "server_time"}; nothing for a service account."""
    text: str = await db.value(_WORK, db.tenant_id, principal.person_id, list(principal.roles), LIMIT)
    return text
