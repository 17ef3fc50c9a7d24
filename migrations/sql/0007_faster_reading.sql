-- A playbook is pinned by an incident per generation, so each run knows which text it executes.
ALTER TABLE step_runs ADD COLUMN playbook_hash text;
ALTER TABLE action_runs ADD COLUMN playbook_hash text;
UPDATE step_runs s SET playbook_hash = i.playbook_hash FROM incidents i
WHERE i.tenant_id = s.tenant_id AND i.id = s.incident_id AND i.generation = s.generation;
UPDATE action_runs a SET playbook_hash = i.playbook_hash FROM incidents i
WHERE i.tenant_id = a.tenant_id AND i.id = a.incident_id AND i.generation = a.generation;

-- Verdicts are handed on whole; the reader's part is matched where the rules are (domain/verdicts.py).
ALTER TABLE action_runs ADD COLUMN allowed json;
UPDATE action_runs a SET allowed = json_build_object('@', s.allowed->'actions'->a.id, '@@', 0) FROM step_runs s
WHERE s.tenant_id = a.tenant_id AND s.incident_id = a.incident_id AND s.generation = a.generation AND s.id = a.step_id
  AND s.allowed->'actions' ? a.id;
ALTER TABLE step_runs ALTER COLUMN allowed TYPE json USING json_build_object('@', allowed->'step', '@@', 0);
ALTER TABLE incidents ALTER COLUMN allowed TYPE json USING json_build_object('@', allowed, '@@', 0);
ALTER TABLE notifications ALTER COLUMN allowed TYPE json USING json_build_object('@', allowed, '@@', 0);
ALTER TABLE playbook_actions ALTER COLUMN inputs DROP DEFAULT, ALTER COLUMN inputs TYPE json USING inputs::json;
DROP FUNCTION permitted(jsonb, text[], uuid);
