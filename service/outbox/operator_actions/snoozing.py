"""Has a message that was sent said again later, to remind the same people of its task.

That is what the button `snooze` of a message does. Here it is done for them, also to messages
without buttons.
"""

from datetime import datetime, timedelta

from service.clock import Clock
from service.domain.actors import Actor
from service.domain.system_actions import BUILT_IN
from service.outbox import NoSuchDelivery, NotPossible
from service.rules.recipients import reaches_customer
from service.store import Connection, Pool
from service.store.deliveries import TAKEN_BACK
from service.store.operators import answers
from service.store.operators.answers import SNOOZED_KEY, NoSuchTask, NotAnswered
from service.store.tasks import read_task

LONGEST = timedelta(days=30)


async def snooze(pool: Pool, clock: Clock, delivery: int, until: datetime, *, by: Actor) -> int:
    """Have a message sent again then (UTC), unless its task changes; returns the new one's number.

    Raises NoSuchDelivery or NotPossible.
    """
    now = clock.now()
    if not now < until <= now + LONGEST:
        raise NotPossible(f"the time has passed, or is more than {LONGEST.days} days ahead")
    async with pool.acquire() as connection, connection.transaction():
        why = await refusal(connection, delivery)
        if why is not None:
            raise NotPossible(f"delivery {delivery} cannot be snoozed: {why}")
        try:
            return await answers.say_again(connection, delivery, until, now, by=by)
        except NotAnswered as error:
            raise NotPossible(str(error)) from error


async def refusal(connection: Connection, delivery: int) -> str | None:
    """Why a message cannot be sent again later; None if it can. Raises NoSuchDelivery."""
    row = await connection.fetchrow(
        f"""
        SELECT deliveries.account, deliveries.task, channel, target,
            coalesce(after, before) AS told,
            CASE
                WHEN shadow THEN 'its rule is on trial'
                WHEN state <> 'sent' THEN 'it is ' || state
                WHEN {TAKEN_BACK} THEN 'it was withdrawn after sending'
                WHEN updates IS NOT NULL OR approves IS NOT NULL THEN 'it is about another message'
                WHEN event IS NULL OR deliveries.task = '' THEN 'it is not about one task'
                WHEN channel = ANY ($2) THEN 'the system has written it'
                WHEN EXISTS (
                    SELECT FROM deliveries AS again
                    WHERE again.rule = deliveries.rule AND again.once_key = $3 || deliveries.id
                      AND again.state NOT IN ('skipped', 'cancelled', 'expired')
                      AND NOT again.shadow)
                THEN 'it was already snoozed' END AS why
        FROM deliveries LEFT JOIN events ON events.id = event WHERE deliveries.id = $1
        """,
        delivery,
        sorted(BUILT_IN),
        SNOOZED_KEY,
    )
    if row is None:
        raise NoSuchDelivery(f"there is no delivery {delivery}")
    if row["why"] is not None:
        return str(row["why"])
    if reaches_customer(read_task(row["told"]), row["channel"], row["target"]):
        return "it went to a customer"
    try:
        await answers.demand_open(connection, (row["account"], row["task"]))
    except (NoSuchTask, NotAnswered) as error:
        return str(error)
    return None
