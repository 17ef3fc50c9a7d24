DROP TRIGGER events_are_delivered ON events;
DROP FUNCTION queue_deliveries();
DROP TABLE webhook_lanes, webhook_deliveries, webhook_endpoints;
