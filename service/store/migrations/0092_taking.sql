-- Who takes a task, by their id in its system; null if they only take care of it.
ALTER TABLE acknowledgements ADD COLUMN person text;
