ALTER TABLE incidents ADD COLUMN workflow_status text,
    ADD CONSTRAINT one_of_workflow_status
    CHECK (workflow_status IN ('running', 'suspended', 'in_service', 'restricted', 'retired'));
