DO $$
DECLARE
    clients constant text := '(SELECT NULLIF(current_setting(''app.client_ids'', true), ''''))';
    client_list constant text :=
        '(SELECT string_to_array(NULLIF(current_setting(''app.client_ids'', true), ''''), '','')::uuid[])';
    member constant text := '(SELECT NULLIF(current_setting(''app.member_id'', true), '''')::uuid)';
    since constant text := '(SELECT NULLIF(current_setting(''app.period_from'', true), '''')::timestamptz)';
    until constant text := '(SELECT NULLIF(current_setting(''app.period_to'', true), '''')::timestamptz)';
    in_hand constant text := '(SELECT NULLIF(current_setting(''app.incident_id'', true), '''')::uuid)';
    unlimited constant text :=
        '(SELECT concat(current_setting(''app.client_ids'', true), current_setting(''app.member_id'', true), '
        'current_setting(''app.period_from'', true), current_setting(''app.period_to'', true)) = '''')';
BEGIN
    DROP POLICY limits ON incidents;
    EXECUTE format(
        'CREATE POLICY limits ON incidents AS RESTRICTIVE USING (%1$s OR ('
        '(%2$s IS NULL OR (client_ids <> ''{}'' AND client_ids <@ %3$s)) AND (id = %4$s OR ('
        '(%5$s IS NULL OR opened_by_id = %5$s OR EXISTS (SELECT 1 FROM incident_members m '
        'WHERE m.tenant_id = incidents.tenant_id AND m.incident_id = incidents.id AND m.member_id = %5$s)) '
        'AND (%6$s IS NULL OR discovered_at >= %6$s) AND (%7$s IS NULL OR discovered_at < %7$s)))))',
        unlimited, clients, client_list, in_hand, member, since, until);
END
$$;
DROP FUNCTION within_limits(uuid, uuid, uuid[], uuid, timestamptz);
