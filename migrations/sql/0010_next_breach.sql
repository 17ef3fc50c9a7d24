ALTER TABLE incidents ADD COLUMN next_at_risk_at timestamptz, ADD COLUMN next_breach_at timestamptz;
UPDATE incidents i SET next_at_risk_at = s.at_risk_at, next_breach_at = s.breach_at FROM (
    SELECT tenant_id, incident_id, generation, min(at_risk_at) AS at_risk_at, min(breach_at) AS breach_at
    FROM step_runs WHERE completed_at IS NULL AND skipped_at IS NULL GROUP BY 1, 2, 3) s
WHERE s.tenant_id = i.tenant_id AND s.incident_id = i.id AND s.generation = i.generation
  AND i.declared_at IS NOT NULL AND i.status NOT IN ('closed', 'rejected');
UPDATE incidents SET next_breach_at = triage_due_at
WHERE declared_at IS NULL AND acknowledged_at IS NULL AND status NOT IN ('closed', 'rejected');
