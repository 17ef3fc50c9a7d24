DO $$
DECLARE
    clients constant text := '(SELECT NULLIF(current_setting(''app.client_ids'', true), ''''))';
    client_list constant text :=
        '(SELECT string_to_array(NULLIF(current_setting(''app.client_ids'', true), ''''), '','')::uuid[])';
    unlimited constant text :=
        '(SELECT concat(current_setting(''app.client_ids'', true), current_setting(''app.member_id'', true), '
        'current_setting(''app.period_from'', true), current_setting(''app.period_to'', true)) = '''')';
BEGIN
    EXECUTE format(
        'CREATE POLICY limits ON log_entries AS RESTRICTIVE FOR SELECT USING (%1$s OR CASE stream '
        'WHEN ''incident'' THEN sees_incident(tenant_id, stream_id) '
        'WHEN ''client'' THEN %2$s IS NULL OR stream_id = ANY (%3$s::uuid[]) ELSE %2$s IS NULL END)',
        unlimited, clients, client_list);
END
$$;
