-- The last try of each rule on the past, which every web process shows.
CREATE TABLE rule_tries (
    rule            text PRIMARY KEY,
    version         text NOT NULL,          -- of the rules that it was tried with
    began_at        timestamptz NOT NULL,
    alive_at        timestamptz NOT NULL,   -- when the process that works on it last said so
    share           integer NOT NULL,       -- percent of it that are done
    result          text,                   -- JSON
    why_not         text                    -- why there is no result
);
CREATE INDEX rule_tries_began ON rule_tries (began_at);
