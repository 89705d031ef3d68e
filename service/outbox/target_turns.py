"""When each target of a lane may be sent to next, for the workers of all machines together.

For each target one time is stored, its turn: that of its next message at a steady pace (GCRA). A
few messages may be sent ahead of it. A target that asked for a pause has its turn after that.
"""

from collections.abc import Collection, Mapping
from datetime import datetime

from service.channels.pace import Pace
from service.store import Connection


def is_resting(lane: str, now: str) -> str:
    """SQL condition for a delivery: its target may not be sent to yet."""
    return f"""
        EXISTS (SELECT FROM target_turns AS turns
          WHERE turns.lane = {lane} AND turns.target = deliveries.target AND turns.turn > {now})
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
