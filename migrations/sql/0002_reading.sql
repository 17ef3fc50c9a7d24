-- Stored transitions, matched with the caller: `permit` becomes `person` where somebody else may do it but not this one.
-- What is stored says any_role (a role that may), only_persons (ids that may), not_persons (ids that may not, four eyes)
-- and needs_person (no service account). Nothing in it depends on the clock, and nothing is decided here: writes decide.
CREATE FUNCTION permitted(allowed jsonb, roles text[], person uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    RETURN CASE WHEN allowed IS NULL OR allowed = '[]' THEN '[]'::jsonb ELSE (
        SELECT jsonb_agg(CASE
            WHEN (t->'any_role' ?| roles OR t->'only_persons' ? person::text)
                AND NOT coalesce(t->'not_persons' ? person::text, false)
                AND (person IS NOT NULL OR NOT coalesce((t->>'needs_person')::boolean, false))
            THEN jsonb_strip_nulls(jsonb_build_object('transition', t->'transition', 'permit', t->'permit',
                'gate', t->'gate', 'message', t->'message', 'missing', coalesce(t->'missing', '[]')))
            ELSE jsonb_build_object('transition', t->'transition', 'permit', 'person', 'missing', '[]'::jsonb)
            END ORDER BY n)
        FROM jsonb_array_elements(allowed) WITH ORDINALITY AS a(t, n)) END;
END
$$;
