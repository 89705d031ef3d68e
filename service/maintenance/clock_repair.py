"""Repairs future timestamps left by a host clock that was ahead.

Each of them would block something until then: an observation that seems newer than any other, a
poll or a message that is not due, alarms that count as announced for the days to come.
"""

from datetime import datetime, timedelta

import structlog

from service.domain.alarms import ALARM_MARK
from service.domain.model import utc
from service.store import Pool

log = structlog.get_logger()

# By so much the clock of the database may be set back; no lease is longer.
TOLERANCE = timedelta(minutes=1)
_LEASE = timedelta(seconds=8)  # of a delivery; the outbox has it, and stands above the tables
_LONGEST_PAUSE = timedelta(days=2)  # between two tries of anything
_PATIENCE = 600.0  # seconds; a clock that is a day behind concerns every task there is

# $1 is now; $2 is later than another host's clock may be, $3 later than anything is put off to.
_ACCOUNTS = """
    UPDATE accounts SET next_poll_at = $1::timestamptz, lease_until = NULL, lease_holder = NULL,
        added_at = CASE WHEN added_at > $1 THEN $1 ELSE added_at END,
        baseline_at = CASE WHEN baseline_at > $1 THEN $1 ELSE baseline_at END,
        scanned_at = CASE WHEN scanned_at > $1 THEN $1 ELSE scanned_at END,
        watermark = CASE WHEN watermark > $1 THEN NULL ELSE watermark END,
        polled_at = CASE WHEN polled_at > $1 THEN $1 ELSE polled_at END,
        scan_asked_at = $1,
        webhook_at = CASE WHEN webhook_at > $1 THEN NULL ELSE webhook_at END,
        missed_at = CASE WHEN missed_at > $1 THEN NULL ELSE missed_at END,
        resumed_at = CASE WHEN resumed_at > $1 THEN $1 ELSE resumed_at END,
        failing_since = CASE WHEN failing_since > $1 THEN $1 ELSE failing_since END,
        appeared_at = least(appeared_at, $1),
        stale_since = CASE WHEN stale_since > $1 THEN $1 ELSE stale_since END,
        watched_since = CASE WHEN watched_since > $1 THEN $1 ELSE watched_since END
    WHERE greatest(added_at, scanned_at, watermark, polled_at, scan_asked_at, webhook_at,
                   missed_at, resumed_at, failing_since, watched_since, lease_until)
          > $2::timestamptz
       OR failing_since IS NOT NULL AND next_poll_at > $3::timestamptz
    RETURNING name
"""
# Of $4, the accounts whose clock was wrong, no pause counts; of the others, none beyond $3.
_THROTTLES = """
    UPDATE rate_limits SET
        next_call_at = CASE WHEN next_call_at > $2 THEN $1 ELSE next_call_at END,
        first_call_at = CASE WHEN first_call_at > $2 THEN $1 ELSE first_call_at END,
        refused_until = CASE WHEN refused_until > $1 THEN $1 ELSE refused_until END
    WHERE greatest(next_call_at, first_call_at) > $2::timestamptz OR refused_until > $3::timestamptz
       OR refused_until > $1::timestamptz AND account = ANY ($4)
"""
_RECEIPTS = "UPDATE receipts SET received_at = $1 WHERE received_at > $2"
_LOOKUPS = """
    UPDATE lookups SET asked_at = $1::timestamptz, next_attempt_at = $1::timestamptz,
        older_at = least(older_at, $1::timestamptz), absent_at = least(absent_at, $1::timestamptz),
        lease_holder = NULL, lease_until = NULL
    WHERE greatest(asked_at, lease_until) > $2::timestamptz OR next_attempt_at > $3::timestamptz
"""
# $3 is now as the dates in `rung` are written, $4 the pattern of alarm marks. An alarm that fired
# under the wrong clock, for a date that the task still has, keeps a mark of its own, and does not
# fire again; marks do not depend on a clock. An alarm that was missed under the wrong clock, as its
# date was past by that, has not fired; for a custom date, which is not parsed here, it counts as
# fired.
_TASKS = """
    UPDATE tasks SET
        observed_at = CASE WHEN observed_at > $1 THEN $1::timestamptz ELSE observed_at END,
        deleted_at = CASE WHEN deleted_at > $1 THEN $1::timestamptz ELSE deleted_at END,
        rung = (SELECT coalesce(jsonb_object_agg(key, CASE
                    WHEN key !~ $4 AND value::timestamptz > $1 THEN $3::text
                    ELSE value END), '{}')
                FROM jsonb_each_text(rung))
            || (SELECT coalesce(jsonb_object_agg(field || ' ' || alarm, at), '{}')
                FROM events, substring(alarm FROM '^[a-z_]+:(.+)[-+][0-9]+s') AS field
                WHERE account = tasks.account AND task = tasks.id AND cause = 'clock' AND at > $1
                  AND CASE WHEN field LIKE 'fields.%'
                    THEN after -> 'fields' ->> substr(field, 8)
                        = snapshot -> 'fields' ->> substr(field, 8)
                    ELSE after ->> field = snapshot ->> field
                        AND (alarm NOT LIKE '%:' || field || '-%'
                             OR decided_at < (after ->> field)::timestamptz) END),
        next_alarm = CASE WHEN watch IS NOT NULL THEN $1::timestamptz END
    WHERE greatest(observed_at, deleted_at) > $2::timestamptz
       OR EXISTS (SELECT FROM jsonb_each_text(rung)
                  WHERE key !~ $4 AND value::timestamptz > $2::timestamptz)
"""
_UNLISTED = "UPDATE tasks SET unlisted_at = NULL WHERE unlisted_at > $1"
_SETTLING = """
    UPDATE waits SET ends_at = ends_at - (started_at - $1), started_at = $1::timestamptz
    WHERE started_at > $2::timestamptz
"""
_DIGESTS = """
    UPDATE digests SET closes_at = closes_at - (opened_at - $1), opened_at = $1::timestamptz
    WHERE opened_at > $2::timestamptz
"""
_PLANNED = """
    UPDATE deliveries SET created_at = $1::timestamptz,
        next_attempt_at = next_attempt_at - (created_at - $1),
        expires_at = expires_at - (created_at - $1)
    WHERE created_at > $2::timestamptz
"""
# $2 is later than any next attempt: an earlier one may be the ordinary pause.
_TRIED = """
    UPDATE deliveries SET next_attempt_at = $1::timestamptz
    WHERE state = 'planned' AND attempts > 0 AND next_attempt_at > $2::timestamptz
"""
# $1 is when a lease that begins now ends.
_SENDING = """
    UPDATE deliveries SET lease_until = $1::timestamptz
    WHERE state = 'sending' AND lease_until > $2::timestamptz
"""
# The pause between two tries of a lane is no longer than clocks may differ.
_LANES = """
    UPDATE lane_outages SET probe_at = $1::timestamptz, since = least(since, $1::timestamptz)
    WHERE greatest(since, probe_at) > $2::timestamptz
"""
# A turn may be hours ahead, as a receiver has asked for a pause. So these are corrected only if
# something else shows that the clock was wrong; who is asked too early asks for the pause again.
_TURNS = "UPDATE target_turns SET turn = $1 WHERE turn > $2"


async def correct(pool: Pool, now: datetime) -> None:
    """Correct every time that is so far in the future that only a wrong clock can have set it.

    The accounts concerned get a full scan at once. A process whose lease is shortened, and which is
    still working, renews it by the right clock.
    """
    ahead, far_ahead = now + TOLERANCE, now + _LONGEST_PAUSE
    async with pool.acquire() as connection, connection.transaction():
        rows = await connection.fetch(_ACCOUNTS, now, ahead, far_ahead)
        names = [row["name"] for row in rows]
        done = [
            f"UPDATE {len(names)}",
            await connection.execute(_THROTTLES, now, ahead, far_ahead, names),
            await connection.execute(_RECEIPTS, now, ahead),
            await connection.execute(_LOOKUPS, now, ahead, far_ahead),
            await connection.execute(
                _TASKS, now, ahead, utc(now).isoformat(), ALARM_MARK, timeout=_PATIENCE
            ),
            await connection.execute(_UNLISTED, ahead),
            await connection.execute(_SETTLING, now, ahead),
            await connection.execute(_DIGESTS, now, ahead),
            await connection.execute(_PLANNED, now, ahead),
            await connection.execute(_TRIED, now, far_ahead),
            await connection.execute(_SENDING, now + _LEASE, ahead),
            await connection.execute(_LANES, now, ahead),
        ]
        if any(one != "UPDATE 0" for one in done):
            await connection.execute(_TURNS, now, ahead)
    if names:
        log.warning("clock.was_ahead", accounts=names)
