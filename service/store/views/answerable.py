"""A message whose receiver can answer it, with its task as it is now."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.domain.model import Task
from service.domain.operators.buttons import Button
from service.store import Pool
from service.store.tasks import Key, read_task


@dataclass(frozen=True, slots=True)
class AnswerableMessage:
    """The message and its buttons; `task` is None if it was deleted.

    `key` is the message's own secret. `is_waiting`: somebody has acknowledged the task, and a
    worker has yet to process it.
    """

    id: int
    key: str
    of: Key
    channel: str
    target: str
    text: str
    buttons: Sequence[Button]
    task: Task | None
    is_waiting: bool


async def read(pool: Pool, number: int) -> AnswerableMessage | None:
    """The message; None if there is none with buttons."""
    row = await pool.fetchrow(
        """
        SELECT deliveries.id, key::text, deliveries.account, task, channel, target, text, buttons,
               CASE WHEN deleted_at IS NULL THEN snapshot END AS snapshot,
               EXISTS (SELECT FROM acknowledgements
                       WHERE acknowledgements.account = deliveries.account
                         AND acknowledgements.task = deliveries.task) AS is_waiting
        FROM deliveries
        LEFT JOIN tasks ON tasks.account = deliveries.account AND tasks.id = task
        WHERE deliveries.id = $1 AND buttons IS NOT NULL
        """,
        number,
    )
    if row is None:
        return None
    return AnswerableMessage(
        id=row["id"],
        key=row["key"],
        of=(row["account"], row["task"]),
        channel=row["channel"],
        target=row["target"],
        text=row["text"],
        buttons=[Button(one) for one in row["buttons"]],
        task=read_task(row["snapshot"]),
        is_waiting=row["is_waiting"],
    )
