-- Messages are claimed in the order (next_attempt_at, id). Without the id in this index PostgreSQL may
-- take that of all lanes instead, and pass over 50,000 messages that wait for another lane.
DROP INDEX deliveries_due;
CREATE INDEX deliveries_due ON deliveries (lane, next_attempt_at, id) WHERE state IN ('planned', 'held');
