-- Where events are told: endpoints, one delivery per (event, endpoint), and lanes. A lane is one stream on its way to one
-- endpoint: what a worker claims, so that each receiver gets the events of one incident in order.

CREATE TABLE webhook_endpoints (
    tenant_id UUID NOT NULL,
    id UUID NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    event_types TEXT[] DEFAULT '{}' NOT NULL,
    filter TEXT,
    client_ids UUID[],
    payload TEXT DEFAULT 'thin' NOT NULL,
    status TEXT DEFAULT 'active' NOT NULL,
    disabled_because TEXT,
    failing_since TIMESTAMP WITH TIME ZONE,
    secret BYTEA NOT NULL,
    previous_secret BYTEA,
    previous_secret_until TIMESTAMP WITH TIME ZONE,
    public_key TEXT NOT NULL,
    created_by UUID,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id) REFERENCES tenants (tenant_id),
    CONSTRAINT one_of_payload CHECK (payload IN ('thin', 'full')),
    CONSTRAINT one_of_status CHECK (status IN ('active', 'disabled'))
);

-- No foreign keys on the two below: every event of a tenant that has endpoints would pay for the checks.
CREATE TABLE webhook_deliveries (
    tenant_id UUID NOT NULL,
    id UUID NOT NULL,
    endpoint_id UUID NOT NULL,
    stream TEXT NOT NULL,
    stream_id UUID NOT NULL,
    seq INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    status TEXT DEFAULT 'pending' NOT NULL,
    attempts INTEGER DEFAULT 0 NOT NULL,
    next_attempt_at TIMESTAMP WITH TIME ZONE,
    attempted_at TIMESTAMP WITH TIME ZONE,
    delivered_at TIMESTAMP WITH TIME ZONE,
    duration_ms INTEGER,
    response_status INTEGER,
    response_excerpt TEXT,
    error TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT webhook_deliveries_once UNIQUE (tenant_id, endpoint_id, stream, stream_id, seq),
    CONSTRAINT one_of_status CHECK (status IN ('pending', 'delivered', 'failed', 'withheld'))
);
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (tenant_id, endpoint_id, stream, stream_id, seq)
    WHERE status = 'pending';
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (tenant_id, endpoint_id, created_at);

CREATE TABLE webhook_lanes (
    tenant_id UUID NOT NULL,
    endpoint_id UUID NOT NULL,
    stream TEXT NOT NULL,
    stream_id UUID NOT NULL,
    next_at TIMESTAMP WITH TIME ZONE NOT NULL,
    bumps INTEGER DEFAULT 0 NOT NULL,
    PRIMARY KEY (tenant_id, endpoint_id, stream, stream_id)
);
CREATE INDEX webhook_lanes_by_time ON webhook_lanes (tenant_id, endpoint_id, next_at);
CREATE INDEX webhook_lanes_next ON webhook_lanes (next_at, tenant_id);

-- One delivery per (event, endpoint) in the statement that writes the event, whoever writes it and whatever limits bind
-- the writer: what an endpoint is told does not depend on who acted, so the limits are lifted for the length of the
-- function. An endpoint that is limited to clients is told of incidents alone, and only if all clients of the incident are
-- its own, as the walls show them to a limited key.
--
-- A lane that exists keeps its time, since it is leased or waits to try again; `bumps` tells whoever holds it of the new
-- delivery.
CREATE FUNCTION queue_deliveries() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    clients text := current_setting('app.client_ids', true);
    member text := current_setting('app.member_id', true);
    since text := current_setting('app.period_from', true);
    until text := current_setting('app.period_to', true);
    is_limited boolean := concat(clients, member, since, until) <> '';
BEGIN
    IF is_limited THEN
        PERFORM set_config('app.client_ids', '', true), set_config('app.member_id', '', true),
                set_config('app.period_from', '', true), set_config('app.period_to', '', true);
    END IF;
    IF EXISTS (SELECT 1 FROM webhook_endpoints WHERE status = 'active') THEN
        WITH queued AS (
            INSERT INTO webhook_deliveries (tenant_id, id, endpoint_id, stream, stream_id, seq, event_id, event_type,
                                            next_attempt_at)
            SELECT f.tenant_id, gen_random_uuid(), e.id, f.stream, f.stream_id, f.seq, 'evt_' || left(f.hash, 32), f.kind, now()
            FROM fresh f JOIN webhook_endpoints e ON e.tenant_id = f.tenant_id AND e.status = 'active'
            WHERE f.kind = 'webhook_endpoint.tested' AND f.stream_id = e.id
               OR (f.kind = ANY (e.event_types) OR '*' = ANY (e.event_types)
                   OR split_part(f.kind, '.', 1) || '.*' = ANY (e.event_types))
              AND (e.client_ids IS NULL OR f.stream = 'incident' AND EXISTS (
                   SELECT 1 FROM incidents i WHERE i.tenant_id = f.tenant_id AND i.id = f.stream_id
                   AND i.client_ids <> '{}' AND i.client_ids <@ e.client_ids))
            RETURNING tenant_id, endpoint_id, stream, stream_id)
        INSERT INTO webhook_lanes (tenant_id, endpoint_id, stream, stream_id, next_at)
        SELECT DISTINCT tenant_id, endpoint_id, stream, stream_id, now() FROM queued
        ORDER BY tenant_id, endpoint_id, stream, stream_id
        ON CONFLICT (tenant_id, endpoint_id, stream, stream_id) DO UPDATE SET bumps = webhook_lanes.bumps + 1;
    END IF;
    IF is_limited THEN
        PERFORM set_config('app.client_ids', coalesce(clients, ''), true),
                set_config('app.member_id', coalesce(member, ''), true),
                set_config('app.period_from', coalesce(since, ''), true),
                set_config('app.period_to', coalesce(until, ''), true);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER events_are_delivered AFTER INSERT ON events
REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION queue_deliveries();
CREATE TRIGGER new_lane_wakes AFTER INSERT ON webhook_lanes
REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION wake_workers();

DO $$
DECLARE
    runtime constant text := quote_ident(current_setting('holdfast.runtime_role'));
    mine constant text := '(SELECT NULLIF(current_setting(''app.tenant_id'', true), '''')::uuid)';
    clients constant text := '(SELECT NULLIF(current_setting(''app.client_ids'', true), ''''))';
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['webhook_endpoints', 'webhook_deliveries', 'webhook_lanes'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON %1$I USING (tenant_id = %2$s) WITH CHECK (tenant_id = %2$s)', name, mine);
        EXECUTE format('CREATE POLICY limits ON %I AS RESTRICTIVE FOR SELECT USING (%s IS NULL)', name, clients);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON %I TO %s', name, runtime);
        -- An erasure is an event too.
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON %I TO holdfast_eraser', name);
    END LOOP;
    EXECUTE format('GRANT DELETE ON webhook_lanes TO %s', runtime);
    -- Who has deliveries that are due? Asked as holdfast_worker, answered with tenant and time.
    CREATE POLICY worker ON webhook_lanes FOR SELECT TO holdfast_worker USING (true);
    GRANT SELECT (tenant_id, next_at) ON webhook_lanes TO holdfast_worker;
END
$$;
