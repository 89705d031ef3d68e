-- Since when a digest has been open, so that a clock that was ahead does not keep it open for as long.
ALTER TABLE digests ADD COLUMN opened_at timestamptz;    -- null: before this was kept
