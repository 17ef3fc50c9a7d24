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
