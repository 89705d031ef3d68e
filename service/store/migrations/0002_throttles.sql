-- How fast each account's system may be called, shared by all processes and kept over a restart.
CREATE TABLE throttles (
    account         text PRIMARY KEY,
    next_call_at    timestamptz NOT NULL,   -- when the next token would be in an empty bucket
    failures        integer NOT NULL DEFAULT 0,     -- in a row
    refused_until   timestamptz
) WITH (fillfactor = 50);
