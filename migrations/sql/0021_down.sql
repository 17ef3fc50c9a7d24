DROP TRIGGER new_events_wake ON events;
DROP FUNCTION wake_followers();
DROP TRIGGER events_name_their_transaction ON events;
DROP FUNCTION note_transaction();
DROP INDEX events_by_transaction;
ALTER TABLE events DROP COLUMN written_in;
