-- Who reads a task just now, and until when that counts without a sign of life. When it was due
-- stays in next_attempt_at, so that what is stranded can be seen to wait.
ALTER TABLE lookups
    ADD COLUMN lease_holder uuid,
    ADD COLUMN lease_until  timestamptz;
