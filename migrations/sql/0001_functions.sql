-- Functions and triggers of the first release.

-- Every instant of an answer: UTC, six decimals, Z. Stable, so that PostgreSQL inlines it.
CREATE FUNCTION instant(at timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');

-- The timeline only grows. Nobody may change it, the owner of the tables included.
CREATE FUNCTION refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER events_only_grow BEFORE UPDATE OR DELETE ON events
FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER events_are_not_truncated BEFORE TRUNCATE ON events
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The data of an event goes by erasure alone: erase_event_data() runs as holdfast_eraser.
CREATE FUNCTION refuse_change_outside_erasure() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_user = 'holdfast_eraser' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'event_data changes by erasure alone: % is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER event_data_only_grows BEFORE UPDATE OR DELETE ON event_data
FOR EACH ROW EXECUTE FUNCTION refuse_change_outside_erasure();
CREATE TRIGGER event_data_is_not_truncated BEFORE TRUNCATE ON event_data
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_outside_erasure();

-- Writes the erasure event, then deletes the data of the events it names. The frames and their digests stay, so the
-- chain still verifies. `frame` is the event as app/events.py frames it; its data must list the same `seqs`.
CREATE FUNCTION erase_event_data(frame jsonb, seqs integer[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    head streams;
    told events;
    erased integer;
BEGIN
    told := jsonb_populate_record(NULL::events, frame);
    SELECT * INTO head FROM streams
    WHERE tenant_id = told.tenant_id AND stream = told.stream AND stream_id = told.stream_id FOR UPDATE;
    IF NOT FOUND OR told.kind <> 'data.erased' OR told.seq <> head.seq + 1 OR told.prev_hash <> head.hash
        OR (frame -> 'data' -> 'event_seqs') IS DISTINCT FROM to_jsonb(seqs)
        OR EXISTS (SELECT 1 FROM unnest(seqs) AS seq WHERE seq IS NULL OR seq NOT BETWEEN 1 AND head.seq) THEN
        RAISE EXCEPTION 'an erasure is the next event of its stream and lists what it erases'
            USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO events SELECT told.*;
    INSERT INTO event_data (tenant_id, stream, stream_id, seq, salt, data)
    VALUES (told.tenant_id, told.stream, told.stream_id, told.seq, (frame ->> 'salt')::bytea, frame -> 'data');
    UPDATE streams SET seq = told.seq, hash = told.hash
    WHERE tenant_id = told.tenant_id AND stream = told.stream AND stream_id = told.stream_id;
    DELETE FROM event_data
    WHERE tenant_id = told.tenant_id AND stream = told.stream AND stream_id = told.stream_id AND seq = ANY (seqs);
    GET DIAGNOSTICS erased = ROW_COUNT;
    RETURN erased;
END
$$;
REVOKE ALL ON FUNCTION erase_event_data(jsonb, integer[]) FROM PUBLIC;
