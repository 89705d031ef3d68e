-- What customers chose: no messages, or messages after all. The latest choice for each key counts; the
-- earlier ones are in the history of changes.
CREATE TABLE contact_choices (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind            text NOT NULL,          -- customer, email or phone
    account         text NOT NULL,          -- of a customer; '' for an address or a number
    value           text NOT NULL,          -- in one notation (service/domain/contacts.py)
    lookup          text NOT NULL,          -- of a phone number the last digits
    wants           boolean NOT NULL,
    at              timestamptz NOT NULL,
    made_by         text NOT NULL,
    made_through    text NOT NULL,          -- page, cli, api or link
    note            text NOT NULL,
    UNIQUE (kind, account, value)
);
CREATE INDEX contact_choices_lookup ON contact_choices (lookup, kind, account);

-- The messages that customers got lately, if `contacts` has `at_most`. Only today's count.
CREATE TABLE contacted (
    delivery        bigint NOT NULL,
    kind            text NOT NULL,
    account         text NOT NULL,
    value           text NOT NULL,
    lookup          text NOT NULL,
    at              timestamptz NOT NULL,
    PRIMARY KEY (lookup, kind, account, value, delivery)
);
CREATE INDEX contacted_at ON contacted (at);
