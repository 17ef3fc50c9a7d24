DROP TRIGGER events_are_logged ON events;
DROP FUNCTION queue_for_log();
DROP TABLE log_entries, log_pending;
DROP FUNCTION wake_readers();
