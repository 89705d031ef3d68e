-- Each attempt to send a delivery. It is deleted with its delivery (service/maintenance/prune.py): a
-- foreign key would look that up for each row that the sender adds.
CREATE TABLE attempts (
    delivery        bigint NOT NULL,
    number          integer NOT NULL,       -- of all attempts; also those that sent nothing count
    began_at        timestamptz NOT NULL,
    took_ms         integer,                -- unknown if the process died meanwhile
    outcome         text NOT NULL,
    status          integer,                -- of the answer, if there was one
    error           text,
    PRIMARY KEY (delivery, number)
);

-- A person wants it sent now: its rule's opening hours do not postpone it any more.
ALTER TABLE deliveries ADD COLUMN at_once boolean NOT NULL DEFAULT false;
