"""Periodic sweep: finds work without a wake-up, reclaims expired leases, deletes old rows."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from service.clock import Clock
from service.outbox import Lanes, attempts
from service.settings import Settings
from service.store import Pool, receipt_queue

_PRUNED_AT_ONCE = 1000
_TURNS_KEPT = timedelta(days=1)  # a turn that has passed says nothing any more
_CONTACTED_KEPT = timedelta(days=2)  # only the messages of one day are counted
# After a gap of this length, every process has this long to renew its leases.
_GAP, _TIME_TO_RENEW = timedelta(seconds=3), timedelta(seconds=3)

_RECEIPTS = """
    DELETE FROM receipts WHERE id IN (
        SELECT id FROM receipts WHERE received_at < $1 AND state <> 'pending' LIMIT $2)
"""
_DECISIONS = """
    DELETE FROM decisions WHERE id IN (SELECT id FROM decisions WHERE at < $1 LIMIT $2)
"""
_DELIVERIES = """
    WITH old AS MATERIALIZED (
        SELECT id FROM deliveries WHERE created_at < $1 AND settled_at IS NOT NULL LIMIT $2
    ), made AS (DELETE FROM attempts USING old WHERE delivery = old.id)
    DELETE FROM deliveries WHERE id IN (SELECT id FROM old)
"""
# An alarm may have been due long before its event is stored; the order of ids shows when that was.
_EVENTS = """
    DELETE FROM events WHERE id IN (
        SELECT id FROM events
        WHERE at < $1
          AND id < coalesce((SELECT min(id) FROM events WHERE at >= $1), 9223372036854775807)
          AND NOT EXISTS (SELECT FROM deliveries WHERE deliveries.event = events.id) LIMIT $2)
"""
_CHANGES = """
    DELETE FROM changes WHERE id IN (SELECT id FROM changes WHERE at < $1 ORDER BY at LIMIT $2)
"""
_TARGET_TURNS = """
    DELETE FROM target_turns WHERE (lane, target) IN (
        SELECT lane, target FROM target_turns WHERE turn < $1 LIMIT $2)
"""
_CONTACTED = """
    DELETE FROM contacted WHERE (lookup, kind, account, value, delivery) IN (
        SELECT lookup, kind, account, value, delivery FROM contacted WHERE at < $1 LIMIT $2)
"""
_TRIES = """
    DELETE FROM rule_tries WHERE rule IN (
        SELECT rule FROM rule_tries WHERE began_at < $1 LIMIT $2)
"""
_DELETED_TASKS = """
    WITH gone AS (
        SELECT account, id FROM tasks WHERE deleted_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED
    ), words AS (
        DELETE FROM task_words USING gone
        WHERE task_words.account = gone.account AND task = gone.id)
    DELETE FROM tasks USING gone WHERE tasks.account = gone.account AND tasks.id = gone.id
"""


class Pruner:
    """Finds, each second, pending work that no process works on.

    After some seconds without a sweep, the database was unavailable or this process stood still.
    The leases that expired meanwhile prove nothing: other processes could not renew theirs, either.
    So they count only once every process has had the time to renew them.
    """

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._looked_at = self._steady_since = clock.now()

    async def unanswered(self, accounts: Iterable[str]) -> tuple[list[str], Lanes]:
        """Accounts with unprocessed receipts, and lanes with deliveries whose process has died."""
        waiting = await receipt_queue.waiting(self._pool, accounts)
        now = self._clock.now()
        if not timedelta(0) <= now - self._looked_at <= _GAP:
            self._steady_since = now
        self._looked_at = now
        if now - self._steady_since < _TIME_TO_RENEW:
            return waiting, frozenset()
        return waiting, frozenset(await attempts.reclaim(self._pool, now))


async def prune(pool: Pool, settings: Settings, now: datetime) -> None:
    """Delete rows that are older than the retention settings say, in small transactions."""
    for statement, age in (
        (_RECEIPTS, settings.taskbell_keep_receipts),
        (_DECISIONS, settings.taskbell_keep_decisions),
        (_DELIVERIES, settings.taskbell_keep_deliveries),
        (_TRIES, settings.taskbell_keep_deliveries),
        (_EVENTS, settings.taskbell_keep_events),
        (_CHANGES, settings.taskbell_keep_events),
        (_DELETED_TASKS, settings.taskbell_keep_deleted_tasks),
        (_TARGET_TURNS, _TURNS_KEPT),
        (_CONTACTED, _CONTACTED_KEPT),
    ):
        full = f"DELETE {_PRUNED_AT_ONCE}"
        while await pool.execute(statement, now - age, _PRUNED_AT_ONCE) == full:
            pass
