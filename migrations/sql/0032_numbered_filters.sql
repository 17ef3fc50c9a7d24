-- Lists by client or label are read newest number first, so the rows that they are filtered by stand in that order.
ALTER TABLE incident_clients ADD COLUMN number_order integer;
ALTER TABLE incident_labels ADD COLUMN number_order integer;

-- The walls hold for the owner too; without them down, this would change no row of any tenant.
ALTER TABLE incidents NO FORCE ROW LEVEL SECURITY;
ALTER TABLE incident_clients NO FORCE ROW LEVEL SECURITY;
ALTER TABLE incident_labels NO FORCE ROW LEVEL SECURITY;
UPDATE incident_clients c SET number_order = i.number_order FROM incidents i
WHERE i.tenant_id = c.tenant_id AND i.id = c.incident_id;
UPDATE incident_labels l SET number_order = i.number_order FROM incidents i
WHERE i.tenant_id = l.tenant_id AND i.id = l.incident_id;
ALTER TABLE incidents FORCE ROW LEVEL SECURITY;
ALTER TABLE incident_clients FORCE ROW LEVEL SECURITY;
ALTER TABLE incident_labels FORCE ROW LEVEL SECURITY;

ALTER TABLE incident_clients ALTER COLUMN number_order SET NOT NULL;
ALTER TABLE incident_labels ALTER COLUMN number_order SET NOT NULL;
CREATE INDEX incident_clients_by_number ON incident_clients (tenant_id, client_id, number_order, incident_id);
CREATE INDEX incident_labels_by_number ON incident_labels (tenant_id, label, number_order, incident_id);
