DROP INDEX hook_deliveries_of;
CREATE INDEX hook_deliveries_of ON hook_deliveries (tenant_id, incident_id) WHERE incident_id IS NOT NULL;
