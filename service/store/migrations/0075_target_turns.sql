-- When each target of a lane may be sent to next. Each worker kept this for itself: two workers sent
-- twice as fast as a target takes messages, and not in order.
CREATE TABLE target_turns (
    lane   text NOT NULL,
    target text NOT NULL,
    turn   timestamptz NOT NULL,
    PRIMARY KEY (lane, target)
);
