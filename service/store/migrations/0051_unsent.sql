-- An attempt that came to nothing does not count: how often that was tells it from the one after it.
ALTER TABLE deliveries ADD COLUMN unsent integer NOT NULL DEFAULT 0;
