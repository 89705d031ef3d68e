"""Messages to the operator: failing accounts, storms, outages, missing and failed messages.

Each problem is reported once: the alert is recorded with the problem's row, in the transaction that
plans the message, so that no other worker and no restart repeats it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg

from service.domain.durations import in_words
from service.domain.storms import TOO_MANY
from service.sources import title_of
from service.store import Connection
from service.store.outages import LONGEST_WAIT

# The names of the rules, and types of the messages, that are Taskbell's own.
FAILING, WORKING = "account.failing", "account.working"
STORM = "customers.held"
UNSENT = "messages.failed"
CHANNEL, CHANNEL_WORKING = "channel.failing", "channel.working"
AWAY = "taskbell.away"
ABSENT, APPEARED = "tasks.held", "tasks.appeared"
# How long an account has to fail before the operator is alerted: short failures are usual.
HICCUP = timedelta(minutes=5)
# If many tasks are missing at once, most are often found by their ids within this time.
_LOOKED_UP = timedelta(minutes=2)
# How long to wait after an outage before its effects are reported: alarms fire, messages expire.
_AFTERMATH = timedelta(minutes=1)
# What of a message is markup: everything else may come from a system.
_COMMAND = re.compile(r"`taskbell [^`\n]*`")
_NEWS = timedelta(days=1)  # older problems are not reported to an operator who was configured later


@dataclass(frozen=True, slots=True)
class OperatorAddress:
    """Where messages to the operator are sent, and the time zone of the times in them.

    `page` is the address of Taskbell's page, empty if it is not known.
    """

    channel: str
    target: str
    at_most_once: bool
    zone: ZoneInfo
    page: str = ""

    def screen(self, name: str, path: str) -> str:
        """Such as `Today on the Taskbell page (https://tasks.example.com/)`."""
        where = f" ({self.page.rstrip('/')}{path})" if self.page else ""
        return f"{name} on the Taskbell page{where}"


async def alert_failing(
    connection: Connection, names: Sequence[str], address: OperatorAddress, now: datetime
) -> int:
    """Plan a message for each failing account that was not reported yet.

    Returns the number of accounts.
    """
    rows = await connection.fetch(
        """
        UPDATE accounts SET told_of = failing_since WHERE name IN (
            SELECT name FROM accounts
            WHERE name = ANY ($1) AND NOT paused AND told_of IS NULL AND failing_since <= $2
            FOR UPDATE SKIP LOCKED)
        RETURNING name, system, failing_since AS since, error
        """,
        names,
        now - HICCUP,
    )
    for row in rows:
        text = (
            f"Taskbell has been unable to read {row['name']} ({title_of(row['system'])}) since"
            f" {local_time(row['since'], address)}:"
            f" {row['error'].removeprefix(row['name'] + ': ')}.\n"
            "Taskbell keeps trying and tells you when it works again. Other accounts are not"
            " affected. What to do: see"
            f" {address.screen('Connections', '/connections')} (developers: `taskbell doctor`)."
        )
        await plan(connection, FAILING, row, text, address, now)
    return len(rows)


async def alert_working(
    connection: Connection, names: Sequence[str], address: OperatorAddress, now: datetime
) -> int:
    """Plan a message for each of these accounts that works again; returns how many accounts.

    If the message about its failure has not been sent yet, that one is cancelled instead.
    """
    rows = await connection.fetch(
        """
        WITH better AS (
            SELECT name, told_of FROM accounts
            WHERE name = ANY ($1) AND told_of IS NOT NULL AND failing_since IS NULL
            FOR UPDATE SKIP LOCKED)
        UPDATE accounts SET told_of = NULL FROM better WHERE accounts.name = better.name
        RETURNING accounts.name, system, better.told_of AS since, polled_at
        """,
        names,
    )
    for row in rows:
        if await _was_told(connection, row, now):
            text = (
                f"Taskbell can read {row['name']} ({title_of(row['system'])}) again. The"
                f" interruption lasted from {local_time(row['since'], address)} to"
                f" {local_time(row['polled_at'], address)}."
            )
            await plan(connection, WORKING, row, text, address, now)
    return len(rows)


async def alert_storms(
    connection: Connection, names: Sequence[str], address: OperatorAddress, now: datetime
) -> int:
    """Ask the operator what to do with the messages that a storm holds; returns how many storms."""
    rows = await connection.fetch(
        """
        UPDATE storms SET told_at = $2 WHERE id IN (
            SELECT id FROM storms
            WHERE account = ANY ($1) AND told_at IS NULL AND ended_at IS NULL
            FOR UPDATE SKIP LOCKED)
        RETURNING account AS name, rule, flood, began_at AS since, reason
        """,
        names,
        now,
    )
    for row in rows:
        name, rule = row["name"], row["rule"]
        waits = "They are not sent" if rule else f"No customer of {name} gets a message"
        these = f"{name} --rule {rule}" if rule else name
        text = (
            f"Too many messages at once in {name}: {row['reason'].removeprefix(TOO_MANY)}."
            f" {waits} until someone decides. Open {address.screen('Today', '/')} and choose"
            ' "Send them" or "Never send them".'
            f" (Developers: `taskbell outbox release {these}` sends them,"
            f" `taskbell outbox drop {these}` never does.)"
        )
        await plan(connection, STORM, row, text, address, now)
    return len(rows)


async def alert_missing(
    connection: Connection, names: Sequence[str], address: OperatorAddress, now: datetime
) -> int:
    """Alert about accounts in which many tasks disappeared at once; returns how many accounts."""
    await connection.execute(
        """
        UPDATE accounts SET absences_told_at = NULL
        WHERE name = ANY ($1) AND absences_told_at IS NOT NULL AND NOT EXISTS (
            SELECT FROM lookups WHERE account = name AND absent_at IS NOT NULL)
        """,
        names,
    )
    rows = await connection.fetch(
        """
        UPDATE accounts SET absences_told_at = $2 WHERE name IN (
            SELECT name FROM accounts
            WHERE name = ANY ($1) AND NOT paused AND absences_told_at IS NULL AND EXISTS (
                SELECT FROM lookups WHERE account = name AND absent_at <= $3)
            FOR UPDATE SKIP LOCKED)
        RETURNING name, system, absences_told_at AS since,
            (SELECT count(*) FROM lookups WHERE account = name AND absent_at IS NOT NULL) AS absent
        """,
        names,
        now,
        now - _LOOKED_UP,
    )
    for row in rows:
        name, system = row["name"], title_of(row["system"])
        text = (
            f"{row['absent']} tasks disappeared from {name} ({system}) at once. Usually someone has"
            f" limited Taskbell's access to {system}. Ask an administrator of {system} to give the"
            " access back: then Taskbell sees the tasks again. It sends nothing about these tasks"
            " for one day. After that it treats them as deleted. If they really were deleted,"
            f" confirm that on {address.screen('Connections', '/connections')} (developers:"
            f" `taskbell accounts sync {name} --believe`)."
        )
        await plan(connection, ABSENT, row, text, address, now)
    return len(rows)


async def alert_appeared(
    connection: Connection, names: Sequence[str], address: OperatorAddress, now: datetime
) -> int:
    """Alert about accounts in which many old tasks appeared at once; returns how many accounts."""
    rows = await connection.fetch(
        """
        UPDATE accounts SET appeared_told_at = $2 WHERE name IN (
            SELECT name FROM accounts
            WHERE name = ANY ($1) AND appeared > 0 AND appeared_told_at IS NULL
            FOR UPDATE SKIP LOCKED)
        RETURNING name, system, appeared, appeared_at AS since
        """,
        names,
        now,
    )
    for row in rows:
        text = (
            f"{row['appeared']} older tasks appeared in {row['name']}"
            f" ({title_of(row['system'])}) at once. Usually someone has extended"
            " Taskbell's access there. Taskbell sent no messages about them. It will report"
            " new changes to them as usual."
        )
        await plan(connection, APPEARED, row, text, address, now)
    return len(rows)


async def alert_outages(connection: Connection, address: OperatorAddress, now: datetime) -> int:
    """Alert about outages of Taskbell, once the accounts were read again; returns how many."""
    rows = await connection.fetch(
        """
        UPDATE outages SET told_at = $1 WHERE id IN (
            SELECT id FROM outages
            WHERE told_at IS NULL AND ended_at <= $2 AND ended_at > $4
              AND (ended_at <= $3 OR NOT EXISTS (
                SELECT FROM accounts WHERE name = ANY (outages.accounts) AND NOT paused
                  AND scanned_at < ended_at))
            FOR UPDATE SKIP LOCKED)
        RETURNING began_at AS since, ended_at, accounts, '' AS name,
            (SELECT count(*) FROM deliveries WHERE account = ANY (accounts)
               AND state = 'expired' AND settled_at >= ended_at) AS expired,
            (SELECT count(*) FROM deliveries WHERE account = ANY (accounts)
               AND state = 'cancelled' AND settled_at >= ended_at) AS withdrawn,
            ARRAY(SELECT name FROM accounts WHERE name = ANY (outages.accounts)
               AND scanned_at < ended_at ORDER BY name) AS unread
        """,
        now,
        now - _AFTERMATH,
        now - LONGEST_WAIT,
        now - _NEWS,
    )
    for row in rows:
        await plan(connection, AWAY, row, _of_outage(row, address), address, now)
    return len(rows)


def _of_outage(row: asyncpg.Record, address: OperatorAddress) -> str:
    """How long Taskbell did not run, what it has read since, and what happened to messages."""
    minutes = round((row["ended_at"] - row["since"]) / timedelta(minutes=1))
    text = (
        f"Taskbell did not run from {local_time(row['since'], address)} to"
        f" {local_time(row['ended_at'], address)} ({in_words(timedelta(minutes=minutes))})."
    )
    if read := [name for name in row["accounts"] if name not in row["unread"]]:
        text += f" It has since read all changes in: {', '.join(read)}."
    if row["unread"]:
        text += f" Not read yet, because of errors: {', '.join(row['unread'])}."
    return "\n".join((text, *_of_messages(row["withdrawn"], row["expired"], address)))


def _of_messages(cancelled: int, expired: int, address: OperatorAddress) -> Iterator[str]:
    """What happened to messages during an outage."""
    if cancelled:
        why = "because its task" if cancelled == 1 else "because their tasks"
        yield f"{_were(cancelled)} cancelled {why} had changed."
    if not expired:
        yield "No message was too late."
        return
    see = "To see it" if expired == 1 else "To see them"
    screen = address.screen("Messages", "/messages?state=expired")
    yield f'{_were(expired)} too late and not sent. {see}, open {screen}: state "too late".'


def _were(count: int) -> str:
    return "1 message was" if count == 1 else f"{count} messages were"


async def _was_told(connection: Connection, row: asyncpg.Record, now: datetime) -> bool:
    """Cancel the alert that the account fails; returns whether it may have been sent before."""
    withdrawn = await connection.fetch(
        """
        UPDATE deliveries SET state = 'cancelled', settled_at = $3, next_attempt_at = NULL,
            reason = 'cancelled: the account works again'
        WHERE account = $1 AND task = '' AND rule = $4 AND once_key = $2
          AND state IN ('planned', 'held')
        RETURNING attempts
        """,
        row["name"],
        _period(row),
        now,
        FAILING,
    )
    return all(one["attempts"] for one in withdrawn)


async def plan(
    connection: Connection,
    rule: str,
    row: asyncpg.Record | dict[str, Any],
    text: str,
    address: OperatorAddress,
    now: datetime,
) -> None:
    """Plan a message to the operator, once for the problem in `row`."""
    await connection.execute(
        """
        INSERT INTO deliveries (account, task, rule, once_key, step, channel, target, lane,
            at_most_once, text, markup, state, created_at, next_attempt_at)
        VALUES ($1, '', $2, $3, 1, $4, $5, $4, $6, $7, $8, 'planned', $9, $9)
        ON CONFLICT DO NOTHING
        """,
        row["name"],
        rule,
        _period(row),
        address.channel,
        address.target,
        address.at_most_once,
        text,
        [place for command in _COMMAND.finditer(text) for place in command.span()],
        now,
    )


def _period(row: asyncpg.Record | dict[str, Any]) -> str:
    """Identifies one failure of one account, or one storm, for `once_key`."""
    return f"{row.get('flood') or row['name']}:{row['since'].isoformat()}"


def local_time(moment: datetime, address: OperatorAddress) -> str:
    """Such as `Mon 2 Mar, 08:15`, in the operator's zone."""
    there = moment.astimezone(address.zone)
    return f"{there:%a} {there.day} {there:%b}, {there:%H:%M}"
