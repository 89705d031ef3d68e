-- The history of what people do: each action on the page, over the API and at the command line, and
-- each sign-in. The address is empty at the command line.
CREATE TABLE changes (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL,
    by           text NOT NULL,
    from_address text NOT NULL,
    action       text NOT NULL,
    subject      text NOT NULL,
    detail       text NOT NULL
);
CREATE INDEX changes_at ON changes (at, id);
CREATE INDEX changes_by ON changes (by, at, id);
-- Whose session it is. Processes of the version before know the admin token only.
ALTER TABLE sessions ADD COLUMN name text NOT NULL DEFAULT 'the admin token';
