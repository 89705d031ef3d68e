-- When the rules were asked about an event, and which: so that it can be decided once more the same.
ALTER TABLE events
    ADD COLUMN decided_at       timestamptz,
    ADD COLUMN rules_version    text;
CREATE INDEX events_decided ON events (decided_at, id);
