-- The last deliveries about an incident are read in their order, however many there were.
DROP INDEX hook_deliveries_of;
CREATE INDEX hook_deliveries_of ON hook_deliveries (tenant_id, incident_id, received_at) WHERE incident_id IS NOT NULL;
