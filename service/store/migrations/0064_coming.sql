-- What is coming up is read in the order in which it goes out, whatever its lane.
CREATE INDEX deliveries_coming ON deliveries (next_attempt_at, id) WHERE state IN ('planned', 'held');
