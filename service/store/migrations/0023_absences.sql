-- When a task that no list shows was last asked for by its id, and how far back an incremental read
-- of an account looks behind what was read before.
ALTER TABLE tasks ADD COLUMN unlisted_at timestamptz;
CREATE INDEX tasks_unlisted ON tasks (account) WHERE unlisted_at IS NOT NULL;
ALTER TABLE accounts ADD COLUMN overlap interval NOT NULL DEFAULT '2 minutes';
