DROP INDEX control_occurrences_by_outcome, control_occurrences_by_discovery;
ALTER TABLE control_occurrences
    DROP COLUMN outcome, DROP COLUMN exercise, DROP COLUMN discovered_at, DROP COLUMN playbook_slug,
    DROP COLUMN generation;
