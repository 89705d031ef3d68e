"""What a rule can have an account's own system do, by the names that rules give it."""

NOTIFICATIONS = frozenset({"customer", "employee"})
CREATE = "create_task"
WRITES = frozenset({CREATE, "update_task", "complete_task"})
BUILT_IN = NOTIFICATIONS | WRITES
