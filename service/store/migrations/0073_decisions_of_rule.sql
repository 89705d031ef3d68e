-- The screen of a rule shows its last decisions, and when it last matched.
CREATE INDEX decisions_of_rule ON decisions (rule, at, id);
