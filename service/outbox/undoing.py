"""What of a task is undone by what: a message about it may have to be taken back."""

from service.domain.model import Kind

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
    """Whether a recurring task was completed once more between a delivery's event and the news.

    What reopens it then undoes that completion, and none before.
    """
    return f"""EXISTS (
        SELECT FROM events AS later
        WHERE later.account = {delivery}.account AND later.task = {delivery}.task
          AND later.kind = 'completed' AND later.id > {delivery}.event AND later.id < {news}.id)"""
