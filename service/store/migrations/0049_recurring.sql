-- Completions of a recurring task that were told: when, and the dates that each has moved it to.
ALTER TABLE tasks ADD COLUMN told jsonb;

ALTER TABLE announcements
    ADD COLUMN snapshot json,                               -- of a completion: the task it shows
    ADD COLUMN repeated boolean NOT NULL DEFAULT false;     -- its body had come before
