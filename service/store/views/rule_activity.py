"""When each rule last did something, and how much on each day.

A rule is asked for by bounds and not by equality, and the order of a list begins with it: so
PostgreSQL reads the index of rules, and never that of all times, where it could pass over millions
of rows of other rules.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import asyncpg

from service.store import Pool

_LONGEST_WAIT = timedelta(days=7)  # of a message before it is sent, for the counts by day


async def last_messages(pool: Pool, rules: Sequence[str]) -> Mapping[str, asyncpg.Record]:
    """The message that each of these rules planned last: id, state, account, created_at (UTC)."""
    rows = await pool.fetch(
        """
        SELECT rule, last.* FROM unnest($1::text[]) AS asked (rule), LATERAL (
            SELECT * FROM (
                (SELECT id, state, account, created_at FROM deliveries
                 WHERE deliveries.rule BETWEEN asked.rule AND asked.rule
                   AND state NOT IN ('planned', 'held', 'sending')
                 ORDER BY rule DESC, created_at DESC, id DESC LIMIT 1)
                UNION ALL
                (SELECT id, state, account, created_at FROM deliveries
                 WHERE deliveries.rule BETWEEN asked.rule AND asked.rule
                   AND state IN ('planned', 'held', 'sending')
                 ORDER BY created_at DESC, id DESC LIMIT 1)) AS both_kinds
            ORDER BY created_at DESC, id DESC LIMIT 1) AS last
        """,
        list(rules),
    )
    return {row["rule"]: row for row in rows}


async def last_matches(pool: Pool) -> Mapping[str, datetime]:
    """When each rule that has ever matched did so last (UTC). Reads all decisions on record."""
    rows = await pool.fetch(
        "SELECT rule, max(at) AS at FROM decisions WHERE outcome = 'matched' GROUP BY rule"
    )
    return {row["rule"]: row["at"] for row in rows}


@dataclass(frozen=True, slots=True)
class DayCount:
    """How many messages of a rule were sent on a day, and how many were not."""

    day: date
    sent: int
    kept: int


async def by_day(
    pool: Pool, rules: Sequence[str], since: datetime, zone: str
) -> Mapping[str, Sequence[DayCount]]:
    """The messages of these rules that ended since then, by the day in that zone.

    Updates of messages that were sent do not count, nor do requests for approval.
    """
    rows = await pool.fetch(
        """
        SELECT rule, (coalesce(settled_at, created_at) AT TIME ZONE $4)::date AS day,
               count(*) FILTER (WHERE state = 'sent') AS sent,
               count(*) FILTER (WHERE state <> 'sent') AS kept
        FROM deliveries
        WHERE rule = ANY ($1) AND state NOT IN ('planned', 'held', 'sending')
          AND created_at >= $2 AND coalesce(settled_at, created_at) >= $3
          AND updates IS NULL AND approves IS NULL
        GROUP BY rule, day ORDER BY rule, day
        """,
        list(rules),
        since - _LONGEST_WAIT,
        since,
        zone,
    )
    found: dict[str, list[DayCount]] = {}
    for row in rows:
        found.setdefault(row["rule"], []).append(DayCount(row["day"], row["sent"], row["kept"]))
    return found


@dataclass(frozen=True, slots=True)
class LastTimes:
    """When a rule matched last, and when it last sent a message (UTC); None if it never did."""

    matched_at: datetime | None
    sent_at: datetime | None


async def last_times(pool: Pool, rule: str) -> LastTimes:
    """Of the messages only the last 1,000 are looked at: a rule on trial never sends one."""
    [row] = await pool.fetch(
        """
        SELECT (SELECT at FROM decisions WHERE rule BETWEEN $1 AND $1 AND outcome = 'matched'
                ORDER BY rule DESC, at DESC LIMIT 1) AS matched_at,
               (SELECT max(settled_at) FROM (
                    SELECT settled_at, state FROM deliveries
                    WHERE rule BETWEEN $1 AND $1 AND state NOT IN ('planned', 'held', 'sending')
                    ORDER BY rule DESC, created_at DESC, id DESC LIMIT 1000) AS lately
                WHERE state = 'sent') AS sent_at
        """,
        rule,
    )
    return LastTimes(row["matched_at"], row["sent_at"])


async def last_decisions(pool: Pool, rule: str, most: int) -> Sequence[asyncpg.Record]:
    """The last decisions of a rule, the newest first, each with its task and its messages.

    They have at, outcome, reason, account, task, title and messages (numbers).
    """
    rows: Sequence[asyncpg.Record] = await pool.fetch(
        """
        SELECT last.at, last.outcome, last.reason, account, task,
               coalesce(after, before) ->> 'title' AS title,
               ARRAY (SELECT id FROM deliveries
                      WHERE deliveries.event = last.event AND deliveries.rule = last.rule
                      ORDER BY id LIMIT 5) AS messages
        FROM (SELECT * FROM decisions WHERE rule BETWEEN $1 AND $1
              ORDER BY rule DESC, at DESC, id DESC LIMIT $2) AS last
        LEFT JOIN events ON events.id = last.event
        ORDER BY last.at DESC, last.id DESC
        """,
        rule,
        most,
    )
    return rows
