-- Wakes sleeping workers when something is due now: once per statement, without a payload, so that equal notifications
-- of a transaction become one and nothing of a tenant is told. A worker that misses it finds the work by looking.
-- Work for later wakes nobody: most writes only move an alarm that lies ahead, and a notification is serialised at commit.
CREATE FUNCTION wake_workers() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM fresh WHERE next_at <= now()) THEN
        NOTIFY holdfast_due_work;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER new_due_work_wakes AFTER INSERT ON due_work
REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION wake_workers();
CREATE TRIGGER moved_due_work_wakes AFTER UPDATE ON due_work
REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION wake_workers();
