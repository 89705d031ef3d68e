-- How many tasks of an account came into sight at once that had been there before, and were taken up
-- without a word; when; and whether the operator was told.
ALTER TABLE accounts
    ADD COLUMN appeared          integer NOT NULL DEFAULT 0,
    ADD COLUMN appeared_at       timestamptz,
    ADD COLUMN appeared_told_at  timestamptz;
