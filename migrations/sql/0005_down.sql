DROP TRIGGER moved_due_work_wakes ON due_work;
DROP TRIGGER new_due_work_wakes ON due_work;
DROP FUNCTION wake_workers();
