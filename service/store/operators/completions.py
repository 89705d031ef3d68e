"""Tasks that people complete: writes to the systems, in their name.

They count as the person's own, not as Taskbell's: rules act as if someone had done it there.
"""

from collections.abc import Collection
from datetime import datetime

from service.domain.actors import Actor
from service.domain.operators.buttons import ANSWER_KEY, COMPLETED
from service.store import Connection, Pool
from service.store.operators import answers, changes
from service.store.operators.answers import NotAnswered
from service.store.operators.changes import Action
from service.store.tasks import Key
from service.telemetry.visible import visible

_TOO_LATE = "someone has already asked for that"
_DONE_KEY = f"{ANSWER_KEY}done:"  # and the number of the message


async def complete(
    pool: Pool, key: Key, systems: Collection[str], now: datetime, *, by: Actor
) -> str:
    """Have a task completed in its system; returns the lane of the write.

    `systems` are those in which tasks can be completed. Raises NoSuchTask, or NotAnswered if the
    task is done, is being completed, or its system cannot do it.
    """
    async with pool.acquire() as connection, connection.transaction():
        await _begin(connection, key, systems, now, by)
        lane: str = await connection.fetchval(
            """
            INSERT INTO deliveries (account, task, event, rule, once_key, step, channel, target,
                lane, at_most_once, asked_for, state, reason, created_at, next_attempt_at)
            VALUES ($1, $2, (SELECT max(id) FROM events WHERE account = $1 AND task = $2), $3,
                $4 || gen_random_uuid(), 1, 'complete_task', '', 'writes:' || $1, false, true,
                'planned', 'asked for by ' || $5, $6, $6)
            RETURNING lane
            """,
            *key,
            COMPLETED,
            f"{ANSWER_KEY}complete:",
            by.name,
            now,
        )
        await changes.record(connection, by, Action.TASK_COMPLETED, "/".join(key), now)
        return lane


async def complete_told(
    pool: Pool, message: int, systems: Collection[str], now: datetime, *, by: Actor
) -> str:
    """Have the task of a message completed, once for each message; otherwise as `complete`."""
    async with pool.acquire() as connection, connection.transaction():
        await _begin(connection, await answers.task_of(connection, message), systems, now, by)
        lane: str | None = await connection.fetchval(
            """
            INSERT INTO deliveries (account, task, event, rule, once_key, step, channel, target,
                lane, at_most_once, text, asked_for, state, reason, created_at, next_attempt_at)
            SELECT account, task, event, rule, $2 || id, step, 'complete_task', '',
                'writes:' || account, false, '', true, 'planned', 'asked for by ' || $3, $4, $4
            FROM deliveries WHERE id = $1
            ON CONFLICT DO NOTHING RETURNING lane
            """,
            message,
            _DONE_KEY,
            by.name,
            now,
        )
        if lane is None:
            raise NotAnswered(await _why_not_again(connection, message))
        await changes.record(connection, by, Action.MESSAGE_ANSWERED, message, now, "done")
        return lane


async def _why_not_again(connection: Connection, message: int) -> str:
    """What became of the completion that a button of this message has asked for."""
    failed: str | None = await connection.fetchval(
        """
        SELECT done.reason FROM deliveries AS done JOIN deliveries AS told USING (rule, step)
        WHERE told.id = $1 AND done.once_key = $2 || told.id AND done.state = 'failed'
        """,
        message,
        _DONE_KEY,
    )
    if failed is None:
        return _TOO_LATE
    return f"someone has asked for that, and it failed: {failed.rstrip('.')}"


async def _begin(
    connection: Connection, key: Key, systems: Collection[str], now: datetime, by: Actor
) -> None:
    """Raise NoSuchTask or NotAnswered unless the task can be completed now; end its escalations.

    Of two who ask at once, the second waits, and then sees what the first has asked for. Somebody
    sees to the task, so nobody else has to be told, even if its system cannot be reached for a
    while. If the write fails for good, the operator hears of that.
    """
    await answers.lock_task(connection, key)
    task = await answers.demand_not_done(connection, key)
    if task.system not in systems:
        raise NotAnswered(f"Taskbell cannot complete tasks in {task.account}")
    if await answers.asked_for(connection, key, "complete_task") is not None:
        raise NotAnswered(_TOO_LATE)
    why = f"{visible(by.name)} is completing the task"
    await answers.end_escalations(connection, key, now, why)
