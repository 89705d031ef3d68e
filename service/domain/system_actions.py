"""The actions of an account's own system that rules can use, by their names in rules."""

from datetime import timedelta

NOTIFICATIONS = frozenset({"customer", "employee"})
CREATE = "create_task"
# What has no fields of its own, and what of a task it changes.
BARE = {"complete_task": "done", "reopen_task": "done", "delete_task": "deleted"}
WRITES = frozenset({CREATE, "update_task", *BARE})
BUILT_IN = NOTIFICATIONS | WRITES

# A notification has no text here: the system writes it.
UNSEEN_TEXT = "The system writes the text itself, so Taskbell cannot show it."
_SAYS = {"details": "the details of the visit"}

# How much a system's clock, or the zone of its times, may be wrong.
CLOCKS_DIFFER = timedelta(days=1)
# How long after a call with unknown outcome its task may still appear: systems are slow.
STILL_COMING = timedelta(minutes=5)


def written_to(account: str, channel: str, target: str) -> str:
    """The account whose system is used: the target of a write, if it has one, else its own."""
    return target if channel in WRITES and target else account


def in_words(channel: str, notification: str) -> str:
    """A notification, such as `customer: on the way`."""
    says = _SAYS.get(notification, notification.replace("_", " "))
    return f"{channel}: {says}" if says else channel
