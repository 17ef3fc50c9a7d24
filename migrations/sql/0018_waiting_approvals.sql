-- What waits for an approval is little; finding it by reading every action of the tenant's history is not.
CREATE INDEX action_runs_unavailable ON action_runs (tenant_id, incident_id)
WHERE status = 'unavailable' AND approvals = '[]';
CREATE INDEX action_runs_in_approval ON action_runs (tenant_id, incident_id)
WHERE status = 'pending' AND approvals <> '[]';
CREATE INDEX notifications_in_review ON notifications (tenant_id, incident_id) WHERE status = 'in_review';
