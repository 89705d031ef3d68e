-- What of each task could not be read, and for each account how much that is.
ALTER TABLE tasks ADD COLUMN unread jsonb;  -- the system's fields, each with its value
CREATE INDEX tasks_unread ON tasks (account) WHERE unread IS NOT NULL;

ALTER TABLE accounts
    ADD COLUMN unread           integer NOT NULL DEFAULT 0,
    ADD COLUMN unread_rows      integer NOT NULL DEFAULT 0, -- of them in the list, and no task
    ADD COLUMN unread_example   text,
    ADD COLUMN unread_at        timestamptz;                -- since when there are any

-- 9999-12-31 stands for no date, and PostgreSQL took it for infinity, on which every read failed.
UPDATE tasks SET version = NULL WHERE NOT isfinite(version) OR version < '1971-01-01';
UPDATE tasks SET next_alarm = NULL, watch = NULL WHERE NOT isfinite(next_alarm);
UPDATE tasks SET observed_at = now() WHERE NOT isfinite(observed_at);
UPDATE tasks SET fingerprint = NULL, snapshot = (
    SELECT json_object_agg(key, CASE WHEN key IN ('due', 'start', 'end', 'created_at', 'updated_at',
            'completed_at') AND value #>> '{}' ~ '^(0|19[0-6]|1970|9)'
        THEN 'null'::json ELSE value END)
    FROM json_each(snapshot))
WHERE snapshot::text ~ '"(due|start|end|created_at|updated_at|completed_at)":"(0|19[0-6]|1970|9)';
