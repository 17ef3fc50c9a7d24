-- The log of a tenant: all its events in one dense order, numbered from 1, whatever stream they are on. An event's own
-- transaction puts it into log_pending; a worker moves it on when that has committed, so a rollback leaves no gap and what
-- commits late gets a later number.

-- Positions are taken while the head of the stream is locked: within a stream they follow its sequence. They say nothing of
-- when a transaction commits, so nobody reads on from one.
CREATE TABLE log_pending (
    tenant_id UUID NOT NULL,
    position BIGINT GENERATED ALWAYS AS IDENTITY NOT NULL,
    stream TEXT NOT NULL,
    stream_id UUID NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, position)
);
-- A queue: always short, and each row of it is deleted soon.
ALTER TABLE log_pending SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

-- No foreign key to the events: they are never deleted, and `rebuild --check` compares the two.
CREATE TABLE log_entries (
    tenant_id UUID NOT NULL,
    log_index BIGINT NOT NULL,
    stream TEXT NOT NULL,
    stream_id UUID NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, log_index),
    CONSTRAINT log_entries_once UNIQUE (tenant_id, stream, stream_id, seq),
    CONSTRAINT index_from_one CHECK (log_index > 0)
);

-- Whoever writes an event, in whatever statement: nobody can forget it.
CREATE FUNCTION queue_for_log() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO log_pending (tenant_id, stream, stream_id, seq)
    SELECT tenant_id, stream, stream_id, seq FROM fresh ORDER BY tenant_id, stream, stream_id, seq;
    RETURN NULL;
END
$$;
CREATE TRIGGER events_are_logged AFTER INSERT ON events
REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION queue_for_log();

-- Wakes who reads the log: once per statement and without a payload, as everywhere.
CREATE FUNCTION wake_readers() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY holdfast_log;
    RETURN NULL;
END
$$;

-- What happened before has the order in which it was recorded. The owner looks past the walls for the length of this.
ALTER TABLE events NO FORCE ROW LEVEL SECURITY;
INSERT INTO log_entries (tenant_id, log_index, stream, stream_id, seq)
SELECT tenant_id, row_number() OVER (PARTITION BY tenant_id ORDER BY recorded_in_order, stream, stream_id, seq),
       stream, stream_id, seq
FROM (
    -- A clock may have stepped back between two events of one stream: the later one keeps the later place.
    SELECT tenant_id, stream, stream_id, seq, max(recorded_at) OVER (
        PARTITION BY tenant_id, stream, stream_id ORDER BY seq ROWS UNBOUNDED PRECEDING) AS recorded_in_order
    FROM events) e;
ALTER TABLE events FORCE ROW LEVEL SECURITY;
CREATE TRIGGER new_entries_wake AFTER INSERT ON log_entries
FOR EACH STATEMENT EXECUTE FUNCTION wake_readers();

DO $$
DECLARE
    runtime constant text := quote_ident(current_setting('holdfast.runtime_role'));
    mine constant text := '(SELECT NULLIF(current_setting(''app.tenant_id'', true), '''')::uuid)';
    clients constant text := '(SELECT NULLIF(current_setting(''app.client_ids'', true), ''''))';
    client_list constant text :=
        '(SELECT string_to_array(NULLIF(current_setting(''app.client_ids'', true), ''''), '','')::uuid[])';
    unlimited constant text :=
        '(SELECT concat(current_setting(''app.client_ids'', true), current_setting(''app.member_id'', true), '
        'current_setting(''app.period_from'', true), current_setting(''app.period_to'', true)) = '''')';
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['log_pending', 'log_entries'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON %1$I USING (tenant_id = %2$s) WITH CHECK (tenant_id = %2$s)', name, mine);
    END LOOP;
    -- An entry is seen by who sees its event.
    EXECUTE format(
        'CREATE POLICY limits ON log_entries AS RESTRICTIVE FOR SELECT USING (%1$s OR CASE stream '
        'WHEN ''incident'' THEN sees_incident(tenant_id, stream_id) '
        'WHEN ''client'' THEN %2$s IS NULL OR stream_id = ANY (%3$s::uuid[]) ELSE %2$s IS NULL END)',
        unlimited, clients, client_list);
    EXECUTE format('GRANT SELECT, INSERT, DELETE ON log_pending TO %s', runtime);
    EXECUTE format('GRANT SELECT, INSERT ON log_entries TO %s', runtime);
    GRANT INSERT ON log_pending TO holdfast_eraser;  -- an erasure is an event too
    -- Who has events without a number? Asked as holdfast_worker, answered with the tenant alone.
    CREATE POLICY worker ON log_pending FOR SELECT TO holdfast_worker USING (true);
    GRANT SELECT (tenant_id) ON log_pending TO holdfast_worker;
END
$$;
