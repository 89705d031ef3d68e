-- The log of webhooks by account, and by what became of them: each part of it is short, and its
-- newest are found without reading the others.
CREATE INDEX receipts_log ON receipts (account, id);
CREATE INDEX receipts_unread ON receipts (account, id)
    WHERE state = 'poison' AND acknowledged_at IS NULL;
CREATE INDEX receipts_ignored ON receipts (id)
    WHERE state = 'poison' AND acknowledged_at IS NOT NULL;
