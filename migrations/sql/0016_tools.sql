-- The register of AI tools, walled like the register of risks; which tools an incident names is seen through it.

CREATE TABLE tools (
    tenant_id UUID NOT NULL,
    id UUID NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    vendor TEXT,
    domains TEXT[] DEFAULT '{}' NOT NULL,
    extension_ids TEXT[] DEFAULT '{}' NOT NULL,
    service TEXT,
    status TEXT DEFAULT 'requested' NOT NULL,
    owner_id UUID,
    intended_use TEXT,
    approved_uses TEXT[] DEFAULT '{}' NOT NULL,
    approved_data_classes TEXT[] DEFAULT '{}' NOT NULL,
    conditions TEXT[] DEFAULT '{}' NOT NULL,
    conditions_from DATE,
    acknowledgement_required BOOLEAN DEFAULT false NOT NULL,
    blocked_domains TEXT[] DEFAULT '{}' NOT NULL,
    blocked_extension_ids TEXT[] DEFAULT '{}' NOT NULL,
    block_requested_at TIMESTAMP WITH TIME ZONE,
    block_confirmed_at TIMESTAMP WITH TIME ZONE,
    review_due_at TIMESTAMP WITH TIME ZONE,
    review_overdue_at TIMESTAMP WITH TIME ZONE,
    report_type TEXT,
    report_period_start DATE,
    report_period_end DATE,
    requested_by_kind TEXT NOT NULL,
    requested_by_id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id),
    FOREIGN KEY (tenant_id, owner_id) REFERENCES people (tenant_id, id),
    CONSTRAINT tools_by_name UNIQUE (tenant_id, name_key),
    CONSTRAINT one_of_status CHECK (status IN ('requested', 'under_review', 'approved', 'conditional', 'blocked', 'retired')),
    CONSTRAINT one_of_requested_by_kind CHECK (requested_by_kind IN ('person', 'service_account', 'system'))
);

CREATE TABLE tool_assessments (
    tenant_id UUID NOT NULL,
    id UUID NOT NULL,
    tool_id UUID NOT NULL,
    status TEXT DEFAULT 'draft' NOT NULL,
    answers JSONB DEFAULT '{}' NOT NULL,
    personal_data BOOLEAN,
    suggested JSONB,
    incident_id UUID,
    started_by UUID,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    completed_at TIMESTAMP WITH TIME ZONE,
    decided_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, tool_id) REFERENCES tools (tenant_id, id),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incidents (tenant_id, id),
    CONSTRAINT one_of_status CHECK (status IN ('draft', 'complete', 'decided', 'expired'))
);
CREATE INDEX tool_assessments_of ON tool_assessments (tenant_id, tool_id);

CREATE TABLE tool_decisions (
    tenant_id UUID NOT NULL,
    id UUID NOT NULL,
    tool_id UUID NOT NULL,
    assessment_id UUID,
    incident_id UUID,
    action_id TEXT,
    outcome TEXT NOT NULL,
    status TEXT DEFAULT 'effective' NOT NULL,
    reason TEXT NOT NULL,
    status_before TEXT NOT NULL,
    status_after TEXT NOT NULL,
    suggested TEXT,
    artifact JSONB,
    approvals JSONB DEFAULT '[]' NOT NULL,
    proposed_by UUID,
    proposed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    decided_at TIMESTAMP WITH TIME ZONE,
    rejection JSONB,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, tool_id) REFERENCES tools (tenant_id, id),
    FOREIGN KEY (tenant_id, assessment_id) REFERENCES tool_assessments (tenant_id, id),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incidents (tenant_id, id),
    CONSTRAINT one_of_outcome CHECK (outcome IN ('approve', 'conditional', 'block', 'retire')),
    CONSTRAINT one_of_status CHECK (status IN ('proposed', 'effective', 'rejected'))
);
CREATE INDEX tool_decisions_in_incident ON tool_decisions (tenant_id, incident_id) WHERE incident_id IS NOT NULL;
CREATE INDEX tool_decisions_of ON tool_decisions (tenant_id, tool_id);

CREATE TABLE incident_tools (
    tenant_id UUID NOT NULL,
    incident_id UUID NOT NULL,
    tool_id UUID NOT NULL,
    PRIMARY KEY (tenant_id, incident_id, tool_id),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incidents (tenant_id, id)
);
CREATE INDEX incident_tools_by_tool ON incident_tools (tenant_id, tool_id);

DO $$
DECLARE
    runtime constant text := quote_ident(current_setting('holdfast.runtime_role'));
    mine constant text := '(SELECT NULLIF(current_setting(''app.tenant_id'', true), '''')::uuid)';
    clients constant text := '(SELECT NULLIF(current_setting(''app.client_ids'', true), ''''))';
    unlimited constant text :=
        '(SELECT concat(current_setting(''app.client_ids'', true), current_setting(''app.member_id'', true), '
        'current_setting(''app.period_from'', true), current_setting(''app.period_to'', true)) = '''')';
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['tools', 'tool_assessments', 'tool_decisions', 'incident_tools'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON %1$I USING (tenant_id = %2$s) WITH CHECK (tenant_id = %2$s)', name, mine);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON %I TO %s', name, runtime);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['tools', 'tool_assessments', 'tool_decisions'] LOOP
        EXECUTE format('CREATE POLICY limits ON %I AS RESTRICTIVE FOR SELECT USING (%s IS NULL)', name, clients);
    END LOOP;
    EXECUTE format(
        'CREATE POLICY limits ON incident_tools AS RESTRICTIVE USING (%s OR sees_incident(tenant_id, incident_id))',
        unlimited);
    EXECUTE format('GRANT DELETE ON incident_tools TO %s', runtime);
END
$$;
