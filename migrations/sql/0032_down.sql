DROP INDEX incident_clients_by_number, incident_labels_by_number;
ALTER TABLE incident_clients DROP COLUMN number_order;
ALTER TABLE incident_labels DROP COLUMN number_order;
