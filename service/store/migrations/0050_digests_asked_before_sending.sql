-- A digest that reaches a customer is sent only if what it tells of each of its tasks still stands.
ALTER TABLE deliveries ADD COLUMN tells_of json;    -- its key, and the tasks as they were told
