-- What a rule with `enabled: shadow` would have sent. It keeps count of what it has announced for
-- itself, so that switching it on begins anew.
ALTER TABLE deliveries
    ADD COLUMN shadow       boolean NOT NULL DEFAULT false,
    ADD COLUMN on_fail      jsonb,          -- what goes out instead when it has failed for good
    ADD COLUMN limited_at   timestamptz;    -- when it was to go out, where its rule has a limit

DROP INDEX deliveries_once;
CREATE UNIQUE INDEX deliveries_once ON deliveries (rule, once_key, step, target)
    WHERE state NOT IN ('skipped', 'cancelled', 'expired') AND NOT shadow;
CREATE UNIQUE INDEX deliveries_on_trial ON deliveries (rule, once_key, step, target)
    WHERE state NOT IN ('cancelled', 'expired') AND shadow;
CREATE INDEX deliveries_limited ON deliveries (rule, limited_at) WHERE limited_at IS NOT NULL;
