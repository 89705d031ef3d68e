-- What operators have switched rules to, whatever the configuration says. Every switch is kept; the
-- last one of a rule counts. With 'file' the rule follows the configuration again.
CREATE TABLE rule_overrides (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule   text NOT NULL,
    mode   text NOT NULL CHECK (mode IN ('on', 'trial', 'off', 'file')),
    by     text NOT NULL,
    at     timestamptz NOT NULL,
    reason text
);
CREATE INDEX rule_overrides_of_rule ON rule_overrides (rule, id DESC);
