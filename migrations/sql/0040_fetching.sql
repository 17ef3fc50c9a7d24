-- Sources fetch what a delivery only names: over which connection.
ALTER TABLE sources
    ADD COLUMN connection_id UUID,
    ADD FOREIGN KEY (tenant_id, connection_id) REFERENCES connections (tenant_id, id);
