ALTER TABLE playbook_actions DROP COLUMN opens, DROP COLUMN approvals_when, DROP COLUMN approvals_from;
ALTER TABLE incident_links DROP COLUMN action_id;
