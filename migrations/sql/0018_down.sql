DROP INDEX notifications_in_review;
DROP INDEX action_runs_in_approval;
DROP INDEX action_runs_unavailable;
