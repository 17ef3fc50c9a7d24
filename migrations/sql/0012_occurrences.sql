-- Populations of a control are cut by the discovery of its incidents and read in that order, so both stand on the row.
-- `outcome` is the part of the state that no longer hangs on the clock.
ALTER TABLE control_occurrences
    ADD COLUMN generation integer DEFAULT 1 NOT NULL,
    ADD COLUMN playbook_slug text,
    ADD COLUMN discovered_at timestamptz,
    ADD COLUMN exercise boolean DEFAULT false NOT NULL;

-- The walls hold for the owner too; without them down, this would change no row of any tenant.
ALTER TABLE control_occurrences NO FORCE ROW LEVEL SECURITY;
ALTER TABLE incidents NO FORCE ROW LEVEL SECURITY;
ALTER TABLE step_runs NO FORCE ROW LEVEL SECURITY;
UPDATE control_occurrences o SET
    discovered_at = i.discovered_at,
    exercise = i.exercise,
    generation = coalesce((
        SELECT CASE WHEN o.voided_at IS NULL THEN max(s.generation) ELSE min(s.generation) END FROM step_runs s
        WHERE s.tenant_id = o.tenant_id AND s.incident_id = o.incident_id AND s.id = o.step_id), i.generation),
    playbook_slug = CASE WHEN o.purpose <> 'triage' THEN i.playbook_slug END
FROM incidents i WHERE i.tenant_id = o.tenant_id AND i.id = o.incident_id;
ALTER TABLE control_occurrences FORCE ROW LEVEL SECURITY;
ALTER TABLE incidents FORCE ROW LEVEL SECURITY;
ALTER TABLE step_runs FORCE ROW LEVEL SECURITY;

ALTER TABLE control_occurrences ALTER COLUMN discovered_at SET NOT NULL;
ALTER TABLE control_occurrences ADD COLUMN outcome text GENERATED ALWAYS AS (
    CASE WHEN voided_at IS NOT NULL THEN 'voided' WHEN skipped_at IS NOT NULL THEN 'skipped'
    WHEN coalesce(met_occurred_at, met_at) <= breach_at THEN 'met'
    WHEN coalesce(met_occurred_at, met_at) IS NOT NULL THEN 'met_late' ELSE 'open' END) STORED;
CREATE INDEX control_occurrences_by_discovery ON control_occurrences (tenant_id, control, discovered_at, id);
CREATE INDEX control_occurrences_by_outcome ON control_occurrences (tenant_id, control, outcome, discovered_at, id)
    WHERE outcome <> 'met';
