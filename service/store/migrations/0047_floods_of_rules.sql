-- The storm guard also counts what a rule sends to whomever, customers aside.
CREATE INDEX deliveries_flood_of_rule ON deliveries (account, rule, settled_at, next_attempt_at)
    WHERE flood <> account AND storm IS NULL;
