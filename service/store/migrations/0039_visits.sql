-- What a message tells a customer: of which visit, and for which day or time. The same is told once.
ALTER TABLE deliveries
    ADD COLUMN visit        text COLLATE "C",
    ADD COLUMN announced    text,
    ADD COLUMN even_if_told boolean NOT NULL DEFAULT false;
CREATE INDEX deliveries_visit ON deliveries (visit)
    WHERE visit IS NOT NULL AND state IN ('sending', 'sent', 'unknown');
