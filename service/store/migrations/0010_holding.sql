-- What holds messages back on purpose: silences, muting, approvals, and the storm guard.
CREATE TABLE silences (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule            text,                   -- what is null is not asked for
    person          text,
    customer        text,
    project         text,
    account         text,
    created_at      timestamptz NOT NULL,
    ends_at         timestamptz NOT NULL,
    reason          text NOT NULL,
    created_by      text NOT NULL
);
CREATE INDEX silences_ends ON silences (ends_at);

-- One burst of customer messages in an account, until somebody says what becomes of them.
CREATE TABLE storms (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account         text NOT NULL,
    reason          text NOT NULL,
    began_at        timestamptz NOT NULL,
    told_at         timestamptz,            -- when the operator was asked
    ended_at        timestamptz,
    ended_by        text
);
CREATE UNIQUE INDEX storms_open ON storms (account) WHERE ended_at IS NULL;

ALTER TABLE deliveries
    ADD COLUMN mutes        text[],         -- the keys under which it mutes others
    ADD COLUMN muted_by     text,           -- the key that mutes it
    ADD COLUMN approver     text,           -- who has to approve it first, such as slack:#dispatch
    ADD COLUMN approve_by   timestamptz,
    ADD COLUMN send_at      timestamptz,    -- when it goes out, once it is approved
    ADD COLUMN approved_by  text,
    ADD COLUMN approves     bigint,         -- the delivery that this message asks an approver about
    ADD COLUMN storm        bigint;         -- the storm that has held it
CREATE INDEX deliveries_mutes ON deliveries USING gin (mutes) WHERE mutes IS NOT NULL;
CREATE INDEX deliveries_storm ON deliveries (storm) WHERE storm IS NOT NULL;
CREATE INDEX deliveries_customer ON deliveries (account, settled_at)
    WHERE channel = 'customer' AND state IN ('sent', 'unknown');
