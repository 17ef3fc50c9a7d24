ALTER TABLE risks ADD COLUMN late_review_announced_at timestamptz;
