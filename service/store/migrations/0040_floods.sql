-- The storm guard holds every flood that reaches people, not only an account's customer messages.
ALTER TABLE deliveries ADD COLUMN flood text COLLATE "C";    -- null: only machines read it
UPDATE deliveries SET flood = account WHERE channel = 'customer';
DROP INDEX deliveries_customer;
CREATE INDEX deliveries_flood ON deliveries (flood, settled_at, next_attempt_at)
    WHERE flood IS NOT NULL AND storm IS NULL;

ALTER TABLE storms
    ADD COLUMN flood        text,
    ADD COLUMN rule         text,           -- null: the account's customers
    ADD COLUMN receiver     text;
UPDATE storms SET flood = account;
DROP INDEX storms_open;
CREATE UNIQUE INDEX storms_open ON storms (flood) WHERE ended_at IS NULL;
CREATE INDEX storms_ended ON storms (flood, ended_at);

-- Which failures the operator was told of, and when last.
ALTER TABLE deliveries ADD COLUMN operator_told_at timestamptz;
UPDATE deliveries SET operator_told_at = settled_at
WHERE state IN ('failed', 'unknown') AND acknowledged_at IS NULL;
CREATE TABLE operator (
    told_at         timestamptz             -- one row: the last message about failures
);
INSERT INTO operator VALUES (NULL);
