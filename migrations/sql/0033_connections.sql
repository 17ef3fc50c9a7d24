-- The systems that we call. Credentials are sealed for their connection alone.

CREATE TABLE connections (
    tenant_id UUID NOT NULL,
    id UUID NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    name TEXT NOT NULL,
    system TEXT NOT NULL,
    instance TEXT NOT NULL,
    base_url TEXT NOT NULL,
    credentials BYTEA NOT NULL,
    account TEXT,
    status TEXT DEFAULT 'active' NOT NULL,
    last_checked_at TIMESTAMP WITH TIME ZONE,
    last_error TEXT,
    created_by UUID,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id),
    CONSTRAINT one_of_status CHECK (status IN ('active', 'retired'))
);

DO $$
DECLARE
    runtime constant text := quote_ident(current_setting('holdfast.runtime_role'));
    mine constant text := '(SELECT NULLIF(current_setting(''app.tenant_id'', true), '''')::uuid)';
    clients constant text := '(SELECT NULLIF(current_setting(''app.client_ids'', true), ''''))';
BEGIN
    ALTER TABLE connections ENABLE ROW LEVEL SECURITY;
    ALTER TABLE connections FORCE ROW LEVEL SECURITY;
    EXECUTE format('CREATE POLICY tenant ON connections USING (tenant_id = %1$s) WITH CHECK (tenant_id = %1$s)', mine);
    EXECUTE format('CREATE POLICY limits ON connections AS RESTRICTIVE FOR SELECT USING (%s IS NULL)', clients);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON connections TO %s', runtime);
END
$$;
