"""SQL for deliveries that are on hold: a storm or a person holds them."""

# A storm's wait for a person; those of a person's hold go out by themselves when it is over.
IN_STORM = "(storm IS NOT NULL AND hold IS NULL)"
ON_HOLD = "(state = 'held' AND (storm IS NOT NULL OR hold IS NOT NULL))"
