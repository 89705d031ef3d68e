-- A lane in which everything fails, for instance because a mail server is down: it is tried from time
-- to time by one worker, and not once for each message.
CREATE TABLE lane_outages (
    lane     text PRIMARY KEY,
    since    timestamptz NOT NULL,
    reason   text NOT NULL,
    probe_at timestamptz NOT NULL,
    probes   integer NOT NULL,
    told_at  timestamptz
);
-- What waits to be tried again, which is due at once when its lane works again.
CREATE INDEX deliveries_tried ON deliveries (lane, next_attempt_at) WHERE state = 'planned' AND attempts > 0;
