-- What webhooks said has happened to tasks, and signals about tasks that are not known yet, until
-- their system shows it or has been asked often enough.
CREATE TABLE announcements (
    account         text NOT NULL,
    task            text NOT NULL,
    receipt         bigint NOT NULL,
    kind            text NOT NULL,          -- created, completed, changed, deleted; or signal
    signal          text NOT NULL DEFAULT '',
    content         json,                   -- of a change: what the webhook had of the task
    at              timestamptz NOT NULL,   -- when the webhook came
    PRIMARY KEY (account, task, receipt, kind, signal)
);

-- How often a task was read since it was last asked for, without showing what was announced.
ALTER TABLE lookups ADD COLUMN looks integer NOT NULL DEFAULT 0;
