ALTER TABLE risks DROP COLUMN late_review_announced_at;
