-- The time zone of each account in the configuration in use, for commands that read no configuration.
-- It is unknown until a process of this version has started.
ALTER TABLE accounts ADD COLUMN time_zone text;
