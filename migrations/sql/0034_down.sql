ALTER TABLE webhook_endpoints NO FORCE ROW LEVEL SECURITY;
UPDATE webhook_endpoints SET status = 'disabled' WHERE status = 'retired';
ALTER TABLE webhook_endpoints FORCE ROW LEVEL SECURITY;
ALTER TABLE webhook_endpoints DROP CONSTRAINT one_of_status;
ALTER TABLE webhook_endpoints ADD CONSTRAINT one_of_status CHECK (status IN ('active', 'disabled'));
DROP INDEX webhook_deliveries_failed;
DO $$
BEGIN
    EXECUTE format('REVOKE DELETE ON webhook_deliveries FROM %s', quote_ident(current_setting('holdfast.runtime_role')));
END
$$;
