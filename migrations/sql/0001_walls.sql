-- Row-level security and rights of the first release.
--
-- Settings of a transaction: app.tenant_id; app.client_ids ('' = no limit); app.member_id ('' = reads every incident);
-- app.incident_id = the incident in hand: locked by this transaction after it was seen through the walls, or being
-- opened by it. Its children may be written in the statement that writes itself, when a look-up would not see it yet.
-- A local setting reads back as '' after its transaction, so every cast goes through NULLIF.

DO $$
DECLARE
    mine constant text := '(SELECT NULLIF(current_setting(''app.tenant_id'', true), '''')::uuid)';
    clients constant text := '(SELECT NULLIF(current_setting(''app.client_ids'', true), ''''))';
    client_list constant text :=
        '(SELECT string_to_array(NULLIF(current_setting(''app.client_ids'', true), ''''), '','')::uuid[])';
    member constant text := '(SELECT NULLIF(current_setting(''app.member_id'', true), '''')::uuid)';
    in_hand constant text := '(SELECT NULLIF(current_setting(''app.incident_id'', true), '''')::uuid)';
    unlimited constant text :=
        '(SELECT coalesce(current_setting(''app.client_ids'', true), '''') = '''''
        ' AND coalesce(current_setting(''app.member_id'', true), '''') = '''')';
    name text;
BEGIN
    -- 1. The wall between tenants, on every table that has a tenant.
    FOR name IN
        SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attname = 'tenant_id'
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON %I USING (tenant_id = %s) WITH CHECK (tenant_id = %s)', name, mine, mine);
    END LOOP;

    -- 2. Shipped playbooks belong to the nil tenant and are read by all.
    FOREACH name IN ARRAY ARRAY['playbook_versions', 'playbook_steps', 'playbook_actions'] LOOP
        EXECUTE format(
            'CREATE POLICY shipped ON %I FOR SELECT USING (tenant_id = ''00000000-0000-0000-0000-000000000000'')', name);
    END LOOP;

    -- 3. Incidents: all their clients are the caller's, and a member sees those it opened or belongs to.
    EXECUTE format(
        'CREATE POLICY client_wall ON incidents AS RESTRICTIVE USING '
        '(%s IS NULL OR (client_ids <> ''{}'' AND client_ids <@ %s))', clients, client_list);
    EXECUTE format(
        'CREATE POLICY member_wall ON incidents AS RESTRICTIVE USING '
        '(%1$s IS NULL OR opened_by_id = %1$s OR id = %2$s OR EXISTS (SELECT 1 FROM incident_members m '
        'WHERE m.tenant_id = incidents.tenant_id AND m.incident_id = incidents.id AND m.member_id = %1$s))',
        member, in_hand);
    EXECUTE format(
        'CREATE POLICY member_wall ON incident_members AS RESTRICTIVE USING '
        '(%1$s IS NULL OR member_id = %1$s OR incident_id = %2$s)', member, in_hand);

    -- 4. What belongs to an incident is seen through it.
    FOREACH name IN ARRAY ARRAY[
        'step_runs', 'action_runs', 'documents', 'participants', 'evidence', 'notifications', 'obligations',
        'follow_ups', 'control_occurrences', 'signatures', 'incident_exceptions', 'incident_links',
        'external_references', 'incident_clients', 'incident_labels', 'incident_words', 'gate_refusals', 'erasures'
    ] LOOP
        EXECUTE format(
            'CREATE POLICY incident_wall ON %1$I AS RESTRICTIVE USING (%2$s OR incident_id = %3$s OR EXISTS '
            '(SELECT 1 FROM incidents i WHERE i.tenant_id = %1$I.tenant_id AND i.id = %1$I.incident_id))',
            name, unlimited, in_hand);
    END LOOP;

    -- 5. Events: those of the incidents one sees and of one's own clients. Streams tell nothing, writing is one's own.
    FOREACH name IN ARRAY ARRAY['events', 'event_data'] LOOP
        EXECUTE format(
            'CREATE POLICY incident_wall ON %1$I AS RESTRICTIVE FOR SELECT USING (%2$s '
            'OR (stream = ''incident'' AND (stream_id = %3$s OR EXISTS '
            '(SELECT 1 FROM incidents i WHERE i.tenant_id = %1$I.tenant_id AND i.id = %1$I.stream_id))) '
            'OR (stream <> ''incident'' AND %4$s IS NULL) '
            'OR (stream = ''client'' AND stream_id = ANY (%5$s::uuid[])))',
            name, unlimited, in_hand, clients, client_list);
    END LOOP;

    -- 6. Clients and what names one.
    EXECUTE format(
        'CREATE POLICY client_wall ON clients AS RESTRICTIVE USING (%s IS NULL OR id = ANY (%s::uuid[]))', clients, client_list);
    EXECUTE format(
        'CREATE POLICY client_wall ON client_references AS RESTRICTIVE USING (%s IS NULL OR client_id = ANY (%s::uuid[]))',
        clients, client_list);
    FOREACH name IN ARRAY ARRAY['notifications', 'obligations'] LOOP
        EXECUTE format(
            'CREATE POLICY client_wall ON %I AS RESTRICTIVE USING '
            '(%s IS NULL OR client_id IS NULL OR client_id = ANY (%s::uuid[]))', name, clients, client_list);
    END LOOP;

    -- 7. Not for those limited to clients at all. Credentials are looked up before the limit is set.
    FOREACH name IN ARRAY ARRAY[
        'risks', 'risk_revisions', 'people', 'service_accounts', 'api_keys', 'sources', 'hook_deliveries'
    ] LOOP
        EXECUTE format('CREATE POLICY client_wall ON %I AS RESTRICTIVE FOR SELECT USING (%s IS NULL)', name, clients);
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
    GRANT SELECT (tenant_id, id, client_ids, opened_by_id) ON incidents TO holdfast_eraser;
    GRANT SELECT ON incident_members TO holdfast_eraser;
    GRANT INSERT ON events TO holdfast_eraser;
    GRANT SELECT, INSERT, DELETE ON event_data TO holdfast_eraser;
    ALTER FUNCTION erase_event_data(jsonb, integer[]) OWNER TO holdfast_eraser;
END
$$;
