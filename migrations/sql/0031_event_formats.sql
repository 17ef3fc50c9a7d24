-- In which form an endpoint is told. Where the address alone lets one write to a channel, it is sealed and `url` holds what
-- may be shown of it.
ALTER TABLE webhook_endpoints
    ADD COLUMN format TEXT DEFAULT 'standard' NOT NULL,
    ADD COLUMN sealed_url BYTEA,
    ADD CONSTRAINT one_of_format CHECK (format IN ('standard', 'cloudevents', 'ocsf', 'slack', 'teams'));
