ALTER TABLE obligations
    ADD COLUMN owed_by text NOT NULL DEFAULT 'us',
    ADD COLUMN original_due_at timestamptz,
    ADD COLUMN delay jsonb,
    ADD CONSTRAINT one_of_owed_by CHECK (owed_by IN ('us', 'client')),
    DROP CONSTRAINT one_of_toward,
    ADD CONSTRAINT one_of_toward
        CHECK (toward IN ('client', 'regulator', 'individuals', 'counsel', 'third_party', 'internal'));
