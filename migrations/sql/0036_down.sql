DROP INDEX webhook_lanes_next, webhook_lanes_by_time;
CREATE INDEX webhook_lanes_next ON webhook_lanes (next_at, tenant_id);
CREATE INDEX webhook_lanes_by_time ON webhook_lanes (tenant_id, endpoint_id, next_at);
