"""Which events undo which others: a message about an undone event may have to be retracted."""

from service.domain.model import Kind

# What each event takes back. A date that moves or a task that is assigned again takes nothing back:
# that is news of its own.
UNDONE = frozenset(
    {
        (Kind.COMPLETED, Kind.REOPENED),
        (Kind.CREATED, Kind.DELETED),
        (Kind.RESTORED, Kind.DELETED),
        (Kind.DELETED, Kind.RESTORED),
    }
)
UNDOING = frozenset(undoing for _, undoing in UNDONE)


def is_done_again(delivery: str, news: str) -> str:
    """Whether a recurring task was completed again between a delivery's event and the undoing one.

    A reopening then undoes the later completion only.
    """
    return f"""EXISTS (
        SELECT FROM events AS later
        WHERE later.account = {delivery}.account AND later.task = {delivery}.task
          AND later.kind = 'completed' AND later.id > {delivery}.event AND later.id < {news}.id)"""
