"""What a rule can have an account's own system do, by the names that rules give it."""

from datetime import timedelta

NOTIFICATIONS = frozenset({"customer", "employee"})
CREATE = "create_task"
WRITES = frozenset({CREATE, "update_task", "complete_task"})
BUILT_IN = NOTIFICATIONS | WRITES

# By so much a system's clock, or the zone in which it tells times, may be wrong.
CLOCKS_DIFFER = timedelta(days=1)
# So long after a call of which nobody knows the outcome a task may still turn up: systems are slow.
STILL_COMING = timedelta(minutes=5)
