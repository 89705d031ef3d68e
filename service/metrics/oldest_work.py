"""Age of the oldest pending work, as a health metric."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from service.outbox import claiming
from service.store import Connection, outages

_ROLL_OUT = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Waiting:
    """When the oldest work came or was due (UTC), None if there is none; and the oldest alarm."""

    work: datetime | None
    alarm: datetime | None


async def oldest_work(connection: Connection, now: datetime) -> Waiting:
    """The oldest pending work.

    Work is a webhook that was not processed, a task to be read by id after a webhook or a write, a
    wait or digest of a rule that is over, and a message that is due and waits only for a process,
    or has lost its process. Work of an account that is paused, or is not in any configuration, does
    not count. Reads of tasks that are missing from a list are not urgent, and do not count either.
    """
    [row] = await connection.fetch(
        f"""
        -- In a configuration: a worker said so as lately as of any other, be that long ago.
        WITH watched AS (
            SELECT name, paused FROM accounts
            WHERE watched_until >= (SELECT max(watched_until) FROM accounts) - $2::interval)
        SELECT least(
            (SELECT min(received_at) FROM accounts, LATERAL (
                SELECT received_at FROM receipts
                WHERE account = accounts.name AND state = 'pending'
                ORDER BY id LIMIT 1) AS oldest),
            (SELECT min(next_attempt_at) FROM watched, LATERAL (
                SELECT next_attempt_at FROM lookups
                WHERE account = watched.name AND NOT cause = 'fetch' AND next_attempt_at <= $1
                ORDER BY next_attempt_at LIMIT 1) AS oldest
             WHERE NOT paused),
            (SELECT min(ends_at) FROM waits JOIN watched ON account = name WHERE ends_at <= $1),
            (SELECT min(closes_at) FROM digests JOIN watched ON account = name
             WHERE closes_at <= $1),
            (SELECT min(next_attempt_at) FROM (SELECT DISTINCT name FROM lanes) AS wanted, LATERAL (
                SELECT next_attempt_at FROM deliveries
                WHERE lane = wanted.name AND state IN ('planned', 'held') AND next_attempt_at <= $1
                  AND {claiming.is_free("wanted.name", "$3")}
                ORDER BY next_attempt_at LIMIT 1) AS oldest),
            (SELECT min(lease_until) FROM deliveries WHERE state = 'sending' AND lease_until < $1)
        ) AS work, (
            SELECT min(next_alarm) FROM watched, alarm_sets, LATERAL (
                SELECT next_alarm FROM tasks
                WHERE account = watched.name AND tasks.watch = alarm_sets.id
                ORDER BY next_alarm LIMIT 1) AS next
        ) AS alarm
        """,
        now,
        _ROLL_OUT,
        now - outages.LONGEST_WAIT,
    )
    return Waiting(row["work"], row["alarm"])
