-- What waits at a source: deliveries that came before the thing they are about, alerts that are counted instead of told
-- one by one, and names of clients that nobody has said the meaning of.

ALTER TABLE hook_deliveries ADD COLUMN waiting_for TEXT;
CREATE INDEX hook_deliveries_waiting ON hook_deliveries (tenant_id, source_id, waiting_for) WHERE waiting_for IS NOT NULL;

CREATE TABLE correlations (
    tenant_id UUID NOT NULL,
    source_id UUID NOT NULL,
    key TEXT NOT NULL,
    incident_id UUID NOT NULL,
    alerts INTEGER NOT NULL,
    first_at TIMESTAMP WITH TIME ZONE NOT NULL,
    last_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id, source_id, key),
    FOREIGN KEY (tenant_id, source_id) REFERENCES sources (tenant_id, id),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incidents (tenant_id, id)
);

CREATE TABLE unmapped_clients (
    tenant_id UUID NOT NULL,
    id UUID NOT NULL,
    source_id UUID NOT NULL,
    external_id TEXT NOT NULL,
    name TEXT,
    incident_id UUID,
    incidents INTEGER NOT NULL,
    first_at TIMESTAMP WITH TIME ZONE NOT NULL,
    last_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, source_id) REFERENCES sources (tenant_id, id),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incidents (tenant_id, id),
    CONSTRAINT unmapped_clients_once UNIQUE (tenant_id, source_id, external_id)
);

DO $$
DECLARE
    runtime constant text := quote_ident(current_setting('holdfast.runtime_role'));
    mine constant text := '(SELECT NULLIF(current_setting(''app.tenant_id'', true), '''')::uuid)';
    clients constant text := '(SELECT NULLIF(current_setting(''app.client_ids'', true), ''''))';
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['correlations', 'unmapped_clients'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON %1$I USING (tenant_id = %2$s) WITH CHECK (tenant_id = %2$s)', name, mine);
        EXECUTE format('CREATE POLICY limits ON %I AS RESTRICTIVE FOR SELECT USING (%s IS NULL)', name, clients);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON %I TO %s', name, runtime);
    END LOOP;
END
$$;
