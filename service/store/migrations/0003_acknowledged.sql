-- When a person left a failure as it is: it keeps its state, its reason says who, and it asks
-- nobody any more.

ALTER TABLE deliveries ADD acknowledged_at timestamptz;
ALTER TABLE receipts ADD acknowledged_at timestamptz;

DROP INDEX deliveries_trouble;
CREATE INDEX deliveries_trouble ON deliveries (id)
    WHERE state IN ('failed', 'unknown') AND acknowledged_at IS NULL;
DROP INDEX receipts_poison;
CREATE INDEX receipts_poison ON receipts (id) WHERE state = 'poison' AND acknowledged_at IS NULL;
