-- A person holds all messages to customers for a while. They go out when that is over.
CREATE TABLE holds (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at      timestamptz NOT NULL,
    ends_at         timestamptz NOT NULL,
    reason          text NOT NULL,
    created_by      text NOT NULL,
    ended_by        text                    -- who released them before that
);
CREATE INDEX holds_ends ON holds (ends_at);

ALTER TABLE deliveries
    ADD COLUMN hold         bigint,         -- the hold that holds it
    ADD COLUMN silence      bigint;         -- the silence by which it was skipped
CREATE INDEX deliveries_hold ON deliveries (hold) WHERE hold IS NOT NULL;
CREATE INDEX deliveries_silence ON deliveries (silence) WHERE silence IS NOT NULL;
