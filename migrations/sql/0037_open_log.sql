-- An entry tells no more than the heads of streams do, which have no such limits either. With them a limited caller would
-- have to look through the whole log for the next entry it sees; what an event says is behind the walls of events.
DROP POLICY limits ON log_entries;
