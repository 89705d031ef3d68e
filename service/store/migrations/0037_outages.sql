-- Whether somebody has been looking after an account, and since when its alarms wait to be read anew.
ALTER TABLE accounts
    ADD COLUMN alive_at     timestamptz,    -- when a worker last said that it looks after it
    ADD COLUMN alive_until  timestamptz,    -- until when that is taken to be so
    ADD COLUMN stale_since  timestamptz;    -- what is known may have changed unseen since before then

-- One row for each time that no worker was there, until the operator is told of it and longer.
CREATE TABLE outages (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    began_at    timestamptz NOT NULL,
    ended_at    timestamptz NOT NULL,
    accounts    text[] NOT NULL,
    told_at     timestamptz
);
