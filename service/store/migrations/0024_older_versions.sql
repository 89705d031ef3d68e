-- When a task was first seen in an older version than the one that is known.
ALTER TABLE lookups ADD COLUMN older_at timestamptz;
