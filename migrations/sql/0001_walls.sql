-- Row-level security and rights of the first release.
--
-- Settings of a transaction: app.tenant_id; the limits of the caller: app.client_ids (comma-separated), app.member_id,
-- app.period_from and app.period_to; and app.incident_id, the incident in hand: one that this transaction is opening,
-- whose rows are written in one statement, in which a look-up would not find it yet.
-- A local setting reads back as '' after its transaction, so '' is no setting and every cast goes through NULLIF.
-- Whether the caller sees the incident that a row belongs to. A function, since a look-up inside the policy of each child
-- would be planned with every statement of every caller, and callers without limits never need it.
CREATE FUNCTION sees_incident(of_tenant uuid, incident uuid) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN coalesce(incident = NULLIF(current_setting('app.incident_id', true), '')::uuid, false)
        OR EXISTS (SELECT 1 FROM incidents i WHERE i.tenant_id = of_tenant AND i.id = incident);
END
$$;

DO $$
DECLARE
    bare constant text := 'NULLIF(current_setting(''app.tenant_id'', true), '''')::uuid';
    mine constant text := format('(SELECT %s)', bare);
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
    name text;
BEGIN
    -- 1. The wall between tenants, on every table that has a tenant.
    FOR name IN
        SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attname = 'tenant_id'
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        -- A sub-select is evaluated once for a statement, but the planner cannot look into it. Lists of incidents are
        -- planned well only when it knows how many the tenant has.
        EXECUTE format('CREATE POLICY tenant ON %1$I USING (tenant_id = %2$s) WITH CHECK (tenant_id = %2$s)',
            name, CASE name WHEN 'incidents' THEN bare ELSE mine END);
    END LOOP;

    -- 2. Shipped playbooks belong to the nil tenant and are read by all.
    FOREACH name IN ARRAY ARRAY['playbook_versions', 'playbook_steps', 'playbook_actions'] LOOP
        EXECUTE format(
            'CREATE POLICY shipped ON %I FOR SELECT USING (tenant_id = ''00000000-0000-0000-0000-000000000000'')', name);
    END LOOP;

    -- 3. Incidents, and who may read one by name. The client limit holds for the incident in hand too. Members are what
    -- the limits look at, so their own policy cannot ask back.
    EXECUTE format(
        'CREATE POLICY limits ON incidents AS RESTRICTIVE USING (%1$s OR ('
        '(%2$s IS NULL OR (client_ids <> ''{}'' AND client_ids <@ %3$s)) AND (id = %4$s OR ('
        '(%5$s IS NULL OR opened_by_id = %5$s OR EXISTS (SELECT 1 FROM incident_members m '
        'WHERE m.tenant_id = incidents.tenant_id AND m.incident_id = incidents.id AND m.member_id = %5$s)) '
        'AND (%6$s IS NULL OR discovered_at >= %6$s) AND (%7$s IS NULL OR discovered_at < %7$s)))))',
        unlimited, clients, client_list, in_hand, member, since, until);
    EXECUTE format(
        'CREATE POLICY limits ON incident_members AS RESTRICTIVE USING '
        '(%1$s IS NULL OR member_id = %1$s OR incident_id = %2$s)', member, in_hand);

    -- 4. What belongs to an incident is seen through it.
    FOREACH name IN ARRAY ARRAY[
        'step_runs', 'action_runs', 'documents', 'participants', 'evidence', 'follow_ups', 'control_occurrences',
        'signatures', 'incident_exceptions', 'incident_links', 'external_references', 'incident_clients',
        'incident_labels', 'incident_words', 'gate_refusals', 'erasures'
    ] LOOP
        EXECUTE format(
            'CREATE POLICY limits ON %I AS RESTRICTIVE USING (%s OR sees_incident(tenant_id, incident_id))',
            name, unlimited);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['notifications', 'obligations'] LOOP
        EXECUTE format(
            'CREATE POLICY limits ON %I AS RESTRICTIVE USING (%s OR (sees_incident(tenant_id, incident_id) '
            'AND (client_id IS NULL OR %s IS NULL OR client_id = ANY (%s::uuid[]))))',
            name, unlimited, clients, client_list);
    END LOOP;

    -- 5. Events: those of the incidents one sees and of one's own clients. Streams tell nothing, writing is one's own.
    FOREACH name IN ARRAY ARRAY['events', 'event_data'] LOOP
        EXECUTE format(
            'CREATE POLICY limits ON %1$I AS RESTRICTIVE FOR SELECT USING (%2$s OR CASE stream '
            'WHEN ''incident'' THEN sees_incident(tenant_id, stream_id) '
            'WHEN ''client'' THEN %3$s IS NULL OR stream_id = ANY (%4$s::uuid[]) ELSE %3$s IS NULL END)',
            name, unlimited, clients, client_list);
    END LOOP;

    -- 6. Clients and what names one.
    EXECUTE format(
        'CREATE POLICY limits ON clients AS RESTRICTIVE USING (%s IS NULL OR id = ANY (%s::uuid[]))',
        clients, client_list);
    EXECUTE format(
        'CREATE POLICY limits ON client_references AS RESTRICTIVE USING (%s IS NULL OR client_id = ANY (%s::uuid[]))',
        clients, client_list);

    -- 7. Not for those limited to clients at all. Credentials are looked up before the limit is set.
    FOREACH name IN ARRAY ARRAY[
        'risks', 'risk_revisions', 'people', 'service_accounts', 'api_keys', 'sources', 'hook_deliveries'
    ] LOOP
        EXECUTE format('CREATE POLICY limits ON %I AS RESTRICTIVE FOR SELECT USING (%s IS NULL)', name, clients);
    END LOOP;

    -- 8. The one question across tenants: who has due work? Asked as holdfast_worker, answered with tenant and time.
    CREATE POLICY worker ON due_work FOR SELECT TO holdfast_worker USING (true);
    GRANT SELECT (tenant_id, next_at) ON due_work TO holdfast_worker;
END
$$;

DO $$
DECLARE
    runtime constant text := quote_ident(current_setting('holdfast.runtime_role'));
BEGIN
    -- Exactly these rights. TRUNCATE looks past row-level security, REFERENCES and TRIGGER have no use.
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON tenants, clients, client_references, people, service_accounts, '
        'api_keys, incidents, step_runs, action_runs, documents, participants, evidence, notifications, obligations, '
        'follow_ups, control_occurrences, signatures, incident_exceptions, incident_links, external_references, '
        'streams, risks, risk_revisions, sources, hook_deliveries, erasures TO %s', runtime);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON incident_clients, incident_labels, incident_words, '
        'incident_members, gate_refusals, due_work, idempotency_keys, client_references TO %s', runtime);
    EXECUTE format('GRANT SELECT, INSERT ON events, event_data TO %s', runtime);
    EXECUTE format('GRANT SELECT ON playbook_versions, playbook_steps, playbook_actions, alembic_version TO %s', runtime);
    EXECUTE format('GRANT EXECUTE ON FUNCTION erase_event_data(jsonb, integer[]) TO %s', runtime);
    GRANT SELECT, UPDATE ON streams TO holdfast_eraser;
    -- The walls of event_data look at these as whoever asks.
    GRANT SELECT (tenant_id, id, client_ids, opened_by_id, discovered_at) ON incidents TO holdfast_eraser;
    GRANT SELECT ON incident_members TO holdfast_eraser;
    GRANT INSERT ON events TO holdfast_eraser;
    GRANT SELECT, INSERT, DELETE ON event_data TO holdfast_eraser;
    ALTER FUNCTION erase_event_data(jsonb, integer[]) OWNER TO holdfast_eraser;
END
$$;
