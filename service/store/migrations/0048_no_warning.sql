-- What could not be read stands in unread and unread_example; this was left over from before.
ALTER TABLE accounts DROP COLUMN warning;
