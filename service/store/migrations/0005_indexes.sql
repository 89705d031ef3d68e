-- Indexes as the statements of today ask for them: an undone message may also be on its way, and a
-- task that is being made is looked for before its id is known.
DROP INDEX deliveries_undo;
CREATE INDEX deliveries_undo ON deliveries (account, task) WHERE on_undo IS NOT NULL;
DROP INDEX deliveries_making;
CREATE INDEX deliveries_making ON deliveries (account)
    WHERE channel = 'create_task' AND state IN ('planned', 'sending');
