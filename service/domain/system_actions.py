"""The actions of an account's own system that rules can use, by their names in rules."""

from datetime import timedelta

NOTIFICATIONS = frozenset({"customer", "employee"})
CREATE = "create_task"
# What has no fields of its own, and what of a task it changes.
BARE = {"complete_task": "done", "reopen_task": "done", "delete_task": "deleted"}
WRITES = frozenset({CREATE, "update_task", *BARE})
BUILT_IN = NOTIFICATIONS | WRITES

# How much a system's clock, or the zone of its times, may be wrong.
CLOCKS_DIFFER = timedelta(days=1)
# How long after a call with unknown outcome its task may still appear: systems are slow.
STILL_COMING = timedelta(minutes=5)
