-- When the system says that the last reported completion of a recurring task was, if it did.
ALTER TABLE tasks ADD COLUMN told_done_at timestamptz;
