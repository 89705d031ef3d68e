-- How an account's webhooks do, how far its scan has come, since when it was resumed, and of which
-- failure the operator was told.
ALTER TABLE accounts
    ADD COLUMN webhook_at   timestamptz,    -- the last webhook that told of a task
    ADD COLUMN missed       bigint NOT NULL DEFAULT 0,  -- transitions that polls found instead
    ADD COLUMN missed_at    timestamptz,
    ADD COLUMN scan_read    integer,        -- tasks that the scan under way has read
    ADD COLUMN scan_total   integer,        -- and how many there are, where the system says so
    ADD COLUMN resumed_at   timestamptz,
    ADD COLUMN told_of      timestamptz;    -- the failing_since that the operator was told

-- null: a message to the operator about the account itself
ALTER TABLE deliveries ALTER COLUMN event DROP NOT NULL;
