-- A message is written three times: planned, taken by a worker, ended. Each time, every index is
-- written that holds it. So what ended messages are searched by is indexed once, when they end; the
-- pending ones are few, and are read in the order of deliveries_pending.
DROP INDEX deliveries_of_account;
DROP INDEX deliveries_of_task;
DROP INDEX deliveries_of_rule;
DROP INDEX deliveries_of_channel;
DROP INDEX deliveries_to;
CREATE INDEX deliveries_of_account ON deliveries (account, created_at, id)
    WHERE state NOT IN ('planned', 'held', 'sending');
CREATE INDEX deliveries_of_task ON deliveries (account, task, created_at, id)
    WHERE state NOT IN ('planned', 'held', 'sending');
CREATE INDEX deliveries_of_rule ON deliveries (rule, created_at, id)
    WHERE state NOT IN ('planned', 'held', 'sending');
CREATE INDEX deliveries_of_channel ON deliveries (channel, created_at, id)
    WHERE state NOT IN ('planned', 'held', 'sending');
CREATE INDEX deliveries_to ON deliveries (left(lower(target), 200), created_at, id)
    WHERE state NOT IN ('planned', 'held', 'sending');
