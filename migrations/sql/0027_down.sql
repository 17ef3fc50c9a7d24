DROP TABLE unmapped_clients, correlations;
ALTER TABLE hook_deliveries DROP COLUMN waiting_for;
