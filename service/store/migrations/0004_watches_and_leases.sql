-- What the clock watches in an account: its alarms, and the zone in which their times of day are
-- told. A task remembers under which watch its next alarm was set, so that after a change it can
-- be told, task by task, what is still to be set anew.
CREATE TABLE watches (
    id              text COLLATE "C" PRIMARY KEY,   -- a digest of the rest
    zone            text,                   -- null: the account's own, which was not written down
    alarms          jsonb NOT NULL          -- [[kind, field, offset in seconds, time of day], …]
);
INSERT INTO watches (id, alarms)
    SELECT 'before', coalesce(jsonb_agg(jsonb_build_array(
        kind, field, extract(epoch FROM "offset"), to_char(at, 'HH24:MI'))), '[]') FROM alarms;
DROP TABLE alarms;

ALTER TABLE tasks ADD COLUMN watch text COLLATE "C" DEFAULT 'before';  -- null: nothing is watched
DROP INDEX tasks_alarm;
CREATE INDEX tasks_watched ON tasks (account, watch, next_alarm) WHERE watch IS NOT NULL;

ALTER TABLE accounts
    ADD COLUMN watch            text COLLATE "C",   -- the one in force
    ADD COLUMN watched_since    timestamptz,
    ADD COLUMN watched_until    timestamptz;        -- somebody has it in their configuration

ALTER TABLE accounts
    ADD COLUMN lease_holder     uuid,       -- of the poll that is going on; a late one is not heard
    ADD COLUMN scan_asked_at    timestamptz,    -- somebody wants everything read
    ADD COLUMN warning          text;       -- what the last complete scan could not read

-- The webhooks whose answer a lookup is, to be told when there is no such task.
ALTER TABLE lookups ADD COLUMN receipts bigint[] NOT NULL DEFAULT '{}';

CREATE INDEX tasks_gone ON tasks (deleted_at) WHERE deleted_at IS NOT NULL;
