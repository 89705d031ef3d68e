-- Tables by the names that the code has for what they hold. Workers of the version before go on
-- while they are replaced: they find the old names as views, through which they read and write.
ALTER TABLE settling RENAME TO waits;
ALTER TABLE watches RENAME TO alarm_sets;
ALTER TABLE throttles RENAME TO rate_limits;
CREATE VIEW settling AS SELECT * FROM waits;
CREATE VIEW watches AS SELECT * FROM alarm_sets;
CREATE VIEW throttles AS SELECT * FROM rate_limits;
