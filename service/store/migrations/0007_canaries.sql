-- Tasks that the last complete scan listed: "there is no such task" counts only while the system
-- still shows one of them.
ALTER TABLE accounts
    ADD COLUMN canaries     text[] NOT NULL DEFAULT '{}',
    ADD COLUMN believed     boolean NOT NULL DEFAULT false;  -- somebody said that all are gone
