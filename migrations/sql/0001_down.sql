-- Takes the first release back, with everything that is stored.
DO $$
DECLARE
    name text;
BEGIN
    DROP FUNCTION IF EXISTS erase_event_data(jsonb, integer[]);
    FOR name IN
        SELECT relname FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version'
    LOOP
        EXECUTE format('DROP TABLE IF EXISTS %I CASCADE', name);
    END LOOP;
    DROP FUNCTION IF EXISTS sees_incident(uuid, uuid);
    DROP FUNCTION IF EXISTS refuse_change();
    DROP FUNCTION IF EXISTS refuse_change_outside_erasure();
    DROP FUNCTION IF EXISTS instant(timestamptz);
END
$$;
