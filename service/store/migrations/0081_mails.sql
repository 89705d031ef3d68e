-- Which parts of a text its rule has written (start and end of each, in characters): only there may be
-- markup. NULL: none, as in messages of an older version, whose texts are sent as they are.
ALTER TABLE deliveries ADD COLUMN markup integer[];
ALTER TABLE deliveries ADD COLUMN attach text;  -- what a mail has with it
