-- Endpoints that write to tickets: over which connection, and what is wanted of the tickets.
ALTER TABLE webhook_endpoints
    DROP CONSTRAINT one_of_format,
    ADD CONSTRAINT one_of_format CHECK (format IN ('standard', 'cloudevents', 'ocsf', 'slack', 'teams', 'ticket')),
    ADD COLUMN connection_id UUID,
    ADD COLUMN ticket JSONB,
    ADD FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id);
