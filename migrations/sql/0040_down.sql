ALTER TABLE sources DROP COLUMN connection_id;
