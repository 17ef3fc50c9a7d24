ALTER TABLE obligations DROP CONSTRAINT one_of_toward;
UPDATE obligations SET toward = 'counsel' WHERE toward IN ('third_party', 'internal');
ALTER TABLE obligations
    ADD CONSTRAINT one_of_toward CHECK (toward IN ('client', 'regulator', 'individuals', 'counsel')),
    DROP CONSTRAINT one_of_owed_by,
    DROP COLUMN owed_by,
    DROP COLUMN original_due_at,
    DROP COLUMN delay;
