"""A person switches a rule: stores the override, and ends the rule's pending work.

What a rule decided in its earlier mode is not sent: not while the rule is off or on trial, and not
later, when it is on again.
"""

from service.domain.operators.overrides import Mode
from service.errors import TaskbellError
from service.rules.verdict import Outcome
from service.store import Connection, Pool
from service.store.operators import changes, rule_overrides
from service.store.operators.changes import Action
from service.store.operators.rule_overrides import Switch


class NoOverride(TaskbellError):
    """The rule follows the configuration already."""


async def switch(pool: Pool, rule: str, written: Mode | None, done: Switch) -> None:
    """Switch a rule, whose mode in the file is `written` (None: it is not in the file).

    Its messages that are not sent yet end, if it planned them in another mode; if it is off, or was
    on trial and is not any more, its waits and digests end as well. Not affected are updates of
    messages that were sent, and what a person asked for. Raises NoOverride if it is to follow the
    file and does already.
    """
    async with pool.acquire() as connection, connection.transaction():
        override = (await rule_overrides.read(connection)).get(rule)
        if done.mode is None and override is None:
            raise NoOverride(f"the rule {rule} follows the configuration already")
        await rule_overrides.add(connection, rule, done)
        await changes.record(connection, done.by, Action.RULE_SWITCHED, rule, done.at, done.said)
        before = written if override is None else override.mode
        mode = done.mode or written or Mode.OFF
        await _end_messages(connection, rule, mode, done)
        if mode is Mode.OFF or (before is Mode.TRIAL and mode is Mode.ON):
            await _end_waits(connection, rule, done)


async def _end_messages(connection: Connection, rule: str, mode: Mode, done: Switch) -> None:
    """Cancel pending messages of other modes, locked in one order to avoid deadlocks."""
    await connection.execute(
        """
        UPDATE deliveries SET state = 'cancelled', reason = $3, settled_at = $4,
            next_attempt_at = NULL
        WHERE id IN (
            SELECT id FROM deliveries
            WHERE rule = $1 AND state IN ('planned', 'held')
              AND updates IS NULL AND event IS NOT NULL AND NOT asked_for
              AND ($2 = 'off' OR shadow <> ($2 = 'trial'))
            ORDER BY id FOR UPDATE)
        """,
        rule,
        mode,
        f"cancelled: the rule was {done.said}",
        done.at,
    )


async def _end_waits(connection: Connection, rule: str, done: Switch) -> None:
    """End the waits and digests of a rule, with a decision that says why."""
    await connection.execute(
        """
        WITH waited AS (DELETE FROM waits WHERE rule = $1 RETURNING event),
             gathered AS (DELETE FROM digests WHERE rule = $1 RETURNING event)
        INSERT INTO decisions (event, rule, rules_version, outcome, reason, at)
        SELECT event, $1,
            coalesce((SELECT version FROM rulesets ORDER BY loaded_at DESC, version LIMIT 1), ''),
            $2, $3, $4
        FROM (TABLE waited UNION ALL TABLE gathered) AS ended
        """,
        rule,
        Outcome.GIVEN_UP,
        f"the rule was {done.said}",
        done.at,
    )
