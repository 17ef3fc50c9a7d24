-- Which transaction wrote an event. Whoever follows a tenant reads on from the oldest transaction that was still open
-- when they last looked: instants and sequences would skip what committed late. Events from before count as long ago.
ALTER TABLE events ADD COLUMN written_in BIGINT DEFAULT 0 NOT NULL;
ALTER TABLE events ALTER COLUMN written_in SET DEFAULT pg_current_xact_id()::text::bigint;
CREATE INDEX events_by_transaction ON events (tenant_id, written_in);

-- An erasure inserts a whole row and names no transaction.
CREATE FUNCTION note_transaction() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.written_in := pg_current_xact_id()::text::bigint;
    RETURN NEW;
END
$$;
CREATE TRIGGER events_name_their_transaction BEFORE INSERT ON events
FOR EACH ROW WHEN (NEW.written_in IS NULL) EXECUTE FUNCTION note_transaction();

-- Wakes who follows events: once per statement and without a payload, as work that is due does.
CREATE FUNCTION wake_followers() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY holdfast_events;
    RETURN NULL;
END
$$;
CREATE TRIGGER new_events_wake AFTER INSERT ON events
FOR EACH STATEMENT EXECUTE FUNCTION wake_followers();
