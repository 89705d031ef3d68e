-- Where a trace goes on that began with a webhook: a W3C traceparent, or null where none is made.
ALTER TABLE receipts ADD COLUMN trace text;
ALTER TABLE events ADD COLUMN trace text;
