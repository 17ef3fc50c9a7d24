-- No older form means it: what is left says where it led, and is disabled.
ALTER TABLE webhook_endpoints NO FORCE ROW LEVEL SECURITY;
UPDATE webhook_endpoints SET format = 'standard', status = 'disabled' WHERE format = 'ticket';
ALTER TABLE webhook_endpoints FORCE ROW LEVEL SECURITY;
ALTER TABLE webhook_endpoints
    DROP COLUMN ticket,
    DROP COLUMN connection_id,
    DROP CONSTRAINT one_of_format,
    ADD CONSTRAINT one_of_format CHECK (format IN ('standard', 'cloudevents', 'ocsf', 'slack', 'teams'));
