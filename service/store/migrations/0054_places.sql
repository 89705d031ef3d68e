-- Behind how many others of the same webhook a task is read: each counts as a second, so that a
-- webhook of many tasks keeps no later one waiting.
ALTER TABLE lookups ADD COLUMN place integer NOT NULL DEFAULT 0;
