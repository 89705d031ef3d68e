"""Deliveries that end before they go out, because of what has happened to their task."""

from collections.abc import Container, Iterable, Sequence
from datetime import datetime

from service.domain.model import Event, Kind
from service.store import Connection
from service.store.tasks import Key

# What of a task is undone by what: a message about it may have to be taken back.
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


async def withdraw(connection: Connection, events: Sequence[Event], now: datetime) -> None:
    """Cancel what is not sent yet and what one of these events has made pointless.

    What is to be rewritten when it is undone, and may have arrived by an attempt whose answer
    was lost, is left to `planning.take_back`.
    """
    told = [(event, word) for event in events for word in event.words]
    await connection.execute(
        f"""
        UPDATE deliveries SET state = 'cancelled', settled_at = $1, next_attempt_at = NULL,
            reason = 'cancelled: the task was ' || first.kind
        FROM (
            SELECT DISTINCT ON (deliveries.id) deliveries.id, news.kind
            FROM unnest($2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[])
                   AS news (account, task, id, kind, word)
            JOIN deliveries ON deliveries.account = news.account AND deliveries.task = news.task
            WHERE state IN ('planned', 'held') AND news.word = ANY (withdraw_on)
              AND deliveries.event < news.id AND (on_undo IS NULL OR attempts = 0)
              AND NOT (news.kind = 'reopened' AND {is_done_again("deliveries", "news")})
            ORDER BY deliveries.id, news.id) AS first
        WHERE deliveries.id = first.id AND state IN ('planned', 'held')
          AND (on_undo IS NULL OR attempts = 0)
        """,
        now,
        [event.account for event, _ in told],
        [event.task_id for event, _ in told],
        [event.id for event, _ in told],
        [event.kind for event, _ in told],
        [word for _, word in told],
    )


async def pending(
    connection: Connection, keys: Iterable[Key], rules: Container[str]
) -> list[tuple[int, str, str, str]]:
    """What these rules have not sent yet about these tasks: (id, rule, account, task).

    It is locked. The rewriting of a message that is out is not among it.
    """
    wanted = list(keys)
    columns = [account for account, _ in wanted], [task for _, task in wanted]
    found = await connection.fetch(
        """
        SELECT DISTINCT rule FROM deliveries
        JOIN unnest($1::text[], $2::text[]) AS wanted (account, task) USING (account, task)
        WHERE state IN ('planned', 'held') AND updates IS NULL
        """,
        *columns,
    )
    # Not asked for by all their names: there may be thousands, most of which wait for nothing.
    waiting = [row["rule"] for row in found if row["rule"] in rules]
    if not waiting:
        return []
    rows = await connection.fetch(
        """
        SELECT id, rule, account, task FROM deliveries
        JOIN unnest($1::text[], $2::text[]) AS wanted (account, task) USING (account, task)
        WHERE state IN ('planned', 'held') AND rule = ANY ($3) AND updates IS NULL
        ORDER BY id FOR UPDATE OF deliveries
        """,
        *columns,
        waiting,
    )
    return [tuple(row) for row in rows]


async def cancel_all(
    connection: Connection, ids: Sequence[int], reason: str, now: datetime
) -> None:
    """Cancel deliveries that this transaction has locked."""
    await connection.execute(
        """
        UPDATE deliveries SET state = 'cancelled', reason = $2, settled_at = $3,
            next_attempt_at = NULL
        WHERE id = ANY ($1) AND state IN ('planned', 'held')
        """,
        ids,
        reason,
        now,
    )
