"""What the API lists: observations, decisions, deliveries, accounts and the rest, newest first."""

from collections.abc import Sequence
from datetime import datetime

from service.domain.contacts import KeyKind
from service.domain.model import Kind, State
from service.store import Pool
from service.store.deliveries import REASON
from service.store.operators.changes import Action
from service.store.outages import LONGEST_WAIT, WAIT_SINCE
from service.store.views.listing import Listing, Row, shape

_NAMES = "ARRAY(SELECT name FROM accounts)"


# Looked up for each row: a join could read all events.
_OF_EVENT = "(SELECT {} FROM events WHERE events.id = event)"
_EVENTS_OF_TASK = f"""
    ARRAY(SELECT events.id FROM events WHERE account = ANY ({_NAMES}) AND task = {{}})
"""

TASKS = Listing(
    "tasks",
    "SELECT account, id, snapshot FROM tasks",
    key={"account": str, "id": str},
    descending=False,
    filters={
        "account": "account = {}",
        "task": f"account = ANY ({_NAMES}) AND id = {{}}",
        "state": "CASE standing WHEN 'archived' THEN 'open' ELSE standing END = {}",
        "since": "observed_at >= {}",
    },
    indexed=frozenset({"task"}),
    window=500,  # they are stored in another order, so each is read from its own page of disk
    choices={"state": frozenset({"open", "done", "deleted"})},
    hides="snapshot IS NOT NULL AND deleted_at IS NULL",
)

EVENTS = Listing(
    "events",
    "SELECT id, account, task, kind, at, cause, before, after FROM events",
    key={"id": int},
    filters={
        "account": "account = {}",
        "task": f"id = ANY ({_EVENTS_OF_TASK})",
        "kind": "kind = {}",
        "since": "at >= {}",
    },
    choices={"kind": frozenset(Kind)},
)

DECISIONS = Listing(
    "decisions",
    "SELECT id, event, rule, rules_version, outcome, reason FROM decisions",
    key={"id": int},
    filters={
        "account": f"{_OF_EVENT.format('account')} = {{}}",
        "task": f"event = ANY ({_EVENTS_OF_TASK})",
        "kind": f"{_OF_EVENT.format('kind')} = {{}}",
        "rule": "rule = {}",
        "since": "at >= {}",
    },
    choices={"kind": frozenset(Kind)},
)

DELIVERIES = Listing(
    "deliveries",
    f"""
    SELECT id, account, task, event, rule, channel, target, state, {REASON} AS reason, attempts,
           text, created_at, next_attempt_at, settled_at
    FROM deliveries
    """,
    key={"id": int},
    filters={
        "account": "account = {}",
        "task": f"""
            id = ANY (ARRAY(
                SELECT id FROM deliveries WHERE account = ANY ({_NAMES}) AND task = {{0}}
                  AND state IN ('planned', 'held', 'sending')
                UNION ALL
                SELECT id FROM deliveries WHERE account = ANY ({_NAMES}) AND task = {{0}}
                  AND state NOT IN ('planned', 'held', 'sending')))
        """,
        "kind": f"{_OF_EVENT.format('kind')} = {{}}",
        "rule": "rule = {}",
        "channel": "channel = {}",
        "state": "state = {}",
        "since": "created_at >= {}",
    },
    rare={"state": frozenset(State) - {State.SENT}},
    choices={"kind": frozenset(Kind), "state": frozenset(State)},
)

ATTEMPTS = Listing(
    "attempts",
    "SELECT number, began_at, took_ms, outcome, status, error FROM attempts",
    key={"number": int},
    filters={"delivery": "delivery = {}"},
    indexed=frozenset({"delivery"}),
)

RECEIPTS = Listing(
    "receipts",
    """
    SELECT id, account, state, reason, repeats, octet_length(body) AS size, received_at, settled_at,
           acknowledged_at
    FROM receipts
    """,
    key={"id": int},
    filters={"account": "account = {}", "state": "state = {}", "since": "received_at >= {}"},
    choices={"state": frozenset({"pending", "done", "poison"})},
)

STORMS = Listing(
    "storms",
    """
    SELECT id, account, rule, receiver, reason, began_at, ended_at, ended_by,
           (SELECT count(*) FROM deliveries WHERE storm = storms.id AND state = 'held') AS held
    FROM storms
    """,
    key={"id": int},
    filters={"account": "account = {}", "since": "began_at >= {}"},
)

HOLDS = Listing(
    "holds",
    """
    SELECT id, created_at, ends_at, reason, created_by, ended_by,
           (SELECT count(*) FROM deliveries WHERE hold = holds.id AND state = 'held') AS held
    FROM holds
    """,
    key={"id": int},
    filters={"since": "ends_at >= {}"},
)

SILENCES = Listing(
    "silences",
    """
    SELECT id, rule, person, customer, project, account, created_at, ends_at, reason, created_by
    FROM silences
    """,
    key={"id": int},
    filters={"account": "account = {}", "rule": "rule = {}", "since": "ends_at >= {}"},
)

CONTACTS = Listing(
    "contact_choices",
    """
    SELECT id, kind, nullif(account, '') AS account, value,
           CASE WHEN wants THEN 'opted_in' ELSE 'opted_out' END AS state, at, made_by, made_through,
           note
    FROM contact_choices
    """,
    key={"id": int},
    filters={
        "account": "account = {}",
        "kind": "kind = {}",
        "state": "wants = ({} = 'opted_in')",
        "since": "at >= {}",
    },
    indexed=frozenset(),
    choices={"kind": frozenset(KeyKind), "state": frozenset({"opted_in", "opted_out"})},
)

CHANGES = Listing(
    "changes",
    "SELECT id, at, by, from_address, action, subject, detail FROM changes",
    key={"id": int},
    filters={"by": "by = {}", "action": "action = {}", "since": "at >= {}"},
    choices={"action": frozenset(Action)},
)


_ACCOUNTS = f"""
    SELECT name AS id, system,
           CASE WHEN paused THEN 'paused' WHEN failing_since IS NOT NULL THEN 'failing'
                WHEN baseline_at IS NULL THEN 'baseline' ELSE 'ok' END AS state,
           failing_since, nullif(concat_ws(E'\n', error,
               CASE WHEN absent > 0 THEN absent || ' tasks disappeared from ' || system
                   || ' at once. Usually the access token has lost permissions. Taskbell sends'
                   || ' nothing about these tasks for one day. If they really were deleted,'
                   || ' confirm that on Connections (developers: taskbell accounts sync '
                   || name || ' --believe)'
               END,
               CASE WHEN error IS NULL AND unread > 0
                   THEN unread || CASE unread WHEN 1 THEN ' value' ELSE ' values' END
                   || ' could not be read, for example ' || unread_example
                   || '. Taskbell keeps the earlier values.'
               END,
               CASE WHEN appeared > 0
                   THEN appeared || ' older tasks appeared in ' || system || ' at once. Usually'
                   || ' the access token has been given more permissions. Taskbell sent no'
                   || ' messages about them.'
               END), '') AS error,
           absent, absent_at, appeared, appeared_at, unread, unread_example, unread_at,
           polled_at,
           CASE WHEN NOT paused THEN next_poll_at END AS next_poll_at,
           baseline_at, webhook_at, missed, missed_at, scan_read, scan_total,
           CASE WHEN NOT paused AND alive_until < $2 THEN alive_at END AS alone_since,
           CASE WHEN NOT paused AND scanned_at < resumed_at THEN resumed_at END AS reread_since,
           (SELECT min(began_at) FROM outages WHERE NOT paused AND scanned_at < resumed_at
              AND ended_at = resumed_at AND accounts.name = ANY (outages.accounts)
           ) AS away_since,
           {WAIT_SINCE.format(since="$3")} + $4 AS alarms_wait_until
    FROM accounts, LATERAL (
        SELECT count(*) AS absent, min(absent_at) AS absent_at FROM lookups
        WHERE account = name AND absent_at IS NOT NULL) AS held
    WHERE $1::text[] IS NULL OR name = ANY ($1) ORDER BY name
"""
ACCOUNT_STATES = frozenset({"ok", "failing", "paused", "baseline"})


async def read_task(pool: Pool, task: str, account: str | None) -> list[Row]:
    """The tasks with this id; there can be one in each account. Deleted ones are included."""
    rows = await pool.fetch(
        """
        SELECT account, id, snapshot FROM tasks
        WHERE id = $1 AND ($2::text IS NULL OR account = $2) AND snapshot IS NOT NULL
        """,
        task,
        account,
    )
    return [shape(row) for row in rows]


async def read_accounts(pool: Pool, now: datetime, names: Sequence[str] | None = None) -> list[Row]:
    """The state of the accounts of these names (default: all).

    It is ok, failing, paused, or baseline (the first sync). A paused account has no next poll.

    - `absent`: the number of tasks whose deletion is held, because so many are missing at once
    - `appeared`: the number of tasks that appeared at once in the last day and were imported
      silently
    - `alone_since`: when a worker last handled the account, if none does
    - `reread_since`: since when it waits for a full scan after an outage (`away_since`), a pause or
      a long failure
    - `alarms_wait_until`: until when its alarms wait then, or until it can be read again
    """
    rows = await pool.fetch(
        _ACCOUNTS,
        None if names is None else list(names),
        now,
        now - LONGEST_WAIT,
        LONGEST_WAIT,
    )
    return [dict(row) for row in rows]
