-- A task can be created in another account than that of its event: the lane says in which.
CREATE INDEX deliveries_made_in ON deliveries (lane, (receipt ->> 'task')) WHERE channel = 'create_task';
CREATE INDEX deliveries_making_in ON deliveries (lane, (fields ->> 'title'))
    WHERE channel = 'create_task' AND state IN ('planned', 'held', 'sending');
