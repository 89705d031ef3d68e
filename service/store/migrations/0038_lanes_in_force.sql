-- The lanes that each worker process has in its configuration: what is pending on another one, or
-- for an account that no process has, is given up.
CREATE TABLE lanes (
    name            text NOT NULL,          -- a channel, or account:NAME
    process         text NOT NULL,
    wanted_until    timestamptz NOT NULL,
    PRIMARY KEY (process, name)
);
