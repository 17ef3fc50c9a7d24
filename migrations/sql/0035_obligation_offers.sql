-- What may be done with an obligation is stored since 0022; older ones of open incidents get it when their rules run.
-- The walls hold for the owner too; without them down, this would queue no incident of any tenant.
ALTER TABLE incidents NO FORCE ROW LEVEL SECURITY;
ALTER TABLE obligations NO FORCE ROW LEVEL SECURITY;
ALTER TABLE due_work NO FORCE ROW LEVEL SECURITY;
INSERT INTO due_work (tenant_id, kind, subject_id, next_at)
SELECT DISTINCT i.tenant_id, 'reevaluate', i.id, now()
FROM obligations o JOIN incidents i ON i.tenant_id = o.tenant_id AND i.id = o.incident_id
WHERE o.allowed IS NULL AND i.status NOT IN ('closed', 'rejected')
ORDER BY i.tenant_id, i.id
ON CONFLICT (tenant_id, kind, subject_id) DO NOTHING;
ALTER TABLE incidents FORCE ROW LEVEL SECURITY;
ALTER TABLE obligations FORCE ROW LEVEL SECURITY;
ALTER TABLE due_work FORCE ROW LEVEL SECURITY;
