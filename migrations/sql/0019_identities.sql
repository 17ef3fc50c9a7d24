-- Identity providers and the identities of people, walled like keys; and the one directory that says which tenant a pair
-- of issuer and audience belongs to.

CREATE TABLE identity_providers (
    tenant_id UUID NOT NULL,
    id UUID NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    name TEXT NOT NULL,
    issuer TEXT NOT NULL,
    audience TEXT NOT NULL,
    client_id TEXT NOT NULL,
    token_type TEXT DEFAULT 'at+jwt' NOT NULL,
    role_claim TEXT,
    role_map JSONB DEFAULT '{}' NOT NULL,
    enabled BOOLEAN DEFAULT true NOT NULL,
    retired_at TIMESTAMP WITH TIME ZONE,
    created_by UUID,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id)
);
CREATE INDEX identity_providers_of ON identity_providers (tenant_id, issuer, audience);

CREATE TABLE identities (
    tenant_id UUID NOT NULL,
    id UUID NOT NULL,
    person_id UUID NOT NULL,
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    unlinked_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, person_id) REFERENCES people (tenant_id, id)
);
CREATE UNIQUE INDEX identities_subject ON identities (tenant_id, issuer, subject) WHERE unlinked_at IS NULL;
CREATE INDEX identities_of_person ON identities (tenant_id, person_id);

-- The one key that does not begin with the tenant: that a pair belongs to one tenant alone is what it is for.
CREATE TABLE identity_directory (
    issuer TEXT NOT NULL,
    audience TEXT NOT NULL,
    tenant_id UUID NOT NULL,
    PRIMARY KEY (issuer, audience),
    FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id)
);

-- Null for a pair that nobody registered. Whoever asks knows the pair already and learns a tenant, nothing of it.
CREATE FUNCTION tenant_of(of_issuer text, of_audience text) RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT tenant_id FROM identity_directory WHERE issuer = of_issuer AND audience = of_audience
$$;
REVOKE ALL ON FUNCTION tenant_of(text, text) FROM PUBLIC;

DO $$
DECLARE
    runtime constant text := quote_ident(current_setting('holdfast.runtime_role'));
    mine constant text := '(SELECT NULLIF(current_setting(''app.tenant_id'', true), '''')::uuid)';
    clients constant text := '(SELECT NULLIF(current_setting(''app.client_ids'', true), ''''))';
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['identity_providers', 'identities', 'identity_directory'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON %1$I USING (tenant_id = %2$s) WITH CHECK (tenant_id = %2$s)', name, mine);
    END LOOP;
    -- Not for those limited to clients at all. Credentials are looked up before the limit is set.
    FOREACH name IN ARRAY ARRAY['identity_providers', 'identities'] LOOP
        EXECUTE format('CREATE POLICY limits ON %I AS RESTRICTIVE FOR SELECT USING (%s IS NULL)', name, clients);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON %I TO %s', name, runtime);
    END LOOP;
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON identity_directory TO %s', runtime);
    CREATE POLICY directory ON identity_directory FOR SELECT TO holdfast_directory USING (true);
    GRANT SELECT ON identity_directory TO holdfast_directory;
    EXECUTE format('GRANT EXECUTE ON FUNCTION tenant_of(text, text) TO %s', runtime);
    ALTER FUNCTION tenant_of(text, text) OWNER TO holdfast_directory;
END
$$;
