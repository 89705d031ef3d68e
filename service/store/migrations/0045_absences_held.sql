-- Since when the system says of a task that there is none, and is not believed yet, as it says so
-- of many at once; and which of these storms the operator was told of.
ALTER TABLE lookups ADD COLUMN absent_at timestamptz;
CREATE INDEX lookups_absent ON lookups (account) WHERE absent_at IS NOT NULL;
ALTER TABLE accounts ADD COLUMN absences_told_at timestamptz;
