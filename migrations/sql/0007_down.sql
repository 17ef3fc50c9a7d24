ALTER TABLE playbook_actions ALTER COLUMN inputs TYPE jsonb USING inputs::jsonb;
ALTER TABLE playbook_actions ALTER COLUMN inputs SET DEFAULT '[]'::jsonb;
ALTER TABLE notifications ALTER COLUMN allowed TYPE jsonb USING (allowed->'@')::jsonb;
ALTER TABLE incidents ALTER COLUMN allowed TYPE jsonb USING (allowed->'@')::jsonb;
ALTER TABLE step_runs ALTER COLUMN allowed TYPE jsonb USING jsonb_build_object('step', allowed->'@', 'actions', '{}'::jsonb);
UPDATE step_runs s SET allowed = jsonb_set(s.allowed, '{actions}', a.actions) FROM (
    SELECT tenant_id, incident_id, generation, step_id, jsonb_object_agg(id, allowed->'@') AS actions
    FROM action_runs WHERE allowed IS NOT NULL GROUP BY 1, 2, 3, 4) a
WHERE a.tenant_id = s.tenant_id AND a.incident_id = s.incident_id AND a.generation = s.generation AND a.step_id = s.id;
ALTER TABLE action_runs DROP COLUMN allowed, DROP COLUMN playbook_hash;
ALTER TABLE step_runs DROP COLUMN playbook_hash;

-- Stored transitions, matched with the caller: `permit` becomes `person` where somebody else may do it but not this one.
-- What is stored says any_role (a role that may), only_persons (ids that may), not_persons (ids that may not, four eyes)
-- and needs_person (no service account). Nothing in it depends on the clock, and nothing is decided here: writes decide.
-- A loop, since it runs for every action of an incident: half the cost of aggregating the elements in a sub-select.
CREATE FUNCTION permitted(allowed jsonb, roles text[], person uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    me constant text := person;
    one jsonb;
    found jsonb := '[]';
BEGIN
    FOR n IN 0 .. coalesce(jsonb_array_length(allowed), 0) - 1 LOOP
        one := allowed -> n;
        IF (one -> 'any_role' ?| roles OR one -> 'only_persons' ? me)
            AND (one -> 'not_persons' ? me) IS NOT TRUE
            AND (me IS NOT NULL OR (one -> 'needs_person') IS DISTINCT FROM 'true') THEN
            found := found || ('{"gate": null, "message": null, "missing": []}'::jsonb
                || (one - '{any_role,only_persons,not_persons,needs_person}'::text[]));
        ELSE
            found := found || ('{"gate": null, "message": null, "missing": [], "permit": "person"}'::jsonb
                || jsonb_build_object('transition', one -> 'transition'));
        END IF;
    END LOOP;
    RETURN found;
END
$$;
