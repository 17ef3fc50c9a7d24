ALTER TABLE incidents DROP COLUMN workflow_status;
