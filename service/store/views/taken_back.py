"""Messages that were removed after sending, because their cause was undone (`on_undo`)."""

# Columns for a statement over `deliveries`. A message and its removal are two deliveries, the one
# marked, the other named after it (`service.outbox.repository`): both are found by an index.
TAKEN_BACK = """
    (deliveries.state = 'sent' AND (
        deliveries.on_undo = 'retract' AND deliveries.once_key LIKE '%/undone:%' AND EXISTS (
            SELECT FROM deliveries AS removal WHERE removal.rule = deliveries.rule
            AND removal.once_key = 'undo:' || deliveries.id AND removal.state = 'sent'
            AND NOT removal.shadow)
        OR EXISTS (
            SELECT FROM deliveries AS removed WHERE removed.id = deliveries.updates
            AND removed.on_undo = 'retract')))
"""
REASON = f"CASE WHEN {TAKEN_BACK} THEN 'withdrawn after sending' ELSE deliveries.reason END"
