-- Channels of which the operator was told that they fail, and which work again: to be told as well.
CREATE TABLE lane_recoveries (
    lane  text NOT NULL,
    since timestamptz NOT NULL,
    ended timestamptz NOT NULL,
    PRIMARY KEY (lane, since)
);
