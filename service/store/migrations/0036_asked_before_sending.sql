-- A message to a customer is sent only if the system, asked just before, still says what it rests on.
ALTER TABLE deliveries
    ADD COLUMN asking       boolean NOT NULL DEFAULT false, -- claimed, and nothing is sent yet
    ADD COLUMN unread_since timestamptz;    -- since when the system could not be asked
