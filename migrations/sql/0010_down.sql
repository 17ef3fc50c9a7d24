ALTER TABLE incidents DROP COLUMN next_breach_at, DROP COLUMN next_at_risk_at;
