-- What the Messages screen looks through, newest first: everything, or by one thing it is asked for.
DROP INDEX deliveries_created;
CREATE INDEX deliveries_created ON deliveries (created_at, id);
CREATE INDEX deliveries_of_account ON deliveries (account, created_at, id);
CREATE INDEX deliveries_of_task ON deliveries (account, task, created_at, id);
CREATE INDEX deliveries_of_rule ON deliveries (rule, created_at, id);
CREATE INDEX deliveries_of_channel ON deliveries (channel, created_at, id);
CREATE INDEX deliveries_to ON deliveries (left(lower(target), 200), created_at, id);
CREATE INDEX deliveries_pending ON deliveries (created_at, id)
    WHERE state IN ('planned', 'held', 'sending');
CREATE INDEX deliveries_unsent ON deliveries (state, created_at, id)
    WHERE state NOT IN ('sent', 'planned', 'held', 'sending');
