-- Who has signed in at the page. The key is a digest that only the session's holder can make.
CREATE TABLE sessions (
    key        bytea PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
