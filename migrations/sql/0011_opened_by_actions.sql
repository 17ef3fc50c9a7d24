ALTER TABLE incident_links ADD COLUMN action_id text;
ALTER TABLE playbook_actions ADD COLUMN approvals_from text[] NOT NULL DEFAULT '{}',
    ADD COLUMN approvals_when text[] NOT NULL DEFAULT '{}', ADD COLUMN opens json;
