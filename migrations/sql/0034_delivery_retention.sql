-- Endpoints that are retired, deliveries that are forgotten when they are done, and the dead ones counted.
ALTER TABLE webhook_endpoints DROP CONSTRAINT one_of_status;
ALTER TABLE webhook_endpoints ADD CONSTRAINT one_of_status CHECK (status IN ('active', 'disabled', 'retired'));
CREATE INDEX webhook_deliveries_failed ON webhook_deliveries (tenant_id, endpoint_id) WHERE status = 'failed';

DO $$
BEGIN
    EXECUTE format('GRANT DELETE ON webhook_deliveries TO %s', quote_ident(current_setting('holdfast.runtime_role')));
END
$$;
