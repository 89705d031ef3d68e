-- When a silence was made, which may be long before it begins. An older version does not say so.
ALTER TABLE silences ADD made_at timestamptz NOT NULL DEFAULT now();
UPDATE silences SET made_at = created_at WHERE created_at < made_at;
