"""What the workers of all machines know together about where they send.

When each target of a lane may be sent to next, and which lanes fail as a whole.

For each target one time is stored, its turn: that of its next message at a steady pace (GCRA). A
few messages may be sent ahead of it. A target that asked for a pause has its turn after that.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from service.channels.pace import Pace
from service.outbox import fallback
from service.store import Connection, Pool

# A message that was due so long ago, and could not be sent to a lane that fails since, is given up:
# about as long as a message is tried for otherwise.
_GIVEN_UP_AFTER = timedelta(days=3)
# So often a message is tried ahead of its time to find out whether its lane works again; the other
# attempts are kept for its own schedule.
_TRIED_AHEAD = 4
_ANY_TIME = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class LaneOutage:
    """A lane in which everything fails: since when (UTC), with which error.

    Nothing is sent there until `probe_at` (UTC), when one worker tries whether it works again; it
    was tried `probes` times.
    """

    since: datetime
    reason: str
    probe_at: datetime
    probes: int


def is_resting(lane: str, now: str, target: str = "deliveries.target") -> str:
    """SQL condition for a delivery: its target may not be sent to yet."""
    return f"""
        EXISTS (SELECT FROM target_turns AS turns
          WHERE turns.lane = {lane} AND turns.target = {target} AND turns.turn > {now})
    """


def is_busy(lane: str) -> str:
    """SQL condition for a delivery: another message to its target is being sent."""
    return f"""
        EXISTS (SELECT FROM deliveries AS other
          WHERE other.state = 'sending' AND other.lane = {lane}
            AND other.target = deliveries.target)
    """


async def take(
    connection: Connection, lane: str, targets: Collection[str], pace: Pace, now: datetime
) -> dict[str, datetime]:
    """Count one message to each of these targets; returns the turn of each (UTC)."""
    rows = await connection.fetch(
        """
        INSERT INTO target_turns AS turns (lane, target, turn)
        SELECT $1, target, $3::timestamptz + $4 FROM unnest($2::text[]) AS target ORDER BY target
        ON CONFLICT (lane, target) DO UPDATE SET turn = greatest(turns.turn, $3) + $4
        RETURNING target, turn
        """,
        lane,
        sorted(targets),
        now - pace.interval * (pace.burst - 1),
        pace.interval,
    )
    return {row["target"]: row["turn"] for row in rows}


async def pause(connection: Connection, pauses: Mapping[int, datetime]) -> None:
    """Send nothing to the targets of these deliveries until then (UTC), whatever was set before."""
    if not pauses:
        return
    await connection.execute(
        """
        INSERT INTO target_turns (lane, target, turn)
        SELECT lane, target, max(until)
        FROM deliveries JOIN unnest($1::bigint[], $2::timestamptz[]) AS new (id, until) USING (id)
        GROUP BY lane, target ORDER BY lane, target
        ON CONFLICT (lane, target) DO UPDATE SET turn = excluded.turn
        """,
        list(pauses),
        list(pauses.values()),
    )


async def outages(pool: Pool) -> dict[str, LaneOutage]:
    """The lanes that fail as a whole, by name."""
    rows = await pool.fetch("SELECT lane, since, reason, probe_at, probes FROM lane_outages")
    return {
        row["lane"]: LaneOutage(row["since"], row["reason"], row["probe_at"], row["probes"])
        for row in rows
    }


async def begin_outage(pool: Pool, lane: str, outage: LaneOutage) -> None:
    """Store that everything fails in this lane, if another worker has not done so."""
    await pool.execute(
        """
        INSERT INTO lane_outages (lane, since, reason, probe_at, probes)
        VALUES ($1, $2, $3, $4, 0) ON CONFLICT DO NOTHING
        """,
        lane,
        outage.since,
        outage.reason,
        outage.probe_at,
    )


async def take_probe(pool: Pool, lane: str, now: datetime, next_at: datetime) -> bool:
    """Whether this worker is the one to try the lane now; the next try is at `next_at`."""
    done = await pool.execute(
        """
        UPDATE lane_outages SET probe_at = $3, probes = probes + 1
        WHERE lane = $1 AND probe_at <= $2
        """,
        lane,
        now,
        next_at,
    )
    return done == "UPDATE 1"


async def is_sending(pool: Pool, lane: str) -> bool:
    """Whether any worker is sending a message of this lane."""
    found: bool = await pool.fetchval(
        "SELECT EXISTS (SELECT FROM deliveries WHERE lane = $1 AND state = 'sending')", lane
    )
    return found


async def end_outage(pool: Pool, lane: str, now: datetime) -> None:
    """Store that the lane works again; what waits to be tried again is due, in its order."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            """
            WITH ended AS (DELETE FROM lane_outages WHERE lane = $1 RETURNING *)
            INSERT INTO lane_recoveries (lane, since, ended)
            SELECT lane, since, $2 FROM ended WHERE told_at IS NOT NULL ON CONFLICT DO NOTHING
            """,
            lane,
            now,
        )
        await put_in_order(connection, lane)


async def put_in_order(
    connection: Connection | Pool, lane: str, due_by: datetime = _ANY_TIME
) -> None:
    """Put what is due again by then (UTC) before what was planned after it."""
    await connection.execute(
        """
        UPDATE deliveries SET next_attempt_at = created_at
        WHERE lane = $1 AND state = 'planned' AND attempts > 0
          AND next_attempt_at > created_at AND next_attempt_at <= $2
        """,
        lane,
        due_by,
    )


async def try_one_ahead(pool: Pool, lane: str, now: datetime) -> bool:
    """Let the first message that waits to be tried again be due now; False if there is none."""
    done = await pool.execute(
        """
        UPDATE deliveries SET next_attempt_at = $2 WHERE id = (
            SELECT id FROM deliveries
            WHERE lane = $1 AND state = 'planned' AND attempts BETWEEN 1 AND $3
              AND next_attempt_at > $2
            ORDER BY next_attempt_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
        """,
        lane,
        now,
        _TRIED_AHEAD,
    )
    return done == "UPDATE 1"


async def has_failed_before(pool: Pool, lane: str) -> bool:
    """Whether a message of this lane waits to be tried again."""
    found: bool = await pool.fetchval(
        """
        SELECT EXISTS (
            SELECT FROM deliveries WHERE lane = $1 AND state = 'planned' AND attempts > 0)
        """,
        lane,
    )
    return found


async def give_up(pool: Pool, lane: str, outage: LaneOutage, now: datetime) -> None:
    """Fail what was due days ago and has waited for this lane ever since."""
    if now - outage.since < _GIVEN_UP_AFTER:
        return
    async with pool.acquire() as connection, connection.transaction():
        rows = await connection.fetch(
            """
            UPDATE deliveries SET state = 'failed', settled_at = $3, next_attempt_at = NULL,
                reason = $4
            WHERE lane = $1 AND state = 'planned' AND next_attempt_at < $2
              AND (approver IS NULL OR approved_by IS NOT NULL)
            RETURNING id
            """,
            lane,
            now - _GIVEN_UP_AFTER,
            now,
            f"{outage.reason}; given up after three days in which nothing could be sent to {lane}",
        )
        await fallback.plan(connection, [row["id"] for row in rows], now)
