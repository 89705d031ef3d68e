-- Digests that are open: what a rule has gathered under a key, until it tells of all at once.
CREATE TABLE digests (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule            text NOT NULL,
    account         text NOT NULL,
    key             text NOT NULL,
    event           bigint NOT NULL,        -- the one that opened it, of this kind and cause
    kind            text NOT NULL,
    cause           text NOT NULL,
    size            integer NOT NULL DEFAULT 0,
    is_full         boolean NOT NULL DEFAULT false,     -- what comes now opens another one
    closes_at       timestamptz NOT NULL
);
CREATE UNIQUE INDEX digests_open ON digests (rule, account, key) WHERE NOT is_full;
CREATE INDEX digests_due ON digests (closes_at);

CREATE TABLE digest_members (
    digest          bigint NOT NULL REFERENCES digests ON DELETE CASCADE,
    task            text NOT NULL,
    event           bigint NOT NULL,
    anchor          timestamptz,            -- the date that the alarm was counted from
    PRIMARY KEY (digest, task)
);

-- When the rules by a schedule come next, in each account. Another cron or zone begins anew.
CREATE TABLE schedules (
    rule            text NOT NULL,
    account         text NOT NULL,
    cron            text NOT NULL,
    zone            text NOT NULL,
    next_at         timestamptz,            -- null: never again
    PRIMARY KEY (rule, account)
);
CREATE INDEX schedules_due ON schedules (next_at);
