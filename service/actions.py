"""What a rule can have an account's own system do, by the names that rules give it."""

NOTIFICATIONS = frozenset({"customer", "employee"})
WRITES = frozenset({"create_task", "update_task", "complete_task"})
BUILT_IN = NOTIFICATIONS | WRITES
