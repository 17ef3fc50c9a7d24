-- The tables of the first release. Frozen: a later change of app/tables comes with a migration of its own.

CREATE TABLE due_work (
    tenant_id UUID NOT NULL,
    kind TEXT NOT NULL,
    subject_id UUID NOT NULL,
    next_at TIMESTAMP WITH TIME ZONE NOT NULL,
    attempts INTEGER DEFAULT 0 NOT NULL,
    PRIMARY KEY (tenant_id, kind, subject_id)
);
CREATE INDEX due_work_by_time ON due_work (tenant_id, kind, next_at);
CREATE INDEX due_work_next ON due_work (next_at, tenant_id);

CREATE TABLE events (
    tenant_id UUID NOT NULL,
    stream TEXT NOT NULL,
    stream_id UUID NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_id UUID NOT NULL,
    data_digest TEXT NOT NULL,
    prev_hash TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (tenant_id, stream, stream_id, seq),
    CONSTRAINT one_of_actor_kind CHECK (actor_kind IN ('person', 'service_account', 'system')),
    CONSTRAINT seq_from_one CHECK (seq > 0)
);
CREATE INDEX events_by_record ON events (tenant_id, recorded_at);

CREATE TABLE idempotency_keys (
    tenant_id UUID NOT NULL,
    principal_id UUID NOT NULL,
    route TEXT NOT NULL,
    key TEXT NOT NULL,
    digest BYTEA NOT NULL,
    status INTEGER NOT NULL,
    headers JSONB DEFAULT '{}' NOT NULL,
    answer BYTEA,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (tenant_id, principal_id, route, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (tenant_id, created_at);

CREATE TABLE playbook_versions (
    tenant_id UUID NOT NULL,
    hash TEXT NOT NULL,
    slug TEXT NOT NULL,
    version TEXT NOT NULL,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    status TEXT DEFAULT 'published' NOT NULL,
    primary_risk TEXT,
    risks TEXT[] DEFAULT '{}' NOT NULL,
    severity_floor TEXT,
    standards JSONB,
    sources JSONB,
    resolved JSONB DEFAULT '{}' NOT NULL,
    imported_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (tenant_id, hash),
    CONSTRAINT one_of_status CHECK (status IN ('draft', 'published', 'superseded', 'withdrawn'))
);
CREATE UNIQUE INDEX playbook_versions_slug ON playbook_versions (tenant_id, slug, version) WHERE status = 'published';

CREATE TABLE streams (
    tenant_id UUID NOT NULL,
    stream TEXT NOT NULL,
    stream_id UUID NOT NULL,
    seq INTEGER NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (tenant_id, stream, stream_id)
);

CREATE TABLE tenants (
    tenant_id UUID NOT NULL,
    name TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    settings JSONB DEFAULT '{}' NOT NULL,
    next_number INTEGER DEFAULT 1001 NOT NULL,
    next_exercise INTEGER DEFAULT 1 NOT NULL,
    PRIMARY KEY (tenant_id)
);

CREATE TABLE clients (
    tenant_id UUID NOT NULL,
    id UUID NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    name TEXT NOT NULL,
    hipaa_role TEXT,
    gdpr_role TEXT,
    jurisdictions TEXT[] DEFAULT '{}' NOT NULL,
    profile JSONB DEFAULT '{}' NOT NULL,
    contract JSONB DEFAULT '{}' NOT NULL,
    active BOOLEAN DEFAULT true NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id)
);
CREATE INDEX clients_by_name ON clients (tenant_id, name, id);

CREATE TABLE event_data (
    tenant_id UUID NOT NULL,
    stream TEXT NOT NULL,
    stream_id UUID NOT NULL,
    seq INTEGER NOT NULL,
    salt BYTEA NOT NULL,
    data JSONB NOT NULL,
    PRIMARY KEY (tenant_id, stream, stream_id, seq),
    FOREIGN KEY (tenant_id, stream, stream_id, seq) REFERENCES events (tenant_id, stream, stream_id, seq)
);

CREATE TABLE people (
    tenant_id UUID NOT NULL,
    id UUID NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    kind TEXT DEFAULT 'internal' NOT NULL,
    name TEXT NOT NULL,
    email TEXT,
    user_name TEXT,
    manager_id UUID,
    roles TEXT[] DEFAULT '{}' NOT NULL,
    active BOOLEAN DEFAULT true NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE,
    incident_ids UUID[] DEFAULT '{}' NOT NULL,
    created_by UUID,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id),
    FOREIGN KEY (tenant_id, manager_id) REFERENCES people (tenant_id, id),
    CONSTRAINT people_user_name UNIQUE (tenant_id, user_name),
    CONSTRAINT one_of_kind CHECK (kind IN ('internal', 'external', 'system')),
    CONSTRAINT outside_people_expire CHECK (kind <> 'external' OR expires_at IS NOT NULL)
);
CREATE INDEX people_by_name ON people (tenant_id, name, id);

CREATE TABLE playbook_steps (
    tenant_id UUID NOT NULL,
    hash TEXT NOT NULL,
    id TEXT NOT NULL,
    position INTEGER NOT NULL,
    phase TEXT NOT NULL,
    title TEXT NOT NULL,
    summary TEXT DEFAULT '' NOT NULL,
    owner_roles TEXT[] DEFAULT '{}' NOT NULL,
    sla JSONB,
    controls TEXT[] DEFAULT '{}' NOT NULL,
    controls_suggested TEXT[] DEFAULT '{}' NOT NULL,
    source TEXT DEFAULT '' NOT NULL,
    PRIMARY KEY (tenant_id, hash, id),
    FOREIGN KEY (tenant_id, hash) REFERENCES playbook_versions (tenant_id, hash)
);
CREATE INDEX playbook_steps_by_hash ON playbook_steps (hash, id);

CREATE TABLE client_references (
    tenant_id UUID NOT NULL,
    system TEXT NOT NULL,
    instance TEXT DEFAULT '-' NOT NULL,
    external_id TEXT NOT NULL,
    client_id UUID NOT NULL,
    key TEXT,
    url TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (tenant_id, system, instance, external_id),
    FOREIGN KEY (tenant_id, client_id) REFERENCES clients (tenant_id, id)
);
CREATE INDEX client_references_of ON client_references (tenant_id, client_id);

CREATE TABLE playbook_actions (
    tenant_id UUID NOT NULL,
    hash TEXT NOT NULL,
    id TEXT NOT NULL,
    step_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    text TEXT NOT NULL,
    type TEXT NOT NULL,
    required_if TEXT,
    outcomes TEXT[] DEFAULT '{}' NOT NULL,
    inputs JSONB DEFAULT '[]' NOT NULL,
    fills TEXT[] DEFAULT '{}' NOT NULL,
    role TEXT,
    closing BOOLEAN DEFAULT false NOT NULL,
    source TEXT DEFAULT '' NOT NULL,
    basis TEXT,
    PRIMARY KEY (tenant_id, hash, id),
    FOREIGN KEY (tenant_id, hash, step_id) REFERENCES playbook_steps (tenant_id, hash, id)
);
CREATE INDEX playbook_actions_by_hash ON playbook_actions (hash, id);

CREATE TABLE risks (
    tenant_id UUID NOT NULL,
    ref TEXT NOT NULL,
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    category TEXT NOT NULL,
    owner_id UUID,
    status TEXT DEFAULT 'open' NOT NULL,
    likelihood INTEGER NOT NULL,
    impact INTEGER NOT NULL,
    residual_likelihood INTEGER NOT NULL,
    residual_impact INTEGER NOT NULL,
    treatments TEXT[] DEFAULT '{}' NOT NULL,
    treatment_plan JSONB,
    acceptance JSONB,
    controls TEXT[] DEFAULT '{}' NOT NULL,
    playbooks TEXT[] DEFAULT '{}' NOT NULL,
    maps_to TEXT[] DEFAULT '{}' NOT NULL,
    kris JSONB DEFAULT '[]' NOT NULL,
    last_reviewed_at TIMESTAMP WITH TIME ZONE,
    next_review_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (tenant_id, ref),
    FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id),
    FOREIGN KEY (tenant_id, owner_id) REFERENCES people (tenant_id, id),
    CONSTRAINT one_of_status CHECK (status IN ('open', 'treating', 'accepted', 'closed')),
    CONSTRAINT scored_1_to_5 CHECK (likelihood BETWEEN 1 AND 5 AND impact BETWEEN 1 AND 5),
    CONSTRAINT residual_within_inherent CHECK (residual_likelihood BETWEEN 1 AND likelihood AND residual_impact BETWEEN 1 AND impact)
);

CREATE TABLE sources (
    tenant_id UUID NOT NULL,
    id UUID NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    name TEXT NOT NULL,
    system TEXT NOT NULL,
    instance TEXT DEFAULT '-' NOT NULL,
    token_hash BYTEA NOT NULL,
    secret BYTEA,
    previous_secret BYTEA,
    previous_secret_until TIMESTAMP WITH TIME ZONE,
    scheme JSONB DEFAULT '{}' NOT NULL,
    mapping JSONB DEFAULT '{}' NOT NULL,
    defaults JSONB DEFAULT '{}' NOT NULL,
    default_client_id UUID,
    client_map JSONB DEFAULT '{}' NOT NULL,
    limits JSONB DEFAULT '{}' NOT NULL,
    status TEXT DEFAULT 'active' NOT NULL,
    created_by UUID,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id),
    FOREIGN KEY (tenant_id, default_client_id) REFERENCES clients (tenant_id, id),
    CONSTRAINT sources_token_hash UNIQUE (tenant_id, token_hash),
    CONSTRAINT one_of_status CHECK (status IN ('active', 'paused', 'disabled'))
);

CREATE TABLE incidents (
    tenant_id UUID NOT NULL,
    id UUID NOT NULL,
    number TEXT NOT NULL,
    number_order INTEGER GENERATED ALWAYS AS (substring(number from '[0-9]+$')::integer) STORED NOT NULL,
    exercise BOOLEAN DEFAULT false NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    generation INTEGER DEFAULT 1 NOT NULL,
    status TEXT DEFAULT 'reported' NOT NULL,
    status_before_hold TEXT,
    title TEXT NOT NULL,
    summary TEXT,
    severity TEXT DEFAULT 'SEV4' NOT NULL,
    severity_basis JSONB,
    severity_highest TEXT,
    severity_adjustment JSONB,
    playbook_slug TEXT,
    playbook_version TEXT,
    playbook_hash TEXT,
    suggested_playbook JSONB,
    primary_risk TEXT,
    discovered_at TIMESTAMP WITH TIME ZONE NOT NULL,
    discovered_at_precision TEXT DEFAULT 'estimated' NOT NULL,
    discovered_by_id UUID,
    discovered_by_name TEXT,
    discovery_method TEXT,
    discovery_note TEXT,
    discovery_confirmed BOOLEAN DEFAULT false NOT NULL,
    reported_at TIMESTAMP WITH TIME ZONE NOT NULL,
    opened_by_kind TEXT NOT NULL,
    opened_by_id UUID NOT NULL,
    source_id UUID,
    triage_due_at TIMESTAMP WITH TIME ZONE NOT NULL,
    acknowledged_at TIMESTAMP WITH TIME ZONE,
    acknowledged_by UUID,
    declared_at TIMESTAMP WITH TIME ZONE,
    contained_at TIMESTAMP WITH TIME ZONE,
    post_incident_at TIMESTAMP WITH TIME ZONE,
    closed_at TIMESTAMP WITH TIME ZONE,
    rejected_at TIMESTAMP WITH TIME ZONE,
    disposition TEXT,
    hold JSONB,
    reopened JSONB,
    close_asked JSONB,
    client_ids UUID[] DEFAULT '{}' NOT NULL,
    ai_elements TEXT[] DEFAULT '{}' NOT NULL,
    labels TEXT[] DEFAULT '{}' NOT NULL,
    impact_types TEXT[] DEFAULT '{}' NOT NULL,
    facts JSONB DEFAULT '{}' NOT NULL,
    severity_hint TEXT,
    person_concerned TEXT,
    person_concerned_id UUID,
    person_concerned_note TEXT,
    assignee_id UUID,
    current_step TEXT,
    next_due_at TIMESTAMP WITH TIME ZONE,
    next_alarm_at TIMESTAMP WITH TIME ZONE,
    provisional_deadlines JSONB DEFAULT '[]' NOT NULL,
    allowed JSONB,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT incidents_number UNIQUE (tenant_id, number),
    FOREIGN KEY (tenant_id, assignee_id) REFERENCES people (tenant_id, id),
    FOREIGN KEY (tenant_id, discovered_by_id) REFERENCES people (tenant_id, id),
    FOREIGN KEY (tenant_id, person_concerned_id) REFERENCES people (tenant_id, id),
    FOREIGN KEY (tenant_id, source_id) REFERENCES sources (tenant_id, id),
    CONSTRAINT one_of_status CHECK (status IN ('reported', 'triage', 'in_progress', 'contained', 'post_incident', 'on_hold', 'closed', 'reopened', 'rejected')),
    CONSTRAINT one_of_severity CHECK (severity IN ('SEV1', 'SEV2', 'SEV3', 'SEV4')),
    CONSTRAINT one_of_discovered_at_precision CHECK (discovered_at_precision IN ('exact', 'minute', 'hour', 'day', 'estimated')),
    CONSTRAINT one_of_opened_by_kind CHECK (opened_by_kind IN ('person', 'service_account', 'system')),
    CONSTRAINT one_of_person_concerned CHECK (person_concerned IN ('person', 'outside', 'none', 'unknown')),
    CONSTRAINT one_of_disposition CHECK (disposition IN ('false_positive', 'duplicate', 'test', 'out_of_scope'))
);
CREATE INDEX incidents_by_assignee ON incidents (tenant_id, assignee_id, number_order) WHERE assignee_id IS NOT NULL;
CREATE INDEX incidents_by_discovery ON incidents (tenant_id, discovered_at, id);
CREATE INDEX incidents_by_due ON incidents (tenant_id, least(next_due_at, 'infinity'::timestamptz), id);
CREATE INDEX incidents_by_number ON incidents (tenant_id, number_order, id);
CREATE INDEX incidents_by_report ON incidents (tenant_id, reported_at, id);
CREATE INDEX incidents_by_status ON incidents (tenant_id, status, number_order, id);

CREATE TABLE service_accounts (
    tenant_id UUID NOT NULL,
    id UUID NOT NULL,
    name TEXT NOT NULL,
    active BOOLEAN DEFAULT true NOT NULL,
    source_id UUID,
    created_by UUID,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id),
    FOREIGN KEY (tenant_id, source_id) REFERENCES sources (tenant_id, id)
);

CREATE TABLE api_keys (
    tenant_id UUID NOT NULL,
    id UUID NOT NULL,
    person_id UUID,
    service_account_id UUID,
    name TEXT NOT NULL,
    secret_hash BYTEA NOT NULL,
    prefix TEXT NOT NULL,
    roles TEXT[],
    client_ids UUID[],
    period_from TIMESTAMP WITH TIME ZONE,
    period_to TIMESTAMP WITH TIME ZONE,
    expires_at TIMESTAMP WITH TIME ZONE,
    last_used_at TIMESTAMP WITH TIME ZONE,
    revoked_at TIMESTAMP WITH TIME ZONE,
    created_by UUID,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, person_id) REFERENCES people (tenant_id, id),
    FOREIGN KEY (tenant_id, service_account_id) REFERENCES service_accounts (tenant_id, id),
    CONSTRAINT api_keys_secret_hash UNIQUE (tenant_id, secret_hash),
    CONSTRAINT belongs_to_one CHECK (num_nonnulls(person_id, service_account_id) = 1)
);
CREATE INDEX api_keys_of_person ON api_keys (tenant_id, person_id);

CREATE TABLE control_occurrences (
    tenant_id UUID NOT NULL,
    incident_id UUID NOT NULL,
    id UUID NOT NULL,
    control TEXT NOT NULL,
    step_id TEXT,
    purpose TEXT DEFAULT 'step' NOT NULL,
    expected_of TEXT[] DEFAULT '{}' NOT NULL,
    due_at TIMESTAMP WITH TIME ZONE NOT NULL,
    breach_at TIMESTAMP WITH TIME ZONE NOT NULL,
    met_at TIMESTAMP WITH TIME ZONE,
    met_occurred_at TIMESTAMP WITH TIME ZONE,
    skipped_at TIMESTAMP WITH TIME ZONE,
    voided_at TIMESTAMP WITH TIME ZONE,
    breached_announced_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (tenant_id, incident_id, id),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incidents (tenant_id, id),
    CONSTRAINT one_of_purpose CHECK (purpose IN ('step', 'triage', 'documentation'))
);
CREATE INDEX control_occurrences_by_control ON control_occurrences (tenant_id, control, due_at);

CREATE TABLE documents (
    tenant_id UUID NOT NULL,
    incident_id UUID NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    value JSONB,
    state TEXT DEFAULT 'missing' NOT NULL,
    missing JSONB DEFAULT '[]' NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE,
    updated_by UUID,
    PRIMARY KEY (tenant_id, incident_id, id),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incidents (tenant_id, id),
    CONSTRAINT one_of_state CHECK (state IN ('missing', 'partial', 'complete', 'not_applicable'))
);

CREATE TABLE erasures (
    tenant_id UUID NOT NULL,
    id UUID NOT NULL,
    incident_id UUID NOT NULL,
    event_seqs INTEGER[] NOT NULL,
    fields JSONB DEFAULT '[]' NOT NULL,
    reason TEXT NOT NULL,
    requested_by UUID NOT NULL,
    requested_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    approved_by UUID,
    executed_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incidents (tenant_id, id),
    FOREIGN KEY (tenant_id, requested_by) REFERENCES people (tenant_id, id),
    FOREIGN KEY (tenant_id, approved_by) REFERENCES people (tenant_id, id),
    CONSTRAINT four_eyes CHECK (approved_by <> requested_by)
);

CREATE TABLE evidence (
    tenant_id UUID NOT NULL,
    incident_id UUID NOT NULL,
    id UUID NOT NULL,
    action_id TEXT,
    kind TEXT NOT NULL,
    title TEXT NOT NULL,
    filename TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    size INTEGER NOT NULL,
    media_type TEXT NOT NULL,
    sensitivity TEXT DEFAULT 'internal' NOT NULL,
    legal_hold BOOLEAN DEFAULT false NOT NULL,
    collected_by UUID,
    collected_at TIMESTAMP WITH TIME ZONE NOT NULL,
    collected_from TEXT,
    collection_method TEXT,
    attached_by_kind TEXT NOT NULL,
    attached_by_id UUID NOT NULL,
    attached_at TIMESTAMP WITH TIME ZONE NOT NULL,
    supersedes_id UUID,
    redacted_copy_of_id UUID,
    custody JSONB DEFAULT '[]' NOT NULL,
    PRIMARY KEY (tenant_id, incident_id, id),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incidents (tenant_id, id),
    CONSTRAINT evidence_id UNIQUE (tenant_id, id),
    CONSTRAINT one_of_sensitivity CHECK (sensitivity IN ('internal', 'restricted')),
    CONSTRAINT one_of_attached_by_kind CHECK (attached_by_kind IN ('person', 'service_account', 'system')),
    CONSTRAINT sha256_is_hex CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    CONSTRAINT size_is_not_negative CHECK (size >= 0)
);
CREATE INDEX evidence_by_hash ON evidence (tenant_id, sha256);

CREATE TABLE external_references (
    tenant_id UUID NOT NULL,
    incident_id UUID NOT NULL,
    id UUID NOT NULL,
    system TEXT NOT NULL,
    instance TEXT DEFAULT '-' NOT NULL,
    external_id TEXT NOT NULL,
    key TEXT,
    url TEXT,
    source_id UUID,
    added_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id, incident_id, id),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incidents (tenant_id, id),
    FOREIGN KEY (tenant_id, source_id) REFERENCES sources (tenant_id, id),
    CONSTRAINT external_references_once UNIQUE (tenant_id, system, instance, external_id)
);
CREATE INDEX external_references_by_id ON external_references (tenant_id, external_id);

CREATE TABLE follow_ups (
    tenant_id UUID NOT NULL,
    incident_id UUID NOT NULL,
    id UUID NOT NULL,
    title TEXT NOT NULL,
    owner_id UUID NOT NULL,
    due_at TIMESTAMP WITH TIME ZONE NOT NULL,
    status TEXT DEFAULT 'open' NOT NULL,
    reason TEXT,
    action_id TEXT,
    control TEXT,
    risk TEXT,
    obligation_id UUID,
    outside_reviewer TEXT,
    created_by UUID,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    done_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (tenant_id, incident_id, id),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incidents (tenant_id, id),
    FOREIGN KEY (tenant_id, owner_id) REFERENCES people (tenant_id, id),
    CONSTRAINT one_of_status CHECK (status IN ('open', 'in_progress', 'done', 'cancelled'))
);
CREATE INDEX follow_ups_open ON follow_ups (tenant_id, owner_id, due_at) WHERE status IN ('open', 'in_progress');

CREATE TABLE gate_refusals (
    tenant_id UUID NOT NULL,
    incident_id UUID NOT NULL,
    gate TEXT NOT NULL,
    actor_id UUID NOT NULL,
    minute TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id, incident_id, gate, actor_id, minute),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incidents (tenant_id, id)
);

CREATE TABLE hook_deliveries (
    tenant_id UUID NOT NULL,
    id UUID NOT NULL,
    source_id UUID NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    dedupe_key TEXT NOT NULL,
    headers JSONB DEFAULT '{}' NOT NULL,
    content_type TEXT,
    body BYTEA NOT NULL,
    result TEXT,
    because TEXT,
    incident_id UUID,
    error TEXT,
    attempts INTEGER DEFAULT 0 NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, source_id) REFERENCES sources (tenant_id, id),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incidents (tenant_id, id),
    CONSTRAINT hook_deliveries_once UNIQUE (tenant_id, source_id, dedupe_key),
    CONSTRAINT one_of_result CHECK (result IN ('created', 'updated', 'noted', 'duplicate', 'ignored', 'unmapped'))
);
CREATE INDEX hook_deliveries_by_receipt ON hook_deliveries (tenant_id, source_id, received_at);
CREATE INDEX hook_deliveries_of ON hook_deliveries (tenant_id, incident_id) WHERE incident_id IS NOT NULL;

CREATE TABLE incident_clients (
    tenant_id UUID NOT NULL,
    client_id UUID NOT NULL,
    incident_id UUID NOT NULL,
    PRIMARY KEY (tenant_id, client_id, incident_id),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incidents (tenant_id, id),
    FOREIGN KEY (tenant_id, client_id) REFERENCES clients (tenant_id, id)
);
CREATE INDEX incident_clients_of ON incident_clients (tenant_id, incident_id);

CREATE TABLE incident_exceptions (
    tenant_id UUID NOT NULL,
    incident_id UUID NOT NULL,
    id UUID NOT NULL,
    kind TEXT NOT NULL,
    gate TEXT,
    step_id TEXT,
    action_id TEXT,
    person_id UUID,
    reason TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    details JSONB,
    PRIMARY KEY (tenant_id, incident_id, id),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incidents (tenant_id, id)
);
CREATE INDEX incident_exceptions_by_time ON incident_exceptions (tenant_id, at);

CREATE TABLE incident_labels (
    tenant_id UUID NOT NULL,
    label TEXT NOT NULL,
    incident_id UUID NOT NULL,
    PRIMARY KEY (tenant_id, label, incident_id),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incidents (tenant_id, id)
);
CREATE INDEX incident_labels_of ON incident_labels (tenant_id, incident_id);

CREATE TABLE incident_links (
    tenant_id UUID NOT NULL,
    incident_id UUID NOT NULL,
    id UUID NOT NULL,
    linked_incident_id UUID NOT NULL,
    type TEXT NOT NULL,
    reason TEXT,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    released_at TIMESTAMP WITH TIME ZONE,
    release_reason TEXT,
    PRIMARY KEY (tenant_id, incident_id, id),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incidents (tenant_id, id),
    FOREIGN KEY (tenant_id, linked_incident_id) REFERENCES incidents (tenant_id, id),
    CONSTRAINT one_of_type CHECK (type IN ('parent', 'child', 'duplicate', 'related', 'client_part'))
);
CREATE INDEX incident_links_to ON incident_links (tenant_id, linked_incident_id);

CREATE TABLE incident_members (
    tenant_id UUID NOT NULL,
    member_id UUID NOT NULL,
    incident_id UUID NOT NULL,
    PRIMARY KEY (tenant_id, member_id, incident_id),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incidents (tenant_id, id)
);
CREATE INDEX incident_members_of ON incident_members (tenant_id, incident_id);

CREATE TABLE incident_words (
    tenant_id UUID NOT NULL,
    word TEXT NOT NULL,
    incident_id UUID NOT NULL,
    PRIMARY KEY (tenant_id, word, incident_id),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incidents (tenant_id, id)
);
CREATE INDEX incident_words_of ON incident_words (tenant_id, incident_id);

CREATE TABLE notifications (
    tenant_id UUID NOT NULL,
    incident_id UUID NOT NULL,
    id UUID NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    kind TEXT NOT NULL,
    status TEXT DEFAULT 'draft' NOT NULL,
    audience TEXT NOT NULL,
    action_id TEXT,
    client_id UUID,
    obligation_id UUID,
    channel TEXT NOT NULL,
    recipients TEXT[] DEFAULT '{}' NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    corrects_evidence_id UUID,
    author_id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    due_at TIMESTAMP WITH TIME ZONE,
    submitted_at TIMESTAMP WITH TIME ZONE,
    approved_by UUID,
    approved_at TIMESTAMP WITH TIME ZONE,
    sent_at TIMESTAMP WITH TIME ZONE,
    sent_recorded_at TIMESTAMP WITH TIME ZONE,
    sent_by UUID,
    proof_evidence_id UUID,
    content_hash TEXT,
    acknowledged_at TIMESTAMP WITH TIME ZONE,
    reason TEXT,
    allowed JSONB,
    PRIMARY KEY (tenant_id, incident_id, id),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incidents (tenant_id, id),
    FOREIGN KEY (tenant_id, client_id) REFERENCES clients (tenant_id, id),
    FOREIGN KEY (tenant_id, author_id) REFERENCES people (tenant_id, id),
    CONSTRAINT one_of_kind CHECK (kind IN ('internal', 'client_notice', 'correction', 'regulator', 'vendor', 'briefing', 'escalation')),
    CONSTRAINT one_of_status CHECK (status IN ('draft', 'in_review', 'approved', 'sent', 'acknowledged', 'failed', 'not_required'))
);

CREATE TABLE obligations (
    tenant_id UUID NOT NULL,
    incident_id UUID NOT NULL,
    id UUID NOT NULL,
    rule_id TEXT NOT NULL,
    rule_version TEXT NOT NULL,
    client_id UUID,
    toward TEXT NOT NULL,
    outcome TEXT NOT NULL,
    because JSONB DEFAULT '[]' NOT NULL,
    missing_facts TEXT[] DEFAULT '{}' NOT NULL,
    recipient TEXT NOT NULL,
    channel TEXT,
    content_requirements TEXT[] DEFAULT '{}' NOT NULL,
    citation TEXT NOT NULL,
    as_of TEXT NOT NULL,
    confidence TEXT NOT NULL,
    clock_event TEXT,
    clock_started_at TIMESTAMP WITH TIME ZONE,
    pending_clock BOOLEAN DEFAULT false NOT NULL,
    due_at TIMESTAMP WITH TIME ZONE,
    guideline_due_at TIMESTAMP WITH TIME ZONE,
    decision TEXT DEFAULT 'open' NOT NULL,
    rationale TEXT,
    opinion_reference TEXT,
    decided_by UUID,
    decided_at TIMESTAMP WITH TIME ZONE,
    notified_at TIMESTAMP WITH TIME ZONE,
    carried_follow_up_id UUID,
    overdue_announced_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (tenant_id, incident_id, id),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incidents (tenant_id, id),
    FOREIGN KEY (tenant_id, client_id) REFERENCES clients (tenant_id, id),
    CONSTRAINT one_of_toward CHECK (toward IN ('client', 'regulator', 'individuals', 'counsel')),
    CONSTRAINT one_of_outcome CHECK (outcome IN ('required', 'likely', 'needs_facts', 'needs_legal', 'not_triggered')),
    CONSTRAINT one_of_decision CHECK (decision IN ('open', 'notify', 'not_required', 'waived_by_counsel'))
);
CREATE INDEX obligations_due ON obligations (tenant_id, due_at) WHERE notified_at IS NULL AND decision IN ('open', 'notify');

CREATE TABLE participants (
    tenant_id UUID NOT NULL,
    incident_id UUID NOT NULL,
    person_id UUID NOT NULL,
    roles TEXT[] DEFAULT '{}' NOT NULL,
    involvement TEXT NOT NULL,
    added_by UUID,
    added_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id, incident_id, person_id),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incidents (tenant_id, id),
    FOREIGN KEY (tenant_id, person_id) REFERENCES people (tenant_id, id),
    CONSTRAINT one_of_involvement CHECK (involvement IN ('responder', 'reporter', 'subject', 'victim', 'witness'))
);
CREATE INDEX participants_by_person ON participants (tenant_id, person_id);

CREATE TABLE risk_revisions (
    tenant_id UUID NOT NULL,
    id UUID NOT NULL,
    risk_ref TEXT NOT NULL,
    incident_id UUID,
    decision TEXT NOT NULL,
    status TEXT DEFAULT 'accepted' NOT NULL,
    proposal JSONB,
    before JSONB DEFAULT '{}' NOT NULL,
    after JSONB DEFAULT '{}' NOT NULL,
    reason TEXT NOT NULL,
    cause TEXT NOT NULL,
    author_id UUID NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, risk_ref) REFERENCES risks (tenant_id, ref),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incidents (tenant_id, id),
    FOREIGN KEY (tenant_id, author_id) REFERENCES people (tenant_id, id),
    CONSTRAINT one_of_decision CHECK (decision IN ('accept', 'edit', 'no_change')),
    CONSTRAINT one_of_status CHECK (status IN ('proposed', 'accepted', 'rejected')),
    CONSTRAINT one_of_cause CHECK (cause IN ('review', 'incident', 'treatment', 'audit'))
);
CREATE INDEX risk_revisions_of_incident ON risk_revisions (tenant_id, incident_id) WHERE incident_id IS NOT NULL;
CREATE INDEX risk_revisions_of_risk ON risk_revisions (tenant_id, risk_ref, at);

CREATE TABLE signatures (
    tenant_id UUID NOT NULL,
    incident_id UUID NOT NULL,
    id UUID NOT NULL,
    round INTEGER DEFAULT 1 NOT NULL,
    person_id UUID NOT NULL,
    role TEXT NOT NULL,
    statement TEXT NOT NULL,
    signed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    record_hash TEXT NOT NULL,
    override JSONB,
    voided_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (tenant_id, incident_id, id),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incidents (tenant_id, id),
    FOREIGN KEY (tenant_id, person_id) REFERENCES people (tenant_id, id)
);

CREATE TABLE step_runs (
    tenant_id UUID NOT NULL,
    incident_id UUID NOT NULL,
    generation INTEGER NOT NULL,
    id TEXT NOT NULL,
    position INTEGER NOT NULL,
    status TEXT DEFAULT 'locked' NOT NULL,
    assignee_id UUID,
    clock_started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    at_risk_at TIMESTAMP WITH TIME ZONE NOT NULL,
    due_at TIMESTAMP WITH TIME ZONE NOT NULL,
    breach_at TIMESTAMP WITH TIME ZONE NOT NULL,
    earlier_deadlines JSONB DEFAULT '[]' NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE,
    completed_at TIMESTAMP WITH TIME ZONE,
    completed_occurred_at TIMESTAMP WITH TIME ZONE,
    completed_by UUID,
    skipped_at TIMESTAMP WITH TIME ZONE,
    reopened_by TEXT,
    first_result JSONB,
    late_entry BOOLEAN DEFAULT false NOT NULL,
    at_risk_announced_at TIMESTAMP WITH TIME ZONE,
    breached_announced_at TIMESTAMP WITH TIME ZONE,
    allowed JSONB,
    PRIMARY KEY (tenant_id, incident_id, generation, id),
    FOREIGN KEY (tenant_id, incident_id) REFERENCES incidents (tenant_id, id),
    FOREIGN KEY (tenant_id, assignee_id) REFERENCES people (tenant_id, id),
    CONSTRAINT one_of_status CHECK (status IN ('locked', 'ready', 'in_progress', 'blocked', 'completed', 'skipped'))
);
CREATE INDEX step_runs_open ON step_runs (tenant_id, due_at) WHERE status IN ('ready', 'in_progress', 'blocked');

CREATE TABLE action_runs (
    tenant_id UUID NOT NULL,
    incident_id UUID NOT NULL,
    generation INTEGER NOT NULL,
    id TEXT NOT NULL,
    step_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    requirement TEXT DEFAULT 'required' NOT NULL,
    status TEXT DEFAULT 'pending' NOT NULL,
    outcome TEXT,
    values JSONB,
    note TEXT,
    reason TEXT,
    due_at TIMESTAMP WITH TIME ZONE,
    occurred_at TIMESTAMP WITH TIME ZONE,
    recorded_at TIMESTAMP WITH TIME ZONE,
    recorded_by UUID,
    performed_by UUID,
    late_entry BOOLEAN DEFAULT false NOT NULL,
    evidence_ids UUID[] DEFAULT '{}' NOT NULL,
    approvals JSONB DEFAULT '[]' NOT NULL,
    PRIMARY KEY (tenant_id, incident_id, generation, id),
    FOREIGN KEY (tenant_id, incident_id, generation, step_id) REFERENCES step_runs (tenant_id, incident_id, generation, id),
    CONSTRAINT one_of_requirement CHECK (requirement IN ('required', 'not_applicable', 'pending_fact')),
    CONSTRAINT one_of_status CHECK (status IN ('pending', 'pending_fact', 'done', 'not_applicable', 'skipped', 'unavailable'))
);
