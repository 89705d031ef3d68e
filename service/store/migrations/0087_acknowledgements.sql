-- What people have acknowledged, until a worker has made an event of it.
CREATE TABLE acknowledgements (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account  text NOT NULL,
    task     text NOT NULL,
    name     text NOT NULL,
    email    text,
    at       timestamptz NOT NULL,
    UNIQUE (account, task)
);
